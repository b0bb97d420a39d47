"""The small convolutional VAE and `recipes.vae` on Fashion-MNIST, seed by seed in turn.

    python benchmarks/article.py --seeds 3 --epochs 10
    python benchmarks/article.py --seeds 1 --epochs 5 --picture loss_against_seconds.png
    python benchmarks/article.py --latents 16 --vae-epochs 3
    python benchmarks/article.py --models vae --vae-epochs 5

Protocol: all 60,000 training images in [0, 1], Bernoulli likelihood. The convolutional networks
train as in the tutorials they come from: batch 32, Adam with learning rate 1e-3. `recipes.vae`
trains as in the main job of the README: batch 128, Adam with beta_2 = 0.99 and a learning rate that
falls from 3e-3 along a cosine. The test loss is the negative ELBO of the 10,000 test images, one
draw each. Times are of `fit` alone: wall seconds, and CPU seconds of the process. The two train in
turn, seed by seed, so that a busy machine slows both. The picture has the test loss after each
epoch against CPU seconds, of which the first epoch's include what tracing takes.
"""

import argparse
import json
import math
import pathlib
import time

import keras
import numpy as np

import keras_vae

MODELS = {
    "tutorial_vae": (keras_vae.recipes.tutorial_vae, 32),
    "vae": (keras_vae.recipes.vae, 128),
}


def optimizer(name, epochs):
    if name == "tutorial_vae":
        return keras.optimizers.Adam(1e-3)
    steps = epochs * math.ceil(60_000 / MODELS[name][1])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps, alpha=0.02)
    return keras.optimizers.Adam(rate, beta_2=0.99)


def train(name, seed, latents, epochs, x_train, x_test):
    """One run: a list of epochs, each with its losses and times."""
    keras.utils.set_random_seed(seed)
    recipe, batch_size = MODELS[name]
    vae = recipe((28, 28, 1), latents, seed=seed)
    vae.compile(optimizer=optimizer(name, epochs))
    rows = []
    for epoch in range(1, epochs + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        logs = vae.fit(x_train, batch_size=batch_size, verbose=0).history
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        test = vae.evaluate(x_test, batch_size=1000, verbose=0, return_dict=True)
        row = {"model": name, "seed": seed, "epoch": epoch, "wall": wall, "cpu": cpu}
        row |= {"loss": logs["loss"][0], "test_loss": test["loss"], "test_kl": test["kl_loss"]}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def summarise(rows, epochs):
    """One line a model: mean and spread over seeds after `epochs[model]`, mean times until then."""
    header = ("model", "train loss", "test loss", "test KL", "wall s", "CPU s")
    print("{:10} {:>16} {:>16} {:>14} {:>8} {:>8}".format(*header))
    for name, count in epochs.items():
        ours = [r for r in rows if r["model"] == name]
        last = [r for r in ours if r["epoch"] == count]
        cells = [_spread([r[key] for r in last]) for key in ("loss", "test_loss", "test_kl")]
        times = [sum(r[key] for r in ours) / len(last) for key in ("wall", "cpu")]
        print("{:10} {:>16} {:>16} {:>14} {:8.0f} {:8.0f}".format(name, *cells, *times))


def picture(rows, path):
    """Test loss against seconds of training, a line a run."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for colour, name in zip(("C1", "C0"), MODELS, strict=True):
        for seed in sorted({r["seed"] for r in rows}):
            run = [r for r in rows if (r["model"], r["seed"]) == (name, seed)]
            label = f"recipes.{name}" if seed == 0 else None
            seconds, losses = np.cumsum([r["cpu"] for r in run]), [r["test_loss"] for r in run]
            axes.plot(seconds, losses, "o-", color=colour, label=label)
    axes.set(xlabel="CPU seconds of training", ylabel="test loss, nats")
    axes.legend()
    figure.savefig(path, dpi=110)


def _spread(values):
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--vae-epochs", type=int, help="of recipes.vae, if other than --epochs")
    parser.add_argument("--latents", type=int, default=2)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--picture", type=pathlib.Path, help="PNG of test losses against seconds")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file for all rows")
    arguments = parser.parse_args()
    (x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))
    epochs = dict.fromkeys(arguments.models, arguments.epochs)
    if "vae" in epochs and arguments.vae_epochs:
        epochs["vae"] = arguments.vae_epochs
    rows = []
    for seed in range(arguments.seeds):
        for name, count in epochs.items():
            rows += train(name, seed, arguments.latents, count, x_train, x_test)
    summarise(rows, epochs)
    if arguments.picture:
        picture(rows, arguments.picture)
    if arguments.output:
        arguments.output.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
