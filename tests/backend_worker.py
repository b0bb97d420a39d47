"""Trains small models on the backend that KERAS_BACKEND names: `backend_worker.py FOLDER`.

All backends have the same weights, data and noise: the noise comes with x. Writes what came of it
to FOLDER/BACKEND.npz, and with `load` what comes of the models that other backends left there.
"""

import pathlib
import sys

import keras
import numpy as np
from keras import layers, ops

if keras.backend.backend() != "tensorflow":
    sys.modules["tensorflow"] = None  # whoever imports it fails

import keras_vae
from keras_vae import (
    likelihoods,
    networks,
    objectives,
    penalties,
    posteriors,
    quantized,
    schedules,
)

RNG = np.random.default_rng(0)
X, NOISE, W = RNG.random((61, 6)), RNG.normal(size=(61, 6)), RNG.random(61)
X, NOISE, W = (a.astype("float32") for a in (X, NOISE, W))  # batches of 16, the last of 13
LATENT_DIM, DRAWS = 2, 3


@keras.saving.register_keras_serializable("tests")
class Fed(posteriors.DiagonalNormal):
    """A DiagonalNormal whose noise is the last columns of the features."""

    def build(self, features_shape):
        super().build((features_shape[0], features_shape[1] - DRAWS * LATENT_DIM))

    def call(self, features):
        noise = ops.reshape(features[:, -DRAWS * LATENT_DIM :], (-1, DRAWS, LATENT_DIM))
        return {**super().call(features[:, : -DRAWS * LATENT_DIM]), "noise": noise}

    def sample(self, q, num_samples, seed):
        noise = ops.transpose(q["noise"][:, :num_samples], (1, 0, 2))
        return q["mean"] + ops.exp(0.5 * q["log_variance"]) * ops.cast(noise, "float32")


def encoder(**options):
    x = inputs = keras.Input((12,))
    hidden = layers.Dense(8, "gelu", **options)(x[:, :6])
    return keras.Model(inputs, layers.Concatenate()([hidden, x[:, 6:]]))


def case(optimizer, policy="float32", network=encoder, compiled=(), **parts):
    """`parts` are arguments of VAE, each a function that makes one."""
    return dict(locals())


def vector_quantizer():
    return quantized.VectorQuantizer(4, 5, 2, restart=0.0)


def restart_alike():
    """Restarts codes at the same features on every backend, where noise would choose them."""
    drawn = quantized.vector._drawn
    quantized.vector._drawn = lambda weights, noise: drawn(weights, ops.linspace(0.0, 0.99, 5))


def eight_features():
    return keras.Sequential([keras.Input((12,)), layers.Dense(8, "tanh")])


def regularised():
    return encoder(kernel_regularizer=keras.regularizers.L2(0.1))


Adam, SGD = keras.optimizers.Adam, keras.optimizers.SGD
CASES = {
    "warm-up": case(
        lambda: Adam(0.01), objective=lambda: objectives.ELBO(schedules.Linear(18, end=2.0))
    ),
    "accumulation": case(
        lambda: Adam(0.01, gradient_accumulation_steps=2, clipnorm=0.1),
        objective=lambda: objectives.ELBO(schedules.Linear(9, end=2.0)),
    ),
    "AdamW, clipping, EMA": case(
        lambda: keras.optimizers.AdamW(0.01, global_clipnorm=0.1, use_ema=True), network=regularised
    ),
    "mixed_float16": case(lambda: SGD(0.05, clipvalue=0.05), "mixed_float16"),
    "DReG": case(
        lambda: Adam(0.01), objective=lambda: objectives.IWAE(3, "doubly_reparameterized")
    ),
    "penalties": case(
        lambda: Adam(0.01),
        likelihood=lambda: likelihoods.Normal("optimal"),
        penalties=lambda: [penalties.DIP(), penalties.TotalCorrelation(61)],
    ),
    "vector quantizer": case(
        lambda: SGD(0.05),
        network=eight_features,
        posterior=vector_quantizer,
        penalties=lambda: [quantized.Commitment()],
    ),
    "learned quantizer": case(
        lambda: Adam(0.01),
        network=eight_features,
        posterior=lambda: quantized.VectorQuantizer(4, 5, 2, decay=None, restart=0.5),
        penalties=lambda: [quantized.Commitment()],
    ),
}


def model(options):
    """The compiled model of a case, with weights that every backend gives alike."""
    keras.config.set_dtype_policy(options["policy"])
    posterior = options["parts"].get("posterior", lambda: Fed(LATENT_DIM))()
    parts = {role: make() for role, make in options["parts"].items() if role != "posterior"}
    decoder = networks.dense_decoder(posterior.latent_dim, (6,), units=(8,))
    vae = keras_vae.VAE(options["network"](), decoder, posterior, seed=3, **parts)
    rng = np.random.default_rng(1)
    for weight in [*vae.trainable_weights, *getattr(vae.posterior, "weights", [])]:
        weight.assign(rng.normal(0.0, 0.3, weight.shape))
    vae.compile(options["optimizer"](), metrics=["mae"])
    return vae


def train(vae, epochs=5):
    """20 steps; the logs of each epoch and the weights."""
    x = np.concatenate([X, NOISE], axis=1)
    fitted = vae.fit(x, X, 16, epochs, 0, sample_weight=W, validation_data=(x, X, W), shuffle=False)
    weights = np.concatenate([np.ravel(w) for w in vae.get_weights()])
    return {"logs": np.array(list(fitted.history.values())), "weights": weights}


def train_all(folder):
    restart_alike()
    results = {}
    for name, options in CASES.items():
        vae = model(options)
        for key, value in train(vae).items():
            results[f"{name}|{key}"] = value
        if name in ("warm-up", "vector quantizer"):
            vae.save(folder / f"{keras.backend.backend()}, {name}.keras")
    return results


def load_all(folder):
    results = {}
    for path in sorted(folder.glob("*.keras")):
        keras.config.set_dtype_policy("float32")
        vae = keras_vae.load_model(path)
        results[f"{path.stem}|predictions"] = vae.predict(np.hstack([X, NOISE]), verbose=0)
        for key, value in train(vae, 2).items():
            results[f"{path.stem}|{key}"] = value
    return results


def main(folder, task):
    results = {"train": train_all, "load": load_all}[task](pathlib.Path(folder))
    np.savez(pathlib.Path(folder) / f"{keras.backend.backend()}-{task}.npz", **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
