"""Keras' transposed convolution to one channel in half the time, on the CPU with TensorFlow.

TensorFlow brings the whole input into another layout for it, which takes longer than the sums. Its
gradients are fast, and stay.
"""

import contextlib
import functools

import keras


def with_one_product(network):
    """Computes its transposed 3x3 convolutions to one channel as a product of matrices.

    The numbers are the same up to rounding; class, weights and file of the layers stay as they are.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    for layer in network._flatten_layers():
        if _is_to_one_channel(layer):
            layer.call = functools.partial(_call, layer)


@contextlib.contextmanager
def as_in_keras(network):
    """Computes as Keras does inside: converters and their runtimes know its operations."""
    changed = {layer: layer.call for layer in network._flatten_layers() if _is_changed(layer)}
    for layer in changed:
        del layer.call
    try:
        yield
    finally:
        for layer, call in changed.items():
            layer.call = call


def _is_changed(layer):
    return getattr(vars(layer).get("call"), "func", None) is _call


def _is_to_one_channel(layer):
    return (
        type(layer) is keras.layers.Conv2DTranspose
        and (layer.filters, layer.kernel_size, layer.strides) == (1, (3, 3), (1, 1))
        and (layer.padding, layer.output_padding) == ("same", None)
        and (layer.dilation_rate, layer.data_format) == ((1, 1), "channels_last")
        and layer.compute_dtype == "float32"
    )


def _call(layer, x):
    import tensorflow as tf

    height, width = x.shape[1:3]
    if height is None or width is None or width % 2:
        return type(layer).call(layer, x)
    y = to_one_channel(x, tf.convert_to_tensor(layer.kernel))
    return layer.activation(y + layer.bias if layer.use_bias else y)


def to_one_channel(x, kernel):
    """`conv_transpose(x, kernel, padding="same")` of Keras; x (B, H, W, C), kernel (3, 3, 1, C)."""
    import tensorflow as tf

    @tf.custom_gradient
    def convolution(x, kernel):
        def gradients(upstream):
            of_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=upstream,
                filter_sizes=tf.shape(kernel),
                out_backprop=x,
                strides=(1, 1, 1, 1),
                padding="SAME",
            )
            return tf.nn.conv2d(upstream, kernel, 1, "SAME"), of_kernel

        return _product(x, kernel), gradients

    return convolution(x, kernel)


def _product(x, kernel):
    """Two columns of x give their shares of four columns in three rows; then shares are added."""
    import tensorflow as tf

    height, width, channels = x.shape[1:]
    wide = [tf.pad(kernel[:, :, 0], ((0, 0), (p, 1 - p), (0, 0))) for p in (0, 1)]
    weights = tf.reshape(tf.transpose(wide, (0, 3, 1, 2)), (2 * channels, 12))
    shares = tf.split(tf.reshape(x, (-1, 2 * channels)) @ weights, 3, axis=-1)
    of_below, of_own, of_above = (tf.reshape(s, (-1, height, 2 * width)) for s in shares)
    of_below = tf.pad(of_below[:, 1:], ((0, 0), (0, 1), (0, 0)))
    of_above = tf.pad(of_above[:, :-1], ((0, 0), (1, 0), (0, 0)))
    rows = tf.reshape(of_own + of_below + of_above, (-1, height, width // 2, 4))
    to_left, own, to_right = tf.split(rows, (1, 2, 1), axis=-1)
    to_left = tf.pad(to_left[:, :, 1:], ((0, 0), (0, 0), (0, 1), (0, 0)))
    to_right = tf.pad(to_right[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0)))
    columns = own + tf.concat([to_right, to_left], -1)
    return tf.reshape(columns, (-1, height, width, 1))
