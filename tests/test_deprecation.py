"""Old names of arguments go on working for a while."""

import pytest

from keras_vae.deprecation import renamed_arguments


@renamed_arguments(since="0.2", latents="latent_dim")
def make(x_shape, latent_dim=2):
    """Makes nothing."""
    return x_shape, latent_dim


def test_an_old_name_works_with_a_warning_where_it_is_used():
    with pytest.warns(DeprecationWarning, match=r"`latents` of make is called `latent_dim`") as got:
        assert make(3, latents=5) == (3, 5)
    assert got[0].filename == __file__


def test_the_new_name_works_without_a_warning():
    assert make(3, latent_dim=5) == (3, 5)
    assert make(3) == (3, 2)
    assert make.__doc__ == "Makes nothing."


def test_both_names_are_refused():
    with (
        pytest.warns(DeprecationWarning, match="is called"),
        pytest.raises(TypeError, match=r"both `latents` and `latent_dim`"),
    ):
        make(3, latents=5, latent_dim=5)
