"""What `fit` leaves out of Keras' training step on TensorFlow, and what that saves.

    python benchmarks/step.py

Protocol: two equal models in one process, 2 latents, Adam at 1e-3, train in turn over the same
images of Fashion-MNIST (or the same 20 pixels of them), `--rounds` epochs each after a first one.
Printed is the median over the rounds of the CPU time of Keras' own way over that of ours, and the
least and the largest; above 1 ours is faster. The loss after the last epoch is that of each.
"""

import argparse
import statistics
import time
from unittest import mock

import keras

import keras_vae
from keras_vae import networks, optimizers, trainer

KERAS_OWN_WAY = {  # title: what is put back
    "Adam in one operation": (optimizers, "with_one_kernel", lambda optimizer: None),
    "logs of a step as they are": (trainer.Trainer, "_make_function", keras.Model._make_function),
}


def dense(shape, seed):
    return keras_vae.VAE(
        networks.dense_encoder(shape, [64]), networks.dense_decoder(2, shape, [64]), seed=seed
    )


RUNS = [  # recipe, batch, images
    (dense, 32, 12_800),
    (keras_vae.recipes.seed_vae, 32, 3_200),
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    (images, _), _ = keras.datasets.fashion_mnist.load_data()
    for recipe, batch, count in RUNS:
        x = images[:count, ..., None].astype("float32") / 255
        x = x[:, 10:12, 9:19].reshape(-1, 20) if recipe is dense else x
        for change, own_way in KERAS_OWN_WAY.items():
            with mock.patch.object(*own_way):
                theirs = model(recipe, x, batch)
            pair = (theirs, model(recipe, x, batch))
            rounds = [[epoch(vae, x, batch) for vae in pair] for _ in range(arguments.rounds)]
            ratios = [keras_own[0] / own[0] for keras_own, own in rounds]
            print(
                f"{recipe.__name__}, batch {batch}, {change}: {statistics.median(ratios):.2f} "
                f"({min(ratios):.2f} to {max(ratios):.2f}); "
                "losses {:.3f}, {:.3f}".format(*(loss for _, loss in rounds[-1])),
                flush=True,
            )


if __name__ == "__main__":
    main()
