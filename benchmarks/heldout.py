"""Held-out Fashion-MNIST: networks x likelihoods x latent sizes, by one protocol, in one table.

    python benchmarks/heldout.py --networks vae tutorial_vae --seeds 1

Protocol: 60,000 training images, `--epochs` epochs of batches of 128, Adam at 1e-3 falling along a
cosine. The columns, in nats an image unless it says otherwise, of the 10,000 test images:

- ELBO: beta = 1, one draw an image.
- log p(x): the ELBO of all images, and the mean of what importance weighting with `--draws` draws
  adds to it for the first `--scored` of them. That difference spreads far less over images than log
  p(x) does, so that few images tell its mean.
- bits/dim: from log p(x), where that is a probability of the 256 grey levels.
- active units: dimensions whose posterior means have a variance above 0.01.
- probe: accuracy of logistic regression on the codes of the first 10,000 training images.
- error: root mean squared error of the reconstruction from the posterior mean, against the grey
  image, in grey levels of 0 to 1.
- CPU s: of training alone.

Binarised: each pixel drawn as 0 or 1 with its grey level as probability, anew in each epoch of
training, once for the tests; the error is against the grey image. Numbers of different likelihoods
are of different data or densities: compare them down a column for one likelihood only.

Each finished row is a line of `--output`; started again, it goes on with the rows not there.
"""

import argparse
import itertools
import json
import pathlib
import time

import keras
import numpy as np

from keras_vae import datasets, evaluation, likelihoods, recipes

SHAPE, BATCH, RATE = (28, 28, 1), 128, 1e-3
NETWORKS = {"vae": recipes.vae, "tutorial_vae": recipes.tutorial_vae}
LIKELIHOODS = {
    "Bernoulli, grey": likelihoods.Bernoulli,
    "Bernoulli, binarised": likelihoods.Bernoulli,
    "ContinuousBernoulli": likelihoods.ContinuousBernoulli,
    "Normal(optimal)": lambda: likelihoods.Normal("optimal"),
    "DiscretizedLogistic": likelihoods.DiscretizedLogistic,
}
MEASURES = {  # and their digits in the table
    "elbo": 2,
    "log_likelihood": 2,
    "active_units": 0,
    "probe": 3,
    "error": 4,
    "seconds": 0,
}


def data(binarised):
    """Training images in 8 bits, test images as the model sees them, labels of both."""
    (x, labels), (x_test, test_labels) = keras.datasets.fashion_mnist.load_data()
    x, grey = x[..., None], x_test[..., None].astype("float32") / 255
    rng = np.random.default_rng(777)
    seen = (rng.random(grey.shape) < grey).astype("float32") if binarised else grey
    return x, labels, seen, grey, test_labels


def train(network, likelihood, latents, seed, batches, epochs):
    keras.utils.set_random_seed(seed)
    vae = NETWORKS[network](SHAPE, latents, LIKELIHOODS[likelihood](), seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * len(batches), 0.02)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    return vae


def log_likelihood(vae, x, elbo, scored, draws):
    """Mean log p(x), from the ELBO of all and what importance weights add to that of some."""
    weighted = vae.log_likelihood(x[:scored], num_samples=draws, batch_size=50)
    return elbo.mean() + (weighted - elbo[:scored]).mean()


def run(network, likelihood, latents, seed, arguments):
    """One row, a dict of numbers."""
    binarize = likelihood.endswith("binarised")
    x, labels, x_test, grey, test_labels = data(binarize)
    batches = datasets.Batches(x, BATCH, shuffle=True, seed=seed, binarize=binarize)
    start = time.process_time()
    vae = train(network, likelihood, latents, seed, batches, arguments.epochs)
    seconds = time.process_time() - start
    elbo = vae.elbo(x_test, batch_size=1000)
    codes = vae.encode(x_test)
    some = datasets.Batches(x[:10_000], 1000, binarize=binarize)
    return {
        "elbo": float(elbo.mean()),
        "log_likelihood": float(
            log_likelihood(vae, x_test, elbo, arguments.scored, num_samples=arguments.draws)
        ),
        "active_units": evaluation.active_units(codes),
        "probe": evaluation.linear_probe(vae.encode(some), labels[:10_000], codes, test_labels),
        "error": float(np.sqrt(np.mean((vae.predict(x_test, verbose=0) - grey) ** 2))),
        "seconds": seconds,
    }


def finished(path):
    """{(network, likelihood, latents, seed): row} of what the file holds."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {tuple(row.pop("case")): row for row in map(json.loads, lines)}


def line(case, rows):
    """A line of the table: mean, and standard deviation where there are several seeds."""
    likelihood = case[1]

    def cell(key):
        digits, values = MEASURES[key], [row[key] for row in rows]
        spread = f" ± {np.std(values):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{spread}".replace("-", "\N{MINUS SIGN}")

    log_p = np.mean([row["log_likelihood"] for row in rows])
    bits = f"{evaluation.bits_per_dim(log_p, SHAPE):.3f}" if "Discretized" in likelihood else ""
    cells = [cell(key) for key in MEASURES]
    cells.insert(2, bits)
    return " | ".join([*map(str, case), str(len(rows)), *cells])


def table(rows):
    header = ["network", "likelihood", "latents", "seeds", "ELBO", "log p(x)", "bits/dim"]
    header += ["active units", "probe", "error", "CPU s"]
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    for case, group in itertools.groupby(sorted(rows), lambda key: key[:3]):
        lines.append(line(case, [rows[key] for key in group]))
    return "\n".join(f"| {line} |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument(
        "--likelihoods", nargs="+", choices=list(LIKELIHOODS), default=list(LIKELIHOODS)
    )
    parser.add_argument("--latents", nargs="+", type=int, default=[2, 8, 16, 32, 64])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--scored", type=int, default=50, help="images with importance weights")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("heldout.jsonl"))
    arguments = parser.parse_args()
    cases = itertools.product(
        range(arguments.seeds), arguments.networks, arguments.latents, arguments.likelihoods
    )
    done = finished(arguments.output)
    for seed, network, latents, likelihood in cases:
        case = (network, likelihood, latents, seed)
        if case in done:
            continue
        row = run(*case, arguments)
        with arguments.output.open("a") as file:
            file.write(json.dumps({"case": case} | row) + "\n")
        print(case, {key: round(value, 4) for key, value in row.items()}, flush=True)
    print(table(finished(arguments.output)))


if __name__ == "__main__":
    main()
