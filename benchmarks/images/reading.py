"""How long a folder of images takes to read, beside a bare loop of Pillow.

    taskset -c 0 python benchmarks/images/reading.py ../shared/data/photos/sign_digits

It prints milliseconds of processor time for an image, the least of three passes over the first
images of the folder and of one over a photograph of 12 megapixels that it draws. The folder is read
without check and without memory, unless the line says otherwise.
"""

import argparse
import pathlib
import sys
import tempfile
import time

import numpy as np
from PIL import Image

from keras_vae.datasets import ImageFolder


def bare_loop(paths, size):
    """What a reader would write by hand: no crop, no EXIF data, no transparency."""
    for path in paths:
        with Image.open(path) as image:
            np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def with_draft(paths, size):
    """The same, with JPEG files decoded no larger than needed."""
    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (2 * size, 2 * size))
            np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def milliseconds(function, count, passes=3):
    """The least processor time of some calls, for one of so many images."""
    times = []
    for _ in range(passes):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return 1000 * min(times) / count


def report(folder, size, count):
    source = ImageFolder(folder, size, check=False, cache_bytes=0)[:count]
    kept = ImageFolder(folder, size, check=False)[:count]
    rows = np.arange(len(source))
    lines = {
        "Pillow, bare": lambda: bare_loop(source.paths, size),
        "Pillow, draft": lambda: with_draft(source.paths, size),
        "ImageFolder": lambda: source[rows],
        "from memory": lambda: kept[rows],  # the least: after the first pass
    }
    for name, function in lines.items():
        print(f"{size:4} px  {name:14} {milliseconds(function, len(rows)):8.3f} ms")


def draw_photograph(path):
    coarse = np.random.default_rng(0).integers(256, size=(30, 40, 3), dtype="uint8")
    Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC).save(path, quality=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=500)
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        sys.exit(f"There is no folder {arguments.folder}")
    for size in (100, 64, 32):
        report(arguments.folder, size, arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        draw_photograph(pathlib.Path(folder) / "photograph.jpg")
        print("One photograph of 12 megapixels:")
        report(folder, 64, 1)
