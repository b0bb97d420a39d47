"""Images with labels, with values from 0 to 255, and with their channels first."""

import re
import warnings

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vae
from keras_vae import likelihoods, networks, recipes

# Keras' own, of a generator that ends
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(256, size=(8, 6, 6, 3)).astype("float32")


def model(likelihood=None, **options):
    vae = recipes.vae((6, 6, 3), 2, likelihood, units=(4,), **options)
    vae.compile("adam")
    return vae


@pytest.fixture
def directory(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i, image in enumerate(PIXELS.astype("uint8")):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    return tmp_path


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("label_mode", "condition_dim", "kind"),
    [("int", None, "float"), ("categorical", None, "float"), ("int", 2, "float"), ("int", None, 1)],
)
def test_the_error_for_labelled_images_prints_the_line_that_mends_it(
    directory, label_mode, condition_dim, kind
):
    dataset = keras.utils.image_dataset_from_directory(
        directory, image_size=(6, 6), batch_size=4, label_mode=label_mode, verbose=False
    )
    if kind == 1:  # scaled already
        dataset = dataset.map(lambda x, y: (x / 255, y))
    vae = model(condition_dim=condition_dim)
    for method in (vae.fit, vae.evaluate):
        with pytest.raises(ValueError, match=r"^`x` must yield images .*Received: x with") as error:
            method(dataset, verbose=0)
    line = re.search(r"`dataset\.(map\(.*\))`\. Received", str(error.value))[1]
    scaled = eval(f"dataset.{line}", {"dataset": dataset})  # noqa: S307
    assert np.isfinite(vae.fit(scaled, verbose=0).history["loss"][0])


@pytest.mark.tensorflow
def test_images_without_labels_are_refused_as_before(directory):
    dataset = keras.utils.image_dataset_from_directory(
        directory, label_mode=None, image_size=(6, 6), verbose=False
    )
    with pytest.raises(ValueError, match=r"8-bit images: `x / 255`.*Received"):
        model().fit(dataset, verbose=0)
    model().fit(dataset.map(lambda x: x / 255), verbose=0)


def test_generators_of_labelled_images_are_told_to_leave_labels_out():
    with pytest.raises(ValueError, match=r"let it yield x / 255 alone\. Received: x with shape"):
        model().fit(((PIXELS, np.arange(8)) for _ in range(2)), verbose=0)


def test_targets_of_another_kind_than_images_are_no_labels():
    encoder = networks.dense_encoder((6, 6, 3), units=(4,))
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (3,), units=(4,)))
    vae.compile("adam")
    vae.evaluate(((PIXELS / 255, np.ones((8, 3), "float32")) for _ in range(1)), verbose=0)


def test_channels_first_are_told_how_to_move():
    first = np.moveaxis(PIXELS, -1, 1) / 255
    for method in ("fit", "encode", "evaluate"):
        with pytest.raises(ValueError, match=r"`np.moveaxis\(x, 1, -1\)`\. Received"):
            getattr(model(), method)(first)
    model().encode(np.moveaxis(first, 1, -1))


@pytest.mark.parametrize(
    ("name", "kind"), [("Normal", "uint8"), ("Laplace", "array"), ("StudentT", "generator")]
)
def test_bytes_under_a_likelihood_of_all_numbers_are_warned_of_once(name, kind):
    vae = model(getattr(likelihoods, name)())
    x = PIXELS.astype("uint8") if kind == "uint8" else PIXELS
    given = (x for _ in range(1)) if kind == "generator" else x
    with pytest.warns(UserWarning, match=r"values up to 25\d: train on `x / 255`"):
        vae.evaluate(given, verbose=0)
    vae.evaluate(x, verbose=0)  # a warning would be an error


@pytest.mark.parametrize("case", ["scaled", "negative", "large", "scaling", "vectors"])
def test_other_numbers_are_not_warned_of(case):
    x = {
        "scaled": PIXELS / 255,
        "negative": PIXELS - 128,
        "large": 100 * PIXELS,
        "scaling": PIXELS,
        "vectors": PIXELS[:, 0, 0],
    }[case]
    vae = recipes.vae(x.shape[1:], 2, likelihoods.Normal(), units=(4,))
    if case == "scaling":
        encoder = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                keras.layers.Rescaling(1 / 255),
                networks.dense_encoder((6, 6, 3), units=(4,)),
            ]
        )
        vae = recipes.vae((6, 6, 3), 2, likelihoods.Normal(), encoder=encoder)
    vae.compile("sgd")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`x` has columns")
        vae.evaluate(x, verbose=0)
