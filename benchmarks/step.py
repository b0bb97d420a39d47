"""What `fit` leaves out of Keras' training step on TensorFlow, and what that saves.

    python benchmarks/step.py

Protocol: two equal models in one process, 2 latents, Adam at 1e-3, train in turn over the same
images of Fashion-MNIST (or the same 20 pixels of them), `--rounds` epochs each after a first one.
One of them runs its step as Keras would. Printed is the median over the rounds of the CPU time of
Keras' own way over that of ours, and the least and the largest; above 1 ours is faster. The losses
are those of both models in the last epoch. The first step is compared likewise with new models, a
pair in each round, from `compile` to the end of a `fit` of one batch.
"""

import argparse
import statistics
import time
from unittest import mock

import keras

import keras_vae
from keras_vae import keras_compat, networks, optimizers
from keras_vae.trainers import Trainer

FLAT_LOGS = (keras_compat.TensorFlowHooks, "_make_function", keras.Model._make_function)
ONE_KERNEL = (optimizers, "apply", lambda optimizer, *both: optimizer.apply(*both))
TRACED_ONCE = (Trainer, "make_train_function", keras.Model.make_train_function)


def dense(shape, seed):
    return keras_vae.VAE(
        networks.dense_encoder(shape, [64]), networks.dense_decoder(2, shape, [64]), seed=seed
    )


RUNS = [  # recipe, batch, images
    (dense, 32, 12_800),
    (keras_vae.recipes.tutorial_vae, 32, 3_200),
    (keras_vae.recipes.vae, 32, 6_400),
    (keras_vae.recipes.vae, 128, 12_800),
]


def model(recipe, x, batch):
    """A model whose training step is traced."""
    keras.utils.set_random_seed(0)
    vae = recipe(x.shape[1:], seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(x, batch_size=batch, verbose=0)
    return vae


def epoch(vae, x, batch):
    """(CPU seconds, loss)."""
    start = time.process_time()
    loss = vae.fit(x, batch_size=batch, verbose=0).history["loss"][0]
    return time.process_time() - start, loss


def first_step(recipe, x, batch):
    """CPU seconds of a new model."""
    vae = recipe(x.shape[1:], seed=0)
    start = time.process_time()
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(x[:batch], batch_size=batch, verbose=0)
    return time.process_time() - start


def pair(keras_own, function, *arguments):
    """What the function returns in Keras' own way, and in ours."""
    with mock.patch.object(*keras_own):
        theirs = function(*arguments)
    return theirs, function(*arguments)


def compare_epochs(title, keras_own, run, rounds):
    models, (_, x, batch) = pair(keras_own, model, *run), run
    found = [[epoch(vae, x, batch) for vae in models] for _ in range(rounds)]
    losses = ", ".join(f"{loss:.3f}" for _, loss in found[-1])
    show(title, [[seconds for seconds, _ in one] for one in found], f"losses {losses}")


def compare_first_steps(title, run, rounds):
    found = [pair(TRACED_ONCE, first_step, *run) for _ in range(rounds)]
    show(title, found, f"ours {statistics.median(ours for _, ours in found):.2f} s")


def show(title, seconds, more):
    """`seconds`: a pair for each round, of Keras' own way and of ours."""
    ratios = [theirs / ours for theirs, ours in seconds]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{title}: {spread}; {more}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    (images, _), _ = keras.datasets.fashion_mnist.load_data()
    for recipe, batch, count in RUNS:
        x = images[:count, ..., None].astype("float32") / 255
        x = x[:, 10:12, 9:19].reshape(-1, 20) if recipe is dense else x
        title, run = f"{recipe.__name__}, batch {batch}", (recipe, x, batch)
        compare_epochs(f"{title}, logs of a step as they are", FLAT_LOGS, run, rounds)
        compare_epochs(f"{title}, one operation for an update", ONE_KERNEL, run, rounds)
        compare_first_steps(f"{title}, traced once", run, rounds)


if __name__ == "__main__":
    main()
