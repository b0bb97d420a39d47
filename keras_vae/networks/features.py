"""Networks whose features the penalty `Perceptual` compares."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_vae.networks.shapes import image_shape
from keras_vae.typing import Activation
from keras_vae.validation import positive_integer


def image_classifier(
    input_shape: Sequence[int],
    num_classes: int,
    filters: Sequence[int] = (16, 32, 64),
    activation: Activation = "relu",
    name: str = "classifier",
) -> keras.Model:
    """Makes a small classifier of images, which is trained before its features are used.

    Args:
        input_shape: (H, W, C).
        num_classes: int.
        filters: channels after each convolution; the first has the stride 1, the others 2.
        activation: of the convolutions.
        name: of the model.

    Returns:
        A model from x, (B, H, W, C), to logits, (B, num_classes). Its convolutions are named
            `features_1`, `features_2`, ….

    Example:

    ```python
    classifier = networks.image_classifier((28, 28, 1), 10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss, metrics=["accuracy"])
    classifier.fit(x_train, y_train, epochs=10)
    features = networks.features_of(classifier)
    ```
    """
    x = inputs = keras.Input(image_shape(input_shape, "input_shape"))
    for number, width in enumerate(filters, 1):
        options = {"strides": min(number, 2), "padding": "same", "activation": activation}
        x = layers.Conv2D(width, 3, name=f"features_{number}", **options)(x)
    number = positive_integer(num_classes, "num_classes", "how many classes the images have")
    x = layers.Dense(number)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name=name)


def features_of(network: keras.Model, names: Sequence[str] | None = None) -> keras.Model:
    """Makes a network of the features inside another, divided by their length in each place.

    Squared distances of such features are those of LPIPS without its learned weights. An untrained
    network has random features; they tell edges and colours apart, but not what they mean.

    Args:
        network: functional `keras.Model`, such as `image_classifier` makes, or one of
            `keras.applications`. It is shared, not copied.
        names: of the layers; by default those that begin with "features_".

    Returns:
        A model from x, (B, H, W, C), to a list of features, (B, h, w, channels).

    Raises:
        ValueError: if there is no such layer.

    Example: `features_of(networks.image_classifier((64, 64, 3), 10))`.

    Reference: Zhang et al., The Unreasonable Effectiveness of Deep Features (arXiv:1801.03924),
    equation 1.
    """
    known = [layer.name for layer in network.layers]
    wanted = [n for n in known if n.startswith("features_")] if names is None else list(names)
    if not wanted or not set(wanted) <= set(known):
        raise ValueError(
            "`names` must be names of layers of the network, because their outputs are compared; "
            f"the network has {known}. Received: names={names}"
        )
    found = [layers.UnitNormalization()(network.get_layer(name).output) for name in wanted]
    return keras.Model(network.input, found, name="features")
