"""The table of `containers.py`: every container in every method, with good data and bad."""

import itertools

import containers
import keras
import numpy as np
import pytest
from containers import CASES, CONTAINERS, METHODS, PIPELINES

import keras_vae
from keras_vae import networks, random

# Keras' own, of a generator that ends in `fit` and `evaluate`
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")

ALL = (*CONTAINERS, *PIPELINES)
PAIRWISE = [
    (container, method, CASES[(i + j) % len(CASES)])
    for (i, container), (j, method) in itertools.product(enumerate(ALL), enumerate(METHODS))
]
"""Every pair of a container and a method, of a container and a case, and of a method and a case."""


@pytest.fixture(scope="module")
def vae():
    """A model that does not move when it is trained."""
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        networks.dense_encoder((containers.FEATURES,), (8,)),
        networks.dense_decoder(containers.LATENT, (containers.FEATURES,), (8,)),
        seed=0,
    )
    vae.compile(keras.optimizers.SGD(0.0))
    return vae


@pytest.fixture(scope="module")
def results_of_numpy():
    """The results of each method for NumPy arrays, as they are needed."""
    return {}


def run(vae, container, method, case):
    """One cell, with the noise of training and the warning of unusual values begun anew."""
    vae._train_noise.state.assign([random.stream(0, 0), 0])
    vae.reset_metrics()
    vae.warned_of_unusual_values = False
    return containers.call(vae, container, method, case)


def check(vae, results_of_numpy, container, method, case):
    containers.skip_without_package(container)
    outcome = containers.expected(container, method, case)
    if outcome == "refused":
        step = int(vae.optimizer.iterations)
        with pytest.raises(ValueError, match=r"(?s)^`[^`]*`.*Received: "):
            run(vae, container, method, case)
        assert int(vae.optimizer.iterations) == step
    elif outcome == "warns":
        with pytest.warns(UserWarning, match="outside the support"):
            run(vae, container, method, case)
    elif outcome == "works":
        if method not in results_of_numpy:
            results_of_numpy[method] = run(vae, "numpy", method, "good")
        found = run(vae, container, method, "good")
        assert_close(found, results_of_numpy[method])


def assert_close(found, wanted):
    keras.tree.assert_same_structure(found, wanted)
    for a, b in zip(keras.tree.flatten(found), keras.tree.flatten(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def cells(product):
    return [c for c in product if containers.expected(*c) != "-"]


@pytest.mark.parametrize(("container", "method", "case"), cells(PAIRWISE))
def test_pairwise(vae, results_of_numpy, container, method, case):
    check(vae, results_of_numpy, container, method, case)


@pytest.mark.slow
@pytest.mark.parametrize(("container", "method"), list(itertools.product(ALL, METHODS)))
def test_full_product(vae, results_of_numpy, container, method):
    for case in CASES:
        check(vae, results_of_numpy, container, method, case)


LATER = [m for m in METHODS if m not in {*containers.NOT_IN_BATCHES, "interpolate"}]


@pytest.mark.parametrize("method", LATER)
@pytest.mark.parametrize("container", PIPELINES)
@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_bad_values_in_a_later_batch_are_an_error_that_names_it(vae, container, method, value):
    containers.skip_without_package(container)
    x = np.tile(containers.data("good")[0], (3, 1))
    x[-1, 0] = value
    only_encoded = containers.expected(container, method, "outside") == "warns"
    if only_encoded and value == 3.0:
        METHODS[method](vae, PIPELINES[container](x), None)
        return
    with pytest.raises(ValueError, match=r"(?s)^`.*Received: .*batch 5\b"):
        METHODS[method](vae, PIPELINES[container](x), None)


@pytest.mark.parametrize("condition", [[0, 1, 2, 5], np.full((4, 3), np.nan)])
def test_a_bad_condition_in_a_later_batch_is_an_error(condition):
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        networks.dense_encoder((4,), (8,), condition_dim=3),
        networks.dense_decoder(2, (4,), (8,), condition_dim=3),
    )
    vae.compile(keras.optimizers.SGD(0.0))
    x, condition = containers.data("good")[0][:4], np.asarray(condition)
    first = np.zeros_like(condition)
    for run in (vae.fit, vae.evaluate, vae.encode, vae.elbo):
        data = ({"x": x, "condition": c} for c in (first, first, first, condition))
        with pytest.raises(ValueError, match=r"(?s)^`.*Received: .*batch 3\b"):
            run(data, verbose=0)
