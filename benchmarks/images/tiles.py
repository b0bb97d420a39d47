"""Peak memory of large images in one piece and tile by tile, and how much the results differ.

    python benchmarks/images/tiles.py --size 2048 --tile 256

Protocol: one image of noise goes through `encode_latents` and `decode_latents` of an untrained
`recipes.kl_autoencoder`, each way in a process of its own, which first does the same with an image
of the model's size. The memory is the largest resident set of the process less the one after
that first image. Seconds are those of the CPU, with building the functions.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np


def memory():
    """The largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work(size, tile, filters, path):
    """Runs one way; prints its figures as JSON, and writes latents and image to a file."""
    import keras

    from keras_vae import recipes

    keras.utils.set_random_seed(0)
    vae = recipes.kl_autoencoder((64, 64, 3), filters=filters, seed=0)
    rng = np.random.default_rng(0)
    vae.decode_latents(vae.encode_latents(rng.random((1, 64, 64, 3), "float32")))
    before, start = memory(), time.process_time()
    latents = vae.encode_latents(rng.random((1, size, size, 3), "float32"), tile=tile)
    image = vae.decode_latents(latents, tile=tile)
    seconds = time.process_time() - start
    np.savez(path, latents=latents, image=image)
    figures = {"before": before, "memory": memory() - before, "seconds": seconds}
    print(json.dumps(figures))


def run(arguments, tile, path):
    """The figures of one process."""
    command = [sys.executable, __file__, "--worker", path, "--size", str(arguments.size)]
    command += ["--filters", *map(str, arguments.filters), "--tile", str(tile or 0)]
    folder = str(pathlib.Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--tile", type=int, default=256)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.size, arguments.tile or None, arguments.filters, arguments.worker)
        return
    print("| | memory in MiB | CPU seconds |\n| --- | --- | --- |", flush=True)
    found, results = [], []
    for title, tile in (("one piece", None), (f"tiles of {arguments.tile}", arguments.tile)):
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            found.append(run(arguments, tile, file.name))
            results.append(dict(np.load(file.name)))
        print(f"| {title} | {found[-1]['memory']:.0f} | {found[-1]['seconds']:.0f} |", flush=True)
    whole, tiled = results
    difference = np.abs(whole["image"] - tiled["image"]).max()
    print(f"\nmemory of one piece / tiles: {found[0]['memory'] / found[1]['memory']:.1f}")
    print(f"of the whole process: {sum(list(found[0].values())[:2]):.0f} MiB and", end=" ")
    print(f"{sum(list(found[1].values())[:2]):.0f} MiB")
    print(f"largest difference of the images: {255 * difference:.4f} grey levels")
    difference = np.abs(whole["latents"] - tiled["latents"]).max()
    print(f"largest difference of the latents: {difference:.2g}")


if __name__ == "__main__":
    main()
