"""The estimate of the memory that training takes, counted by hand for small networks."""

import os

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import memory, networks, objectives, optimizers, recipes


def dense(optimizer="adam", **parts):
    """3 -> 4 -> mean and log-variance of 2; 2 -> 4 -> 3."""
    vae = keras_vae.VAE(
        networks.dense_encoder((3,), units=(4,)),
        networks.dense_decoder(2, (3,), units=(4,)),
        **parts,
    )
    vae.compile(optimizer)
    return vae


WEIGHTS = (3 * 4 + 4) + (4 * 4 + 4) + (2 * 4 + 4) + (4 * 3 + 3)


@pytest.mark.backends
def test_parts_are_those_counted_by_hand():
    vae = dense()
    found = memory.training_memory(vae, batch_size=10)
    assert found.gradients == 4 * WEIGHTS
    assert found.optimizer == 2 * 4 * WEIGHTS
    assert 0 <= found.weights - 4 * WEIGHTS < 1000  # beside them the metrics and the noise
    encoder, decoder = 3 + 3 + 4, 2 + 4 + 3 + 3  # with Flatten and Reshape
    assert found.activations == 4 * 10 * (encoder + decoder + 2 * 4)
    assert found.total == sum(found)


def test_a_convolution_counts_all_its_places():
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, strides=2, padding="same"),
            keras.layers.Flatten(),
        ]
    )
    vae = keras_vae.VAE(encoder, networks.dense_decoder(2, (8, 8, 3), units=()))
    vae.compile("sgd")
    found = memory.training_memory(vae, 7)
    outputs = [4 * 4 * 5, 4 * 4 * 5, 2, 192, 192]  # the input of a Sequential is no layer of it
    assert found.activations == 4 * 7 * (sum(outputs) + 2 * 192)
    assert found.optimizer == 0


def test_each_draw_is_decoded():
    one, five = (
        memory.training_memory(dense(objective=objectives.IWAE(num_samples=k)), 10) for k in (1, 5)
    )
    more, largest = 4 * 10 * 4, 4  # bytes of a number for all other draws; numbers
    assert five.activations - one.activations == more * (2 + 4 + 3 + 3) + 2 * more * largest


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (keras.optimizers.SGD(0.1), 0),
        (keras.optimizers.SGD(0.1, momentum=0.9), 1),
        (keras.optimizers.Adam(amsgrad=True), 3),
        (optimizers.GradientNormGuard(keras.optimizers.Adam()), 2),
    ],
)
def test_slots_are_those_of_the_optimizer(optimizer, slots):
    assert memory.training_memory(dense(optimizer), 1).optimizer == 4 * slots * WEIGHTS


def test_what_does_not_fit_is_refused_before_the_first_step(monkeypatch):
    vae, x = dense(), np.zeros((50, 3), "float32")
    needed = memory.training_memory(vae, 32).total
    monkeypatch.setattr(memory, "machine_memory", lambda: needed - 1)
    with pytest.raises(
        ValueError, match=r"`batch_size` must fit.*filters.*Received: batch_size=32"
    ):
        vae.fit(x, verbose=0)
    assert int(vae.optimizer.iterations) == 0
    vae.fit(x, batch_size=8, verbose=0)
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    vae.fit(x, verbose=0)


def test_batches_tell_their_size(monkeypatch):
    vae, x = dense(), np.zeros((50, 3), "float32")
    monkeypatch.setattr(memory, "machine_memory", lambda: memory.training_memory(vae, 20).total)
    with pytest.raises(ValueError, match="Received: batch_size=21"):
        vae.fit(keras_vae.datasets.Batches(x, 21), verbose=0)


def test_twelve_large_photos_that_ended_a_process_are_too_much_for_its_machine():
    """Counted without making the model: all that grows does so with the number of places.

    The networks are those that the recipe then had.
    """
    places = np.array([9 * 12, 9 * 16, 113 * 150])  # of the smallest grid
    found = []
    for width in (96, 128):
        shape = (72, width, 3)
        encoder, decoder = networks.residual_encoder(shape), networks.residual_decoder(2, shape)
        vae = recipes.vae(shape, 2, encoder=encoder, decoder=decoder)
        vae.compile("adam")
        found.append(memory.training_memory(vae, 12))
    slope = np.subtract(*found[::-1]) / (places[1] - places[0])
    large = found[0] + slope * (places[2] - places[0])
    assert sum(large[:3]) == pytest.approx(4 * 4 * 2 * 128 * 256 * places[2], rel=0.01)
    assert sum(large) > 25.2e9  # a process had 21.7 GB when it was ended


def test_the_memory_of_a_machine_is_that_of_the_system():
    if not os.path.exists("/proc/meminfo"):
        pytest.skip("the system has no /proc/meminfo to compare with")
    with open("/proc/meminfo") as file:
        kilobytes = int(file.readline().split()[1])
    assert memory.machine_memory() == pytest.approx(1024 * kilobytes, rel=0.01)


def test_a_system_without_sysconf_has_no_check(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    assert memory.machine_memory() is None
