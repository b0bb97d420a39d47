"""Other ways to compute the convolutions of the article's networks, timed against Keras' own.

    python benchmarks/convolutions.py --batch 128

Protocol: the first layer of `recipes.seed_vae`'s encoder and the three transposed ones of its
decoder, each alone: forward pass and gradients of input and kernel, in a `tf.function`, float32.
Every alternative must give the results of float64 to 1e-5 of the largest. CPU seconds, alternatives
in turn, medians of `--rounds`; the ratio is the time of Keras' own over that of the alternative, so
that above 1 is faster.
"""

import argparse
import statistics
import time

import numpy as np
import tensorflow as tf

from keras_vae.convolutions import to_one_channel

LAYERS = {  # (size and channels of the input, channels of the output, stride, transposed)
    "first convolution, 1 to 32 channels": (28, 1, 32, 2, False),
    "transposed, 64 to 64 channels, 7 to 14 pixels": (7, 64, 64, 2, True),
    "transposed, 64 to 32 channels, 14 to 28 pixels": (14, 64, 32, 2, True),
    "transposed, 32 to 1 channel, 28 pixels": (28, 32, 1, 1, True),
}


def own(x, kernel, stride, transposed):
    """What Keras calls."""
    if not transposed:
        return tf.nn.conv2d(x, kernel, stride, "SAME")
    shape = (tf.shape(x)[0], stride * x.shape[1], stride * x.shape[2], kernel.shape[2])
    return tf.nn.conv2d_transpose(x, kernel, shape, stride, "SAME")


def patches(x, kernel, stride, transposed):
    """Patches of the input and one product."""
    sizes, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    rows = tf.image.extract_patches(x, sizes, strides, (1, 1, 1, 1), "SAME")
    return rows @ tf.reshape(kernel, (-1, kernel.shape[-1]))


def turned_kernel(x, kernel, stride, transposed):
    """Zeros between the pixels, and a convolution with the kernel turned around."""
    turned = tf.transpose(tf.reverse(kernel, (0, 1)), (0, 1, 3, 2))
    if stride == 1:
        return tf.nn.conv2d(x, turned, 1, "SAME")
    size, _, channels = x.shape[1:]
    spread = tf.pad(x[:, :, None, :, None], ((0, 0), (0, 0), (0, 1), (0, 0), (0, 1), (0, 0)))
    spread = tf.reshape(spread, (-1, 2 * size, 2 * size, channels))
    return tf.nn.conv2d(spread, turned, 1, ((0, 0), (2, 0), (2, 0), (0, 0)))


def sub_pixel(x, kernel, stride, transposed):
    """Even and odd pixels of the output as channels of one small convolution."""
    zero = tf.zeros_like(kernel[0])
    along_rows = [(kernel[2], kernel[0]), (zero, kernel[1])]  # of even and of odd rows

    def columns(row):
        """(2 places, 2 phases, out, in) from (3 places, out, in)."""
        nothing = tf.zeros_like(row[0])
        return tf.stack([tf.stack([row[2], nothing]), tf.stack([row[0], row[1]])])

    places = [tf.stack([columns(phase[place]) for phase in along_rows]) for place in (0, 1)]
    small = tf.transpose(tf.stack(places), (0, 2, 5, 1, 3, 4))  # y, x, in, phases, out
    small = tf.reshape(small, (2, 2, kernel.shape[3], 4 * kernel.shape[2]))
    out = tf.nn.conv2d(x, small, 1, ((0, 0), (1, 0), (1, 0), (0, 0)))
    return tf.nn.depth_to_space(out, 2)


def shifted_sums(x, kernel, stride, transposed):
    """One product for all nine places of the kernel, and sums of its shifted parts."""
    size, outputs = x.shape[1], kernel.shape[2]
    weights = tf.reshape(tf.transpose(kernel, (3, 0, 1, 2)), (kernel.shape[3], -1))
    parts = tf.reshape(x @ weights, (-1, size, size, 3, 3, outputs))

    def phase(down, right):
        places = [(a, b) for a in ((0, 2), (1,))[down] for b in ((0, 2), (1,))[right]]
        return sum(_shifted(parts[:, :, :, a, b], a == 2, b == 2) for a, b in places)

    rows = [tf.stack([phase(down, right) for right in (0, 1)], axis=3) for down in (0, 1)]
    return tf.reshape(tf.stack(rows, axis=2), (-1, 2 * size, 2 * size, outputs))


def _shifted(x, down, right):
    padded = tf.pad(x, ((0, 0), (int(down), 0), (int(right), 0), (0, 0)))
    return padded[:, : x.shape[1], : x.shape[2]]


def two_columns(x, kernel, stride, transposed):
    """What the library does: one product for two columns, whose shares are added."""
    return to_one_channel(x, kernel)


def alternatives(stride, transposed):
    if not transposed:
        return [own, patches]
    return [own, turned_kernel, *([sub_pixel, shifted_sums] if stride == 2 else [two_columns])]


def compiled(way, stride, transposed):
    @tf.function
    def both_passes(x, kernel, upstream):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = way(x, kernel, stride, transposed)
        return y, *tape.gradient(y, (x, kernel), upstream)

    return both_passes


def check(expected, found, name):
    for a, b in zip(expected, found, strict=True):
        error = float(tf.reduce_max(tf.abs(a - tf.cast(b, a.dtype))) / tf.reduce_max(tf.abs(a)))
        if a.shape != b.shape or error > 1e-5:
            raise SystemExit(f"{name} differs by {error:.1e}, shapes {a.shape} and {b.shape}")


def measure(title, arguments):
    """Rows of one layer."""
    size, channels, outputs, stride, transposed = LAYERS[title]
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(arguments.batch, size, size, channels)), "float32")
    ends = (outputs, channels) if transposed else (channels, outputs)
    kernel = tf.constant(rng.normal(size=(3, 3, *ends)), "float32")
    shape = own(x, kernel, stride, transposed).shape
    upstream = tf.constant(rng.normal(size=shape), "float32")
    functions = {w: compiled(w, stride, transposed) for w in alternatives(stride, transposed)}
    expected = functions[own](*(tf.cast(a, "float64") for a in (x, kernel, upstream)))
    for way, function in functions.items():
        check(expected, function(x, kernel, upstream), way.__name__)
    times = {way: [] for way in functions}
    for _ in range(arguments.rounds):
        for way, function in functions.items():
            start = time.process_time()
            for _ in range(arguments.steps):
                function(x, kernel, upstream)
            times[way].append(1e3 * (time.process_time() - start) / arguments.steps)
    for way, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(times[own], found, strict=True))
        print(f"| {title} | {way.__name__} | {statistics.median(found):.1f} | {ratio:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5)
    arguments = parser.parse_args()
    print("| layer | computed by | CPU ms | faster than Keras' own |\n| --- | --- | --- | --- |")
    for title in LAYERS:
        measure(title, arguments)


if __name__ == "__main__":
    main()
