"""Importance-weighted likelihood of 10,000 images in flat memory.

    python benchmarks/likelihood.py --draws 50 500 5000

Protocol: the article's convolutional networks (`recipes.tutorial_vae`, 2 latents), untrained, the
10,000 test images of Fashion-MNIST. For each number of draws it prints the time, the decoder's
images a second, and the largest memory of the process so far (all of TensorFlow included).
"""

import argparse
import resource
import time

import keras

import keras_vae


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, nargs="+", default=[50, 500, 5000])
    parser.add_argument("--images", type=int, default=10_000)
    arguments = parser.parse_args()
    _, (x, _) = keras.datasets.fashion_mnist.load_data()
    x = x[: arguments.images, ..., None].astype("float32") / 255
    vae = keras_vae.recipes.tutorial_vae(x.shape[1:], latent_dim=2, seed=0)
    print(f"{'draws':>6} {'seconds':>8} {'images/s':>9} {'peak GB':>8}")
    for draws in arguments.draws:
        start = time.perf_counter()
        vae.log_likelihood(x, num_samples=draws)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rate = len(x) * draws / seconds
        print(f"{draws:6} {seconds:8.0f} {rate:9.0f} {peak:8.2f}", flush=True)


if __name__ == "__main__":
    main()
