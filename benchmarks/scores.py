"""Compares the scores of `elbo` with those of many independent draws.

A row for each model and number of samples: the Spearman correlation of the ranking with that by the
mean of 1,000 random draws (at least 0.99 is the aim), and the difference of the mean score from the
mean over 100 draws of each row's own (within 0.05 nats). Worst of the seeds.
"""

import argparse
import pathlib
import time

import keras
import numpy as np
from keras import ops
from scipy import stats

from keras_vae import inference, recipes

DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


def fashion_mnist(arguments):
    """Images for training, and images for scores."""
    (x, _), (test, _) = keras.datasets.fashion_mnist.load_data()
    x, test = (a[..., None].astype("float32") / 255 for a in (x, test))
    return x[: arguments.images], test[: arguments.test]


def wine(arguments):
    """The standardised table, of which every fifth row is for scores."""
    path = arguments.data / "tables" / "wine" / "data.csv"
    if not path.exists():
        return None
    table = np.loadtxt(path, delimiter=",", dtype="float32")
    table = (table - table.mean(0)) / table.std(0)
    test = np.arange(len(table)) % 5 == 0
    return table[~test], table[test][: arguments.test]


MODELS = {
    "vae, 2 latents": (fashion_mnist, lambda x, seed: recipes.vae(x.shape[1:], 2, seed=seed)),
    "vae, 16 latents": (fashion_mnist, lambda x, seed: recipes.vae(x.shape[1:], 16, seed=seed)),
    "miwae, wine": (wine, lambda x, seed: recipes.miwae(x.shape[1:], seed=seed)),
}


def random_elbo(vae, batch, draws):
    """The ELBO of each row by draws of its own, of which the KL takes none where it need not."""
    terms, _ = inference._evaluate(vae, batch, draws)
    return ops.mean(terms.log_likelihood, axis=0) - terms.kl


def by_random_draws(vae, x, total, at_once=20):
    """The mean over so many random draws for each row."""
    runner = vae._runners.get(random_elbo, at_once)
    parts = [runner.run(x, 64, compiled=True, verbose=0) for _ in range(total // at_once)]
    return np.mean(parts, axis=0, dtype="float64")


def trained(name, seed, arguments):
    """A model after training, and rows to be scored; None where the data are missing."""
    read, make = MODELS[name]
    found = read(arguments)
    if found is None:
        return None
    keras.utils.set_random_seed(seed)
    vae = make(found[0], seed)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(found[0], epochs=arguments.epochs, batch_size=128, verbose=0)
    return vae, found[1]


def compared(vae, x, samples, draws):
    """(number of samples, rank correlation, difference of means, ms a row) of each number."""
    vae._rewind_evaluation_noise()
    independent = by_random_draws(vae, x, 100)
    many = by_random_draws(vae, x, draws)
    rows = []
    for count in samples:
        vae.elbo(x, num_samples=count)  # traced
        start = time.perf_counter()
        scores = vae.elbo(x, num_samples=count)
        cost = 1e3 * (time.perf_counter() - start) / len(x)
        correlation = stats.spearmanr(scores, many).statistic
        rows.append((correlation, scores.mean(dtype="float64") - independent.mean(), cost))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=60_000, help="for training")
    parser.add_argument("--test", type=int, default=10_000, help="rows to be scored")
    parser.add_argument("--samples", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--draws", type=int, default=1000, help="random draws to compare with")
    parser.add_argument("--data", type=pathlib.Path, default=DATA, help="folder of real data")
    arguments = parser.parse_args()
    print("| model | samples | rank correlation | difference of means in nats | ms a row |")
    print("| --- | --- | --- | --- | --- |")
    for name in arguments.only:
        found = []
        for seed in range(arguments.seeds):
            model = trained(name, seed, arguments)
            if model is None:
                print(f"| {name} | its data are not in {arguments.data} | | | |")
                break
            found.append(compared(*model, arguments.samples, arguments.draws))
        for count, rows in zip(arguments.samples, zip(*found, strict=True), strict=False):
            correlation = min(row[0] for row in rows)
            gap = max((row[1] for row in rows), key=abs)
            cost = np.mean([row[2] for row in rows])
            print(f"| {name} | {count} | {correlation:.4f} | {gap:+.3f} | {cost:.2f} |", flush=True)


if __name__ == "__main__":
    main()
