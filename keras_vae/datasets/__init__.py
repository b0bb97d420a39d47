"""Data for `fit`: batches of arrays, files and folders, Fashion-MNIST, drawn shapes and sequences.

Images stay 8-bit until the batch, files stay on disk: memory does not grow with the data.
"""

from keras_vae.datasets.batches import Batches, as_float
from keras_vae.datasets.drawn import (
    COLOUR_FACTORS,
    FACTORS,
    SHAPES,
    ShapeGrid,
    colour_shapes,
    shapes,
)
from keras_vae.datasets.files import (
    FASHION_MNIST_CLASSES,
    ArrayFiles,
    Shapes3D,
    Splits,
    dsprites,
    fashion_mnist,
    load,
)
from keras_vae.datasets.folders import IMAGE_SUFFIXES
from keras_vae.datasets.images import ImageFolder
from keras_vae.datasets.tokens import TopicChains

__all__ = [
    "COLOUR_FACTORS",
    "FACTORS",
    "FASHION_MNIST_CLASSES",
    "IMAGE_SUFFIXES",
    "SHAPES",
    "ArrayFiles",
    "Batches",
    "ImageFolder",
    "ShapeGrid",
    "Shapes3D",
    "Splits",
    "TopicChains",
    "as_float",
    "colour_shapes",
    "dsprites",
    "fashion_mnist",
    "load",
    "shapes",
]
