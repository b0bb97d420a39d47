"""Moving averages of the weights are evaluated and saved, and training does not change."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_vae
from keras_vae import adversarial, callbacks, networks, recipes

pytestmark = pytest.mark.backends

X = np.random.default_rng(0).random((16, 6), "float32")
MOMENTUM = 0.7


def plain():
    keras.utils.set_random_seed(0)
    vae = recipes.vae((6,), 2, units=(8,), seed=0)
    vae.compile(keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=MOMENTUM))
    return vae


def opposed():
    keras.utils.set_random_seed(0)
    parts = (networks.dense_encoder((6,), units=(8,)), networks.dense_decoder(2, (6,), units=(8,)))
    adversary = adversarial.PriorAdversary(networks.discriminator(2, units=(4,)))
    vae = adversarial.AdversarialVAE(*parts, penalties=[adversary], seed=0)
    vae.compile(
        keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=MOMENTUM),
        keras.optimizers.Adam(0.01),
    )
    return vae


class Watch(keras.callbacks.Callback):
    """Records the weights after each epoch, and those that are evaluated."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.trained, self.evaluated, self.stop_after = [], [], stop_after

    def values(self):
        return [np.array(ops.convert_to_numpy(v)) for v in self.model.trainable_variables]

    def on_test_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.evaluated.append(self.values())

    def on_epoch_end(self, epoch, logs=None):
        self.trained.append(self.values())
        if epoch == self.stop_after:
            raise OSError("power cut")


def fit(make=plain, epochs=4, before=(), stop_after=None):
    """The model after so many epochs of one step, and what was seen."""
    vae, watch = make(), Watch(stop_after)
    vae.fit(
        X,
        batch_size=16,
        epochs=epochs,
        shuffle=False,
        validation_data=X,
        verbose=0,
        callbacks=[*before, watch],
    )
    return vae, watch


def averages(trained):
    """The recurrence, in NumPy."""
    average, found = trained[0], []
    for weights in trained:
        average = [MOMENTUM * a + (1 - MOMENTUM) * w for a, w in zip(average, weights, strict=True)]
        found.append(average)
    return found


def of_vae(vae, weights):
    """The weights without those of a discriminator."""
    pairs = zip(vae.trainable_variables, weights, strict=True)
    return [w for v, w in pairs if not getattr(v, "of_discriminator", False)]


@pytest.mark.parametrize("make", [plain, opposed])
def test_averages_are_evaluated_and_saved_while_training_goes_on(make, tmp_path):
    _, without = fit(make)
    path = tmp_path / "averaged.keras"
    vae, watch = fit(make, before=[callbacks.AveragedWeights(path)])
    for step, expected in enumerate(averages(watch.trained)):
        found = of_vae(vae, watch.evaluated[step])
        for a, b in zip(found, of_vae(vae, expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(watch.trained[step], without.trained[step], strict=True):
            np.testing.assert_array_equal(a, b)
    loaded = keras_vae.load_model(path)
    for a, b in zip(loaded.get_weights(), vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_resumed_run_has_the_same_averages(tmp_path):
    vae, whole = fit(before=[callbacks.AveragedWeights()])
    callbacks_of = lambda: [callbacks.AveragedWeights(), callbacks.Backup(tmp_path)]  # noqa: E731
    for epoch in (0, 2):
        with pytest.raises(OSError, match="power cut"):
            fit(before=callbacks_of(), stop_after=epoch + 1)
    again, rest = fit(before=callbacks_of())
    np.testing.assert_array_equal(rest.evaluated[-1][0], whole.evaluated[-1][0])
    for a, b in zip(again.get_weights(), vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_optimizer_without_averages_is_refused():
    vae = plain()
    vae.compile("adam")
    with pytest.raises(ValueError, match=r"`callbacks` with an AveragedWeights.*Received"):
        vae.fit(X, verbose=0, callbacks=[callbacks.AveragedWeights()])
    with pytest.raises(ValueError, match=r"must end in '.keras'"):
        callbacks.AveragedWeights("averaged.h5")
