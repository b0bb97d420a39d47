"""A linear VAE against probabilistic PCA, whose likelihood has a closed form.

    python benchmarks/ppca.py --latents 2 10 20

Protocol: Fashion-MNIST in [0, 1], `recipes.linear_vae`, 60,000 training images, Adam with a
learning rate that falls from 6e-3 along a cosine over 30 epochs of batch 128. The truth is the
log-likelihood of the test images under the maximum-likelihood probabilistic PCA of the training
images (Tipping and Bishop 1999, equations 7 and 8). The ELBO of the trained model is averaged over
the 10,000 test images, with `--draws` draws each.
"""

import argparse
import time

import keras
import numpy as np

import keras_vae


def exact_log_likelihood(x_train, x_test, latent_dim):
    """Mean test log-likelihood in nats of the maximum-likelihood probabilistic PCA."""
    mean = x_train.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x_train.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = values[latent_dim:].mean()
    spectrum = np.append(values[:latent_dim], np.full(len(values) - latent_dim, noise))
    projected = (x_test - mean) @ vectors
    square = (projected**2 / spectrum).sum(1)
    return float(np.mean(-0.5 * (square + np.log(2 * np.pi * spectrum).sum())))


def train(x, latent_dim, epochs, batch_size, learning_rate, seed):
    keras.utils.set_random_seed(seed)
    vae = keras_vae.recipes.linear_vae(x.shape[1:], latent_dim, seed=seed)
    steps = epochs * -(-len(x) // batch_size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=1e-3)
    vae.compile(optimizer=keras.optimizers.Adam(rate))
    vae.fit(x, batch_size=batch_size, epochs=epochs, verbose=0)
    return vae


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, nargs="+", default=[2, 10, 20])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=6e-3)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    (x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    x_train, x_test = (x.reshape(len(x), -1) / 255.0 for x in (x_train, x_test))
    print(f"{'latents':>7} {'exact':>9} {'ELBO':>9} {'gap':>6} {'seconds':>8}")
    for latent_dim in arguments.latents:
        exact = exact_log_likelihood(x_train, x_test, latent_dim)
        start = time.perf_counter()
        vae = train(
            x_train.astype("float32"),
            latent_dim,
            arguments.epochs,
            arguments.batch_size,
            arguments.learning_rate,
            arguments.seed,
        )
        seconds = time.perf_counter() - start
        draws = np.repeat(x_test.astype("float32"), arguments.draws, axis=0)
        elbo = float(vae.elbo(draws, batch_size=1000).mean())
        print(
            f"{latent_dim:7} {exact:9.2f} {elbo:9.2f} {exact - elbo:6.2f} {seconds:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
