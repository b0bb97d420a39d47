"""How training grows: CPU time and memory against image size, latent size, batch and data set.

    python benchmarks/growth.py
    python benchmarks/growth.py --only image batch

Protocol: `recipes.tutorial_vae`, Adam, `fit` on noise of 8 bits through `datasets.Batches`; from
28 x 28 pixels, 2 latents, batches of 128 and 10,000 images, one of the four is varied at a time.
Each row is a process of its own that takes `--steps` steps after a warm-up of 3. Memory: the
most the process held, looked at every 2 ms, without the pages of the file that holds the images,
less what it held before the model was made. GFLOP: operations of the layers in a step, three times
those of the forward pass, a CPU second.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from contenders.worker import anonymous_megabytes

BASE = {"image": 28, "latents": 2, "batch": 128, "images": 10_000}
VARIED = {
    "image": [28, 56, 112, 256],
    "latents": [2, 16, 128, 1024],
    "batch": [8, 32, 128, 512],
    "images": [10_000, 100_000, 1_000_000],
}


def write_images(path, image, images):
    """A .npy file of noise that is read through a memory map."""
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (images, image, image, 1))
    rng = np.random.default_rng(0)
    for start in range(0, images, 10_000):
        part = file[start : start + 10_000]
        part[:] = rng.integers(0, 256, part.shape, np.uint8)


class Watch(threading.Thread):
    """Looks at the memory of the process all the time; `most` is the most it saw."""

    def __enter__(self):
        self.most, self.over = 0.0, threading.Event()
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.002):
            self.most = max(self.most, anonymous_megabytes())


def run(case, steps, path):
    """One row: trains, and says what it took."""
    import keras
    from speed import operations

    from keras_vae import datasets, recipes

    before = anonymous_megabytes()
    shape = (case["image"], case["image"], 1)
    vae = recipes.tutorial_vae(shape, case["latents"], seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))
    x = datasets.Batches(np.load(path, mmap_mode="r"), case["batch"], shuffle=True)
    vae.fit(x, steps_per_epoch=3, shuffle=False, verbose=0)
    start = time.process_time()
    vae.fit(x, steps_per_epoch=steps, shuffle=False, verbose=0)
    seconds = time.process_time() - start
    with Watch() as watch:
        vae.fit(x, steps_per_epoch=3, shuffle=False, verbose=0)
    images = steps * case["batch"]
    return case | {
        "ms": 1e3 * seconds / images,
        "gflop": 1e-9 * operations(vae) * images / seconds,
        "mb": watch.most - before,
        "parameters": vae.count_params(),
    }


def measured(case, steps):
    """`run` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "x.npy"
        write_images(path, case["image"], case["images"])
        command = [sys.executable, __file__, "--steps", str(steps), "--case", json.dumps(case)]
        output = subprocess.run(
            [*command, "--file", str(path)], check=True, stdout=subprocess.PIPE, text=True
        )
    return json.loads(output.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(VARIED), default=list(VARIED))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(run(arguments.case, arguments.steps, arguments.file)))
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print("| varied | | CPU ms an image | GFLOP a CPU second | MB | parameters |")
    print("|", " | ".join(6 * ["---"]), "|")
    for name in arguments.only:
        for value in VARIED[name]:
            row = measured(BASE | {name: value}, arguments.steps)
            cells = f"{row['ms']:.2f} | {row['gflop']:.1f} | {row['mb']:,.0f}"
            print(f"| {name} | {value:,} | {cells} | {row['parameters']:,} |", flush=True)


if __name__ == "__main__":
    main()
