"""Where a training step of the article's networks goes on a CPU, operation by operation.

    python benchmarks/operations.py --batch 128

Protocol: `recipes.tutorial_vae` in `fit` as anyone runs it, on noise; TensorFlow's profiler over 20
steps after a warm-up, milliseconds of work a step. With two cores operations overlap: their sum is
more than the wall time of a step.
"""

import argparse
import collections
import pathlib
import re
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

import keras_vae

STEPS = 20


def profiled(run):
    """{operation: ms} while `run` runs, by name in the graph and kind of kernel."""
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    found = collections.Counter()
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name = plane.event_metadata[event.metadata_id].name
            if re.fullmatch(r"[\w/]+:\w+", name):
                found[name] += 1e-9 * event.duration_ps
    return found


def readable(name):
    """`layer, kernel`, and whether it is of the backward pass."""
    path, kind = name.rsplit(":", 1)
    layer = path.replace("gradient_tape/", "").split("/")
    return f"{'/'.join(layer[:3])}: {kind}" + (", backward" if "gradient_tape" in path else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rows", type=int, default=16)
    arguments = parser.parse_args()
    x = np.random.default_rng(0).random((STEPS * arguments.batch, 28, 28, 1), "float32")
    vae = keras_vae.recipes.tutorial_vae(seed=0)
    vae.compile(keras.optimizers.Adam(1e-3))

    def fit():
        vae.fit(x, batch_size=arguments.batch, verbose=0)

    fit()
    start = time.perf_counter()
    fit()
    wall = 1e3 * (time.perf_counter() - start) / STEPS
    found = profiled(fit)
    total = sum(found.values()) / STEPS
    print(f"a step takes {wall:.1f} ms, its operations together {total:.1f} ms\n")
    print("| operation | ms a step | share |\n| --- | --- | --- |")
    for name, ms in found.most_common(arguments.rows):
        print(f"| {readable(name)} | {ms / STEPS:.2f} | {100 * ms / STEPS / total:.0f} % |")


if __name__ == "__main__":
    main()
