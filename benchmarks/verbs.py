"""What is not training: encoding, scoring, generating, reading data, starting up.

    python benchmarks/verbs.py
    python benchmarks/verbs.py --only encode likelihood

Protocol: the article's networks (`recipes.tutorial_vae`, 2 latents, float32), untrained, the 10,000
test images of Fashion-MNIST; alternatives in turn, medians of `--rounds`. Each part runs in a
process of its own, so that memory is its own. All but `data` count CPU seconds.

- encode: `vae.encode` against `vae.encoder.predict`, the latter without the posterior's layers.
- likelihood: 1,000 importance samples, the decoder's operations a second over those of a product
  of 2048 x 2048 matrices, before and after.
- generate: the largest memory of the process for 10,000 and for 100,000 images, less the images.
- data: images a second of `datasets.Batches` alone, from memory, a .npy file and 20; and the
  memory of training 200 steps from 20 files of 3,000 images, and from 20 of 100,000.
- startup: `import keras_vae` after `import keras`, in new processes.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from contenders.worker import anonymous_megabytes, peak_megabytes


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def cpu_seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def model_and_images():
    import keras

    import keras_vae

    _, (x, _) = keras.datasets.fashion_mnist.load_data()
    return keras_vae.recipes.tutorial_vae(seed=0), x[..., None].astype("float32") / 255


def encode(rounds):
    vae, x = model_and_images()

    def ours():
        vae.encode(x, batch_size=500)

    def bare():
        vae.encoder.predict(x, batch_size=500, verbose=0)

    ours(), bare()
    ratios = [cpu_seconds(bare) / cpu_seconds(ours) for _ in range(rounds)]
    report("encode, images a second over those of encoder.predict", ratios)


def likelihood(rounds):
    import tensorflow as tf
    from contenders import matrix_product
    from speed import multiplications

    vae, x = model_and_images()
    product, draws, images = matrix_product.prepare(None, None), 1000, 200
    layers = [layer for layer in vae.decoder.layers if hasattr(layer, "kernel")]
    needed = 2 * sum(map(multiplications, layers)) * draws * images

    codes = np.random.default_rng(0).normal(size=(images * draws // 10, 2)).astype("float32")
    alone = tf.function(vae.decoder)

    def decoder():
        for i in range(0, len(codes), 1000):
            alone(codes[i : i + 1000])

    vae.log_likelihood(x[:images], num_samples=draws), product(), decoder()
    shares, ratios = [], []
    for _ in range(rounds):
        before = cpu_seconds(product)
        took = cpu_seconds(lambda: vae.log_likelihood(x[:images], num_samples=draws))
        rate = 2 * matrix_product.OPERATIONS / (before + cpu_seconds(product))
        shares.append(needed / took / rate)
        ratios.append(10 * cpu_seconds(decoder) / took)
    report(f"log_likelihood, {draws} draws, part of the limit of its decoder", shares)
    report("the same over the decoder alone, called on batches of 1,000 codes", ratios)


def generate(rounds):
    vae, _ = model_and_images()
    vae.generate(1000)
    for n in (10_000, 100_000):
        images = vae.generate(n)
        memory = peak_megabytes() - images.nbytes / 2**20
        print(f"generate({n:,}): {memory:,.0f} MB at most, without the images themselves")
        del images


def read(batches):
    """Seconds for an epoch of batches."""
    return seconds(lambda: [batches[i] for i in range(len(batches))])


def data(rounds):
    import keras

    from keras_vae import datasets

    (x, _), _ = keras.datasets.fashion_mnist.load_data()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "images.npy"
        np.save(path, x[..., None])
        shards = [path.with_stem(f"images-{number}") for number in range(20)]
        for shard, part in zip(shards, np.split(x[..., None], 20), strict=True):
            np.save(shard, part)
        sources = {"memory": x[..., None], ".npy file": np.load(path, mmap_mode="r")}
        sources["20 .npy files"] = datasets.ArrayFiles(shards)
        for name, source in sources.items():
            batches = datasets.Batches(source, 128, shuffle=True)
            took = [read(batches) for _ in range(rounds)]
            report(f"Batches from {name}, images a second", [len(x) / s for s in took])
        for n in (3_000, 100_000):
            part = np.resize(x, (n, 28, 28, 1))
            for shard in shards:
                np.save(shard, part)
            command = [sys.executable, __file__, "--train-from", folder]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"200 steps from 20 files of {n:,} images: {result.stdout.strip()}", flush=True)


def train_from(folder):
    import keras

    import keras_vae

    vae = keras_vae.recipes.tutorial_vae(seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    files = keras_vae.datasets.ArrayFiles(sorted(pathlib.Path(folder).glob("images-*.npy")))
    batches = keras_vae.datasets.Batches(files, 128, shuffle=True)
    vae.fit(batches, steps_per_epoch=200, verbose=0)
    print(f"{peak_megabytes():,.0f} MB at most, {anonymous_megabytes():,.0f} MB not of files")


def startup(rounds):
    code = "import time, keras; t = time.process_time(); import keras_vae; "
    command = [sys.executable, "-c", code + "print(time.process_time() - t)"]
    found = [subprocess.run(command, capture_output=True, check=True) for _ in range(rounds)]
    report("import keras_vae after keras, seconds", [float(result.stdout) for result in found])


def report(name, values):
    low, high = min(values), max(values)
    print(f"{name}: {statistics.median(values):,.3g} ({low:,.3g} to {high:,.3g})", flush=True)


PARTS = {part.__name__: part for part in (encode, likelihood, generate, data, startup)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--train-from", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train_from:
        return train_from(arguments.train_from)
    for name in arguments.only:
        if arguments.here:
            PARTS[name](arguments.rounds)
        else:
            options = ["--here", "--only", name, "--rounds", str(arguments.rounds)]
            subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
