import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from checks import read_arrays

from keras_vae import (
    likelihoods,
    objectives,
    penalties,
    posteriors,
    priors,
    quantized,
    recipes,
    schedules,
)

RNG = np.random.default_rng(0)

PAPERS = {
    "vae": lambda: recipes.vae((6,), beta=4.0),
    "annealed_vae": lambda: recipes.annealed_vae((6,), 3, steps=50, capacity=2.0),
    "beta_tc_vae": lambda: recipes.beta_tc_vae((6,), 64, 3),
    "dip_vae": lambda: recipes.dip_vae((6,), 3),
    "info_vae": lambda: recipes.info_vae((6,), 3),
    "wae_mmd": lambda: recipes.wae_mmd((6,), 3),
    "factor_vae": lambda: recipes.factor_vae((6,), 3),
    "wae_gan": lambda: recipes.wae_gan((6,), 3),
    "iwae": lambda: recipes.iwae((6,), 3),
    "iwae dreg": lambda: recipes.iwae((6,), gradient="doubly_reparameterized"),
    "miwae": lambda: recipes.miwae((6,), 3, num_samples=4),
    "vamp_vae": lambda: recipes.vamp_vae((6,), 3, num_components=9),
    "mixture_vae": lambda: recipes.mixture_vae((6,), 3),
    "flow_prior_vae": lambda: recipes.flow_prior_vae((6,), 3),
    "iaf_vae": lambda: recipes.iaf_vae((6,), 3),
    "planar_vae": lambda: recipes.planar_vae((6,), 3),
    "categorical_vae": lambda: recipes.categorical_vae((6,), 4, 3),
    "hyperspherical_vae": lambda: recipes.hyperspherical_vae((6,)),
    "sigma_vae": lambda: recipes.sigma_vae((6,), 3),
    "conditional_vae": lambda: recipes.conditional_vae((6,), 4, seed=3),
    "vq_vae": lambda: recipes.vq_vae((2, 3, 1), 8, 4, filters=(4,)),
    "rvq_vae": lambda: recipes.rvq_vae((2, 3, 1), 2, 8, 4, filters=(4,)),
    "fsq_vae": lambda: recipes.fsq_vae((2, 3, 1), (2, 3), filters=(4,)),
    "lfq_vae": lambda: recipes.lfq_vae((2, 3, 1), 3, filters=(4,)),
    "bsq_vae": lambda: recipes.bsq_vae((2, 3, 1), 3, filters=(4,)),
    "kl_autoencoder": lambda: recipes.kl_autoencoder((2, 3, 1), 2, filters=(4,)),
    "ladder_vae": lambda: recipes.ladder_vae((2, 3, 1), (2, 3), width=8),
    "deep_ladder_vae": lambda: recipes.deep_ladder_vae((2, 3, 1), 4, 1, width=4, num_scales=2),
}

GENERATE = """
import json
import numpy as np
import keras_vae
outputs = {}
for name in json.load(open("names.json")):
    vae = keras_vae.load_model(f"{name}.keras")
    condition = 1 if vae.condition_dim else None
    outputs[name] = vae.generate(4, seed=1, condition=condition)
np.savez("out.npz", **outputs)
"""


MADE_OF = {
    "annealed_vae": {"objective"},
    "info_vae": {"objective"},
    "wae_mmd": {"objective"},
    "wae_gan": {"objective"},
    "sigma_vae": {"likelihood"},
    "iwae": {"objective"},
    "miwae": {"objective"},
    "vamp_vae": {"prior"},
    "mixture_vae": {"prior"},
    "flow_prior_vae": {"prior"},
    "iaf_vae": {"posterior"},
    "planar_vae": {"posterior"},
    "categorical_vae": {"posterior"},
    "hyperspherical_vae": {"posterior"},
    "kl_autoencoder": {"objective"},
}
GIVEN = {
    "objective": objectives.ELBO(2.0),
    "prior": priors.StandardNormal(),
    "posterior": posteriors.DiagonalNormal(3),
    "likelihood": likelihoods.Bernoulli(),
}


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, parts in MADE_OF.items() for part in parts]
)
def test_what_makes_a_recipe_is_refused(name, part):
    shape = (2, 3, 1) if name == "kl_autoencoder" else (6,)
    with pytest.raises(ValueError, match=rf"`{part}` must be left out of recipes.{name}.*Received"):
        getattr(recipes, name)(shape, **{part: GIVEN[part]})


def test_further_penalties_are_added_to_those_of_the_recipe():
    dip = penalties.DIP(2.0)
    tc = recipes.beta_tc_vae((6,), dataset_size=64, penalties=[dip])
    mmd = recipes.wae_mmd((6,), penalties=[dip])
    vq = recipes.vq_vae((2, 3, 1), 8, 4, filters=(4,), penalties=[quantized.Commitment(2.0)])
    names = [[type(penalty).__name__ for penalty in vae.penalties] for vae in (tc, mmd, vq)]
    assert names == [["TotalCorrelation", "DIP"], ["MMD", "DIP"], ["Commitment", "Commitment"]]


@pytest.mark.slow
def test_every_paper_trains_evaluates_and_generates_in_a_new_process(tmp_path):
    rows = RNG.integers(0, 2, (64, 6)).astype("float32")
    expected = {}
    for name, make in PAPERS.items():
        keras.utils.set_random_seed(0)
        vae = make()
        x = rows.reshape(-1, *vae.x_shape)
        data = {"x": x, "condition": np.arange(64) % 4} if vae.condition_dim else x
        vae.compile("adam", run_eagerly=True)
        logs = vae.fit(data, epochs=1, verbose=0, validation_data=data).history
        assert np.isfinite(list(logs.values())).all(), name
        vae.save(tmp_path / f"{name}.keras")
        expected[name] = vae.generate(4, seed=1, condition=1 if vae.condition_dim else None)
    (tmp_path / "names.json").write_text(json.dumps(list(PAPERS)))
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    command = [sys.executable, "-c", GENERATE]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    loaded = read_arrays(tmp_path / "out.npz")
    for name, images in expected.items():
        np.testing.assert_array_equal(loaded[name], images, err_msg=name)


def test_every_recipe_is_among_the_papers():
    others = {"fitting_networks", "tutorial_vae", "linear_vae", "table_vae"}
    assert set(recipes.__all__) == {name.split()[0] for name in PAPERS} | others


DENSE = set(PAPERS) - {
    *("vq_vae", "rvq_vae", "fsq_vae", "lfq_vae", "bsq_vae", "kl_autoencoder"),
    *("ladder_vae", "deep_ladder_vae"),
}
CALLS = {
    "vae": ((6,),),
    "beta_tc_vae": ((6,), 64, 2),
    "categorical_vae": ((6,), 4, 3),
    "conditional_vae": ((6,), 4),
    "tutorial_vae": ((4, 4, 1), 3),
    "vq_vae": ((2, 3, 1), 8, 4),
    "rvq_vae": ((2, 3, 1), 2, 8, 4),
    "fsq_vae": ((2, 3, 1), (2, 3)),
    "lfq_vae": ((2, 3, 1), 3),
    "bsq_vae": ((2, 3, 1), 3),
    "kl_autoencoder": ((2, 3, 1), 2),
    "ladder_vae": ((2, 3, 1), (2, 3), 8),
    "deep_ladder_vae": ((2, 3, 1), 4, 1, 4),
}
"""Arguments of each recipe that is not called like `recipes.iwae((6,), 3)`."""
OPTIONS = {
    **{name: {"filters": (4,)} for name in ("vq_vae", "rvq_vae", "fsq_vae", "kl_autoencoder")},
    **{name: {"filters": (4,)} for name in ("lfq_vae", "bsq_vae")},
    "deep_ladder_vae": {"num_scales": 2},
}
TAKE_UNITS = sorted({name.split()[0] for name in DENSE})
TAKE_NETWORKS = sorted({name.split()[0] for name in PAPERS} | {"tutorial_vae"})


def called(name, **more):
    arguments, options = CALLS.get(name, ((6,), 3)), OPTIONS.get(name, {})
    return getattr(recipes, name)(*arguments, **options, **more)


def fits_one_batch(vae):
    x = RNG.integers(0, 2, (8, *vae.x_shape)).astype("float32")
    data = {"x": x, "condition": np.arange(8) % 4} if vae.condition_dim else x
    vae.compile("adam", run_eagerly=True)
    return np.isfinite(vae.train_on_batch(data)).all()


def hidden_widths(network):
    found = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    return [layer.units for layer in found]


@pytest.mark.parametrize("name", TAKE_UNITS)
def test_units_are_the_hidden_layers_of_both_networks(name):
    vae = called(name, units=(7, 5))
    assert hidden_widths(vae.encoder) == [7, 5]
    assert hidden_widths(vae.decoder)[:-1] == [5, 7]
    assert fits_one_batch(vae)


def test_units_of_counts_and_of_images():
    counts = recipes.vae((6,), likelihood=likelihoods.Poisson(), units=(7,))
    assert counts.encoder.count_params() == 6 * 7 + 7
    image = recipes.vae((4, 4, 1), units=[9])
    assert hidden_widths(image.encoder) == [9]
    assert image.encoder.input_shape == (None, 4, 4, 1)


@pytest.mark.parametrize("role", ["encoder", "decoder"])
@pytest.mark.parametrize("name", TAKE_NETWORKS)
def test_a_network_takes_the_place_of_the_recipes_own(name, role):
    network = getattr(called(name), role)
    vae = called(name, **{role: network})
    other = "decoder" if role == "encoder" else "encoder"
    assert getattr(vae, role) is network
    assert getattr(vae, other) is not None
    assert fits_one_batch(vae)


@pytest.mark.parametrize("name", TAKE_NETWORKS)
def test_units_beside_a_network_or_without_a_use_are_refused(name):
    with pytest.raises(
        ValueError, match=rf"`units` must be .*recipes\.{name}.*; .*Received: units"
    ):
        called(name, units=(8,), encoder=called(name).encoder)


@pytest.mark.parametrize("name", sorted(set(TAKE_NETWORKS) - set(TAKE_UNITS)))
def test_units_of_convolutions_and_ladders_are_refused(name):
    with pytest.raises(ValueError, match=rf"`units` must be left out of recipes\.{name}, .*Receiv"):
        called(name, units=(8,))


@pytest.mark.parametrize("name", ["encoder", "decoder", "units"])
def test_a_linear_vae_takes_no_networks(name):
    given = {"encoder": recipes.vae((6,)).encoder, "decoder": recipes.vae((6,)).decoder}
    given["units"] = (8,)
    with pytest.raises(
        ValueError, match=rf"`{name}` must be left out of recipes.linear_vae, .*Rec"
    ):
        recipes.linear_vae((6,), **{name: given[name]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: recipes.miwae((66, 65, 1), units=(8,)), "recipes.miwae, .*convolutional"),
        (lambda: recipes.fitting_networks((66, 65, 1), units=(8,)), "recipes.fitting_networks"),
        (lambda: recipes.vae((6,), units=8), "a sequence of widths"),
        (lambda: recipes.vae((6,), units=(8, 0)), "an integer of at least 1.*recipes.vae"),
        (lambda: recipes.iwae((5,), encoder=recipes.vae((6,)).encoder), r"\(batch, 5\)"),
        (lambda: recipes.iwae((6,), 5, decoder=recipes.vae((6,)).decoder), r"\(batch, 5\)"),
    ],
)
def test_units_and_networks_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=rf"^`\w+` .*{message}.*Received: "):
        make()


MODELS = {
    "features": lambda: (recipes.vae((6,), latent_dim=3), (6,)),
    "int": lambda: (recipes.vae(6), (6,)),
    "odd": lambda: (recipes.vae((9, 7, 3), beta=schedules.Linear(10)), (9, 7, 3)),
    "convolutional": lambda: (
        recipes.vae((66, 65, 1), likelihood=likelihoods.Normal("optimal")),
        (66, 65, 1),
    ),
    "tutorial": lambda: (recipes.tutorial_vae((12, 11, 1)), (12, 11, 1)),
    "tutorial, colour": lambda: (recipes.tutorial_vae((9, 14, 3)), (9, 14, 3)),
    "linear": lambda: (recipes.linear_vae((5, 5, 1), latent_dim=3), (5, 5, 1)),
    "linear, one axis": lambda: (recipes.linear_vae((7,)), (7,)),
}
USUAL = ("features", "linear")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=() if name in USUAL else pytest.mark.slow)
        for name, make in MODELS.items()
    ],
)
def test_recipes_learn(make):
    keras.utils.set_random_seed(0)
    vae, shape = make()
    x = np.repeat(RNG.random((1, *shape), "float32"), 4, axis=0)
    vae.compile("adam", run_eagerly=True)  # 16 steps take less time than tracing one
    before = vae.elbo(x).mean()  # always of the same noise
    losses = vae.fit(x, epochs=16, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert vae.elbo(x).mean() > before


def test_linear_vae_has_no_hidden_layer():
    vae = recipes.linear_vae((6,), latent_dim=2)
    assert vae.encoder.count_params() == 0
    assert vae.decoder.count_params() == 2 * 6 + 6
