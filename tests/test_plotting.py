import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_vae import callbacks, plotting

RNG = np.random.default_rng(0)
GREY = RNG.random((12, 8, 8, 1))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_originals_are_drawn_over_reconstructions(tmp_path):
    white, black = np.ones((3, 8, 8, 1)), np.zeros((3, 8, 8, 1))
    path = tmp_path / "r.png"
    plotting.reconstructions(white, black, path)
    drawn = pixels(path)[:, -150:]  # clear of the labels
    rows = drawn.mean((1, 2))
    half = len(rows) // 2
    assert rows[: half - 10].mean() > 245
    assert rows[half + 10 :].mean() < 60


def test_colours_and_bytes_are_kept(tmp_path):
    red = np.zeros((4, 8, 8, 3), "uint8")
    red[..., 0] = 255
    plotting.image_grid(red, tmp_path / "a.png", title="red")
    plotting.image_grid(red / 255.0, tmp_path / "b.png", title="red")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))
    centre = pixels(tmp_path / "a.png")[100, 50]
    np.testing.assert_array_equal(centre, [255, 0, 0])


def test_the_latent_map_decodes_the_plane_with_z2_upwards(tmp_path):
    def decode(z):
        return np.broadcast_to((z[:, 1] > 0)[:, None, None, None], (len(z), 4, 4, 1)) * 1.0

    path = tmp_path / "map.png"
    axis = plotting.latent_map(decode, path, steps=6).axes[0]
    mosaic = axis.images[0].get_array()
    assert mosaic.shape == (24, 24)
    assert mosaic[:12].min() == 1
    assert mosaic[12:].max() == 0
    assert path.exists()


def test_scatter_has_a_colour_and_a_name_for_each_class():
    codes, labels = RNG.normal(size=(30, 2)), np.arange(30) % 3
    axis = plotting.latent_scatter(codes, labels, class_names=["a", "b", "c"]).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b", "c"]
    assert sum(len(collection.get_offsets()) for collection in axis.collections) == 30
    assert plotting.latent_scatter(codes).axes[0].get_legend() is None


def test_loss_curves_show_every_epoch_of_training_and_validation():
    history = {"loss": [3.0], "val_loss": [4.0], "kl_loss": [1.0], "mae": [2.0]}
    axes = plotting.loss_curves(history).axes
    assert [axis.get_title() for axis in axes] == ["loss", "kl loss"]
    assert [line.get_ydata()[0] for line in axes[0].lines] == [3.0, 4.0]
    assert [line.get_xdata()[0] for line in axes[0].lines] == [1, 1]


def test_traversals_move_one_entry_at_a_time():
    seen = []

    def decode(codes):
        seen.append(codes)
        return np.zeros((len(codes), 4, 4, 1))

    plotting.traversals(decode, [0.5, -0.5], span=2.0, steps=3)
    expected = [[-2, -0.5], [0, -0.5], [2, -0.5], [0.5, -2], [0.5, 0], [0.5, 2]]
    np.testing.assert_allclose(seen[0], expected)


@pytest.mark.parametrize("shape", [(3, 7), (3, 4, 4, 2), (3, 4, 4, 4, 1)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"`images` must be one or more images.*Received: images with shape"
    ):
        plotting.image_grid(np.zeros(shape))


def test_importing_the_library_loads_no_matplotlib():
    script = (
        "import sys, keras; before = 'matplotlib' in sys.modules\n"  # Keras itself may
        "import keras_vae; sys.exit('matplotlib' in sys.modules and not before)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_pictures_are_drawn_every_so_many_epochs(tmp_path):
    class Model:
        is_chief = True

        class posterior:
            latent_dim = 2

        def predict(self, x, verbose):
            return x

        def generate(self, n, seed):
            return np.zeros((n, 8, 8, 1))

        def decode(self, z):
            return np.zeros((len(z), 8, 8, 1))

    callback = callbacks.Pictures(GREY, tmp_path / "pictures", every=2, num_samples=4)
    callback.set_model(Model())
    callback.on_train_begin()
    callback.on_epoch_end(0)
    assert not list((tmp_path / "pictures").iterdir())
    callback.on_epoch_end(1)
    names = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert names == {"reconstructions", "samples", "latent_map"}


def test_one_epoch_has_whole_numbers_on_its_axis():
    axis = plotting.loss_curves({"loss": [3.0]}).axes[0]
    assert [tick for tick in axis.get_xticks() if tick % 1] == []


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.image_grid(GREY[:0]),
        lambda: plotting.reconstructions(GREY, GREY[:3]),
        lambda: plotting.loss_curves({"mae": [1.0]}),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        draw()


def test_the_users_settings_of_matplotlib_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plotting.loss_curves({"loss": [3.0]})
    assert dict(matplotlib.rcParams) == before
