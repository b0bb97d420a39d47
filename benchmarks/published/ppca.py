"""A linear VAE against probabilistic PCA, whose likelihood has a closed form.

    python benchmarks/published/ppca.py --latents 2 10 20 50

Protocol: Fashion-MNIST in [0, 1], `recipes.linear_vae`, 60,000 training images, Adam with a
learning rate that falls from 6e-3 along a cosine. The truth is the log-likelihood of the test
images under the maximum-likelihood probabilistic PCA of the training images (Tipping and Bishop
1999, equations 7 and 8). The ELBO of the trained model is averaged over the 10,000 test images,
with 10 draws each; the importance-weighted bounds, of `--iwae` and of `--draws` draws, over the
first `--scored` test images, less the truth of these. Gaps are truth less bound, in nats an image.
"""

import argparse
import time

import keras
import numpy as np

import keras_vae


def exact_log_likelihood(x_train, x_test, latent_dim):
    """Test log-likelihoods in nats, (N,), of the maximum-likelihood probabilistic PCA."""
    mean = x_train.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x_train.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[latent_dim:].mean()
    spectrum = np.append(values[:latent_dim], np.full(len(values) - latent_dim, noise))
    projected = (x_test - mean) @ vectors
    square = (projected**2 / spectrum).sum(1)
    return -0.5 * (square + np.log(2 * np.pi * spectrum).sum())


def train(x, latent_dim, arguments):
    keras.utils.set_random_seed(arguments.seed)
    vae = keras_vae.recipes.linear_vae(x.shape[1:], latent_dim, seed=arguments.seed)
    size, epochs = arguments.batch_size, arguments.epochs
    steps = epochs * -(-len(x) // size)
    rate = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps, alpha=1e-3)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(x, batch_size=size, epochs=epochs, verbose=0)
    return vae


def bounds(vae, x, arguments):
    """(over all images, the mean ELBO; over the first, both weighted bounds of each)."""
    elbo = vae.elbo(np.repeat(x, 10, axis=0), batch_size=1000).mean()
    some = x[: arguments.scored]
    return elbo, *(
        vae.log_likelihood(some, num_samples=k) for k in (arguments.iwae, arguments.draws)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, nargs="+", default=[2, 10, 20, 50])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=6e-3)
    parser.add_argument("--iwae", type=int, default=64, help="draws of the IWAE bound")
    parser.add_argument("--draws", type=int, default=1000, help="for log p(x)")
    parser.add_argument("--scored", type=int, default=200, help="images with these two bounds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    (x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x_train, x_test = (x.reshape(len(x), -1) / 255.0 for x in (x_train, x_test))
    print("| latents | exact | ELBO | gap | IWAE gap | log p(x) gap | CPU s |")
    print("|", " | ".join(7 * ["---"]), "|")
    for latent_dim in arguments.latents:
        exact = exact_log_likelihood(x_train, x_test, latent_dim)
        start = time.process_time()
        vae = train(x_train.astype("float32"), latent_dim, arguments)
        seconds = time.process_time() - start
        elbo, *weighted = bounds(vae, x_test.astype("float32"), arguments)
        gaps = [np.mean(exact) - elbo, *((exact[: arguments.scored] - w).mean() for w in weighted)]
        cells = " | ".join(f"{gap:.2f}" for gap in gaps)
        print(
            f"| {latent_dim} | {exact.mean():.2f} | {elbo:.2f} | {cells} | {seconds:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
