"""The VAE and VampPrior rows of the Exemplar-VAE paper's Fashion-MNIST table, re-run.

    python benchmarks/published/exemplar.py --prior standard --seed 0
    python benchmarks/published/exemplar.py --prior vamp --seed 0
    python benchmarks/published/exemplar.py --prior vamp --seed 0 --short 150
    python benchmarks/published/exemplar.py --prior vamp --seed 0 --short 150 \\
        --start runs/exemplar/vamp-0-short-150/best.keras

Protocol (Norouzi et al., Exemplar VAE, arXiv:2004.04795, table 2 and appendix; the published code):
50,000 training and 10,000 validation images, drawn as 0 or 1 with their grey level as probability,
anew in each epoch for training, once for validation and test. Encoder and decoder of two gated
dense layers of 300; 40 latents; batches of 100; rate 5e-4; beta from 0 to 1 over the first 100
epochs; training ends when the validation ELBO has not risen for 50 epochs after those. The best
model by validation is tested: importance-weighted log-likelihood of the 10,000 test images from
5,000 draws. The paper's code normalises gradients before Adam and cuts log-variances to [-6, 2];
this has plain Adam and the library's wider bound.

`--short` trains for that many epochs instead, at a rate that falls from 1e-3 to 0 along a cosine,
with beta rising over the first quarter; all else is the same. `--start` begins with the weights of
a saved model, and beta is 1 throughout: a warm restart (Loshchilov and Hutter, arXiv:1608.03983).

Published: 228.70 ± 0.15 nats for the VAE, 227.35 ± 0.05 with the VampPrior of 500 components.

Stopped, it goes on where it was when started again.
"""

import argparse
import pathlib
import time

import keras
import numpy as np
from keras import layers

import keras_vae
from keras_vae import callbacks, datasets, objectives, posteriors, priors, schedules

SHAPE, LATENTS, WIDTH, BATCH = (784,), 40, 300, 100
WARM_UP, PATIENCE = 100, 50  # epochs


def gated(x):
    """Dauphin et al., Language Modeling with Gated Convolutional Networks (arXiv:1612.08083)."""
    return layers.Multiply()([layers.Dense(WIDTH)(x), layers.Dense(WIDTH, "sigmoid")(x)])


def network(width_in, outputs=None):
    x = inputs = keras.Input((width_in,))
    x = gated(gated(x))
    return keras.Model(inputs, x if outputs is None else layers.Dense(outputs)(x))


def data():
    """Training images in grey, and validation and test images drawn once as 0 or 1."""
    (x, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x, x_test = x.reshape(-1, 784), x_test.reshape(-1, 784)
    rng = np.random.default_rng(777)
    drawn = [(rng.random(a.shape) < a / 255.0).astype("float32") for a in (x[50_000:], x_test)]
    return x[:50_000], *drawn


def new_model(prior, seed, x, warm_up, rate, start=None):
    """A compiled model; pseudo-inputs begin with training images."""
    keras.utils.set_random_seed(seed)
    steps = warm_up * len(x) // BATCH
    beta = schedules.Linear(steps) if steps else 1.0
    vae = keras_vae.VAE(
        network(784),
        network(LATENTS, 784),
        posteriors.DiagonalNormal(LATENTS),
        priors.StandardNormal() if prior == "standard" else priors.VampPrior(SHAPE, 500),
        objective=objectives.ELBO(beta=beta),
        seed=seed,
    )
    if start:
        vae.load_weights(start)  # before `compile`: the optimizer begins anew
    vae.compile(keras.optimizers.Adam(rate))
    if prior == "vamp" and not start:
        vae.prior.pseudo_inputs.assign(x[:500] / 255.0)
    return vae


class Seconds(keras.callbacks.Callback):
    """Adds the time of each epoch to the logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self.start


def train(arguments, folder):
    """Trains to its end, or goes on from the last whole epoch; returns the best model."""
    x, x_validation, _ = data()
    epochs, warm_up, rate = arguments.epochs, WARM_UP, 5e-4
    if arguments.short:
        epochs, warm_up = arguments.short, arguments.short // 4
        rate = keras.optimizers.schedules.CosineDecay(1e-3, epochs * len(x) // BATCH)
    if arguments.start:
        warm_up = 0
    vae = new_model(arguments.prior, arguments.seed, x, warm_up, rate, arguments.start)
    best = keras.callbacks.EarlyStopping(
        "val_loss",
        mode="min",
        patience=PATIENCE,
        restore_best_weights=True,
        start_from_epoch=warm_up,
    )
    vae.fit(
        datasets.Batches(x, BATCH, shuffle=True, seed=arguments.seed, binarize=True),
        epochs=epochs,
        validation_data=x_validation,
        validation_batch_size=1000,
        shuffle=False,
        verbose=2,
        callbacks=[
            Seconds(),
            callbacks.HistoryFile(folder / "history.csv"),
            best,
            callbacks.Backup(folder / "backup"),
        ],
    )
    return vae, best.best_epoch + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prior", choices=["standard", "vamp"], default="standard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2000, help="at most")
    parser.add_argument("--short", type=int, metavar="EPOCHS", help="another, shorter training")
    parser.add_argument("--start", metavar="FILE", help="a model of this script, to train on")
    parser.add_argument("--draws", type=int, default=5000, help="for the likelihood")
    parser.add_argument("--output", default="runs/exemplar", help="folder for what it leaves")
    arguments = parser.parse_args()
    short = f"-short-{arguments.short}" if arguments.short else ""
    short += "-restarted" if arguments.start else ""
    folder = pathlib.Path(arguments.output) / f"{arguments.prior}-{arguments.seed}{short}"
    folder.mkdir(parents=True, exist_ok=True)
    vae, best = train(arguments, folder)
    vae.save(folder / "best.keras")
    history = callbacks.read_history(folder / "history.csv")
    x_test = data()[-1]
    elbo = vae.elbo(x_test, batch_size=1000).mean()
    start = time.perf_counter()
    nll = -vae.log_likelihood(x_test, num_samples=arguments.draws, batch_size=200).mean()
    print(
        f"prior={arguments.prior} seed={arguments.seed} epochs={len(history['epoch'])} "
        f"best={best} ELBO={elbo:.2f} NLL={nll:.2f} nats, {arguments.draws} draws; "
        f"trained {sum(history['seconds']):.0f} s, tested {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
