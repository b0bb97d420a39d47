"""Do all runs end finite? Many seeds of `recipes.vae` and of a plain dense net.

    python benchmarks/stability.py --seeds 10 --epochs 20

Protocol: Fashion-MNIST's 60,000 training images in [0, 1], Bernoulli likelihood, 2 latents, Adam
with learning rate 1e-3, no clipping; `recipes.vae` at batch 128; the dense net (512-256-256 GELU,
mirrored) at batch 64, which with an unbounded log-variance ran into NaN in its tenth epoch. A run
counts as finite if every logged loss of every epoch is.
"""

import argparse
import json
import pathlib

import keras
import numpy as np

import keras_vae
from keras_vae import networks

SHAPE = (28, 28, 1)


def dense_net(seed):
    encoder = networks.dense_encoder(SHAPE, units=(512, 256, 256), residual=False)
    decoder = networks.dense_decoder(2, SHAPE, units=(256, 256, 512), residual=False)
    return keras_vae.VAE(encoder, decoder, seed=seed)


MODELS = {
    "vae": (lambda seed: keras_vae.recipes.vae(SHAPE, seed=seed), 128),
    "dense": (dense_net, 64),
}


def train(name, seed, epochs, x):
    keras.utils.set_random_seed(seed)
    build, batch_size = MODELS[name]
    vae = build(seed)
    vae.compile(optimizer=keras.optimizers.Adam(1e-3))
    logs = vae.fit(x, batch_size=batch_size, epochs=epochs, verbose=0).history
    finite = bool(np.isfinite(list(logs.values())).all())
    return {"model": name, "seed": seed, "finite": finite, "loss": logs["loss"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--output", type=pathlib.Path, help="JSON file for all runs")
    arguments = parser.parse_args()
    (x, _), _ = keras.datasets.fashion_mnist.load_data()
    x = x[..., None].astype("float32") / 255
    runs = []
    for name in arguments.models:
        for seed in range(arguments.seeds):
            runs.append(train(name, seed, arguments.epochs, x))
            print(json.dumps(runs[-1]), flush=True)
        ours = [r for r in runs if r["model"] == name]
        last = [r["loss"][-1] for r in ours]
        print(
            f"{name}: {sum(r['finite'] for r in ours)} of {len(ours)} finite, final training loss "
            f"{np.mean(last):.2f} ± {np.std(last):.2f}, worst {max(last):.2f}"
        )
    if arguments.output:
        arguments.output.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
