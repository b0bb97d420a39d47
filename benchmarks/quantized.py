"""Every quantizer on Fashion-MNIST: reconstruction and usage, with and without restarts.

    python benchmarks/quantized.py --images 60000 --epochs 5

Protocol: 7 x 7 codes of 512 an image, networks of `recipes.vq_vae` with 32 and 64 channels, Adam at
1e-3, batches of 128, one seed. Usage and perplexity are those of the codes of all test images; the
reconstruction loss is in nats of a Bernoulli likelihood of the grey images. Gumbel-VQ has a beta
that rises over the first half of the steps. With `--prior-epochs` the bound after `fit_prior` is
added.
"""

import argparse
import time

import keras

from keras_vae import objectives, quantized, recipes, schedules

QUANTIZERS = {
    "VQ, restarts": lambda: quantized.VectorQuantizer(49),
    "VQ, no restarts": lambda: quantized.VectorQuantizer(49, restart=0.0),
    "VQ, rotation, restarts": lambda: quantized.VectorQuantizer(49, gradient="rotation"),
    "VQ, learned, restarts": lambda: quantized.VectorQuantizer(49, decay=None),
    "VQ, residual, depth 4": lambda: quantized.VectorQuantizer(49, depth=4),
    "VQ, k-means": lambda: quantized.VectorQuantizer(49, initializer="k_means"),
    "VQ, cosine": lambda: quantized.VectorQuantizer(49, distance="cosine"),
    "VQ, two parts a place": lambda: quantized.VectorQuantizer(2 * 49, code_dim=8),
    "SimVQ": lambda: quantized.LinearVectorQuantizer(49),
    "FSQ 8 x 8 x 8": lambda: quantized.FiniteScalarQuantizer(49, (8, 8, 8)),
    "FSQ 8 x 8 x 8, symmetric": lambda: quantized.FiniteScalarQuantizer(49, symmetric=True),
    "FSQ 8 x 8 x 8, depth 2": lambda: quantized.FiniteScalarQuantizer(49, depth=2),
    "LFQ, 9 bits": lambda: quantized.BinaryQuantizer(49),
    "BSQ, 9 bits": lambda: quantized.BinaryQuantizer(49, spherical=True),
    "Gumbel-VQ": lambda: quantized.GumbelQuantizer(49),
}


def run(name, x, x_test, arguments):
    """One row of the table."""
    keras.utils.set_random_seed(0)
    steps = arguments.epochs * -(-len(x) // 128)
    beta = schedules.Linear(steps // 2) if name == "Gumbel-VQ" else 1.0  # or it tells nothing
    parts = {"posterior": QUANTIZERS[name](), "objective": objectives.ELBO(beta)}
    if "bits" in name:
        commitment = [] if parts["posterior"].spherical else [quantized.Commitment()]
        parts["penalties"] = [*commitment, quantized.CodeEntropy()]
    vae = recipes.vq_vae((28, 28, 1), filters=(32, 64), **parts)
    vae.compile(keras.optimizers.Adam(1e-3))
    start = time.perf_counter()
    vae.fit(x, epochs=arguments.epochs, batch_size=128, verbose=2)
    seconds = time.perf_counter() - start
    logs = vae.evaluate(x_test, batch_size=500, verbose=0, return_dict=True)
    row = [f"{logs['reconstruction_loss']:.2f}", f"{100 * logs['code_usage']:.1f} %"]
    row += [f"{logs['perplexity']:.0f}", f"{-logs['reconstruction_loss'] - logs['kl_loss']:.2f}"]
    if arguments.prior_epochs:
        prior = quantized.AutoregressiveCodes(vae.posterior.length, 512)
        options = {"epochs": arguments.prior_epochs, "batch_size": 128, "verbose": 2}
        fitted = vae.fit_prior(x, prior, learning_rate=2e-3, **options)
        row.append(f"{fitted.elbo(x_test, batch_size=500).mean():.2f}")
    return [name, *row, f"{seconds / arguments.epochs:.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--prior-epochs", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(QUANTIZERS), choices=list(QUANTIZERS))
    arguments = parser.parse_args()
    (x, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x, x_test = (a[..., None].astype("float32") / 255 for a in (x, x_test))
    bound = ["ELBO, fitted prior"] if arguments.prior_epochs else []
    header = ["quantiser", "reconstruction loss", "usage", "perplexity", "ELBO, uniform prior"]
    rows = [[*header, *bound, "seconds an epoch"]]
    for name in arguments.only:
        rows.append(run(name, x[: arguments.images], x_test, arguments))
        print("|", " | ".join(rows[-1]), "|", flush=True)
    print()
    for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
