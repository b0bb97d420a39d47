"""Data for `fit`: batches of arrays, files and folders, Fashion-MNIST, and drawn shapes.

Images stay 8-bit until the batch, files stay on disk: memory does not grow with the data.
"""

import numbers
import pathlib
from typing import Any, NamedTuple

import keras
import numpy as np

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif"}
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8")

FASHION_MNIST_CLASSES = (
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SHAPES = ("ellipse", "square", "triangle")
FACTORS = ("shape", "size", "angle", "x", "y")
"""The columns of the factors of `shapes`."""


class Splits(NamedTuple):
    """Training and test examples, as arrays or an `ImageFolder`; labels and names may be None."""

    train: Any
    test: Any
    train_labels: Any = None
    test_labels: Any = None
    class_names: Any = None


class Batches(keras.utils.PyDataset):
    """Batches of float32 from anything that can be indexed with an array of integers.

    8-bit values are scaled to [0, 1], others kept. The order of an epoch depends on `seed` and
    the attribute `epoch` alone, so that a resumed run sees the data as one that never stopped;
    pass `shuffle=False` to `fit`, or Keras shuffles the batches once more.

    Args:
        source: (N, …) array, memory map or `ImageFolder`.
        batch_size: int; the last batch may be smaller.
        targets: (N, …), what to reconstruct instead of x, scaled likewise.
        sample_weight: (N,).
        shuffle: whether each epoch has an order of its own.
        seed: int, of the order and of `binarize`.
        binarize: whether to draw each pixel as 0 or 1 with its grey level as probability, anew in
            each epoch.

    Raises:
        ValueError: if there are no examples, or not as many targets or weights.

    Example:

    ```python
    (x, _), (x_test, _) = keras_vae.datasets.fashion_mnist()
    vae.fit(keras_vae.datasets.Batches(x, shuffle=True), epochs=10, shuffle=False)
    ```

    Reference for `binarize`: Salakhutdinov and Murray, On the Quantitative Analysis of Deep Belief
    Networks (ICML 2008).
    """

    def __init__(
        self,
        source,
        batch_size=128,
        *,
        targets=None,
        sample_weight=None,
        shuffle=False,
        seed=0,
        binarize=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if len(source) == 0:
            raise ValueError(
                "`source` must hold at least one example, because there is nothing to learn from "
                "an empty one. Received: a source of length 0"
            )
        if not isinstance(batch_size, numbers.Integral) or batch_size < 1:
            raise ValueError(
                "`batch_size` must be an integer of at least 1, the number of examples in a "
                f"batch. Received: batch_size={batch_size!r}"
            )
        for name, other in (("targets", targets), ("sample_weight", sample_weight)):
            if other is not None and len(other) != len(source):
                raise ValueError(
                    f"`{name}` must have one entry an example, as many as `source`. "
                    f"Received: {len(other)} for {len(source)} examples"
                )
        self.source, self.batch_size = source, batch_size
        self.targets, self.sample_weight = targets, sample_weight
        self.shuffle, self.seed, self.binarize = shuffle, seed, binarize
        self.epoch, self._begun = 0, False
        self._order = (None, None)

    def __len__(self):
        return -(-len(self.source) // self.batch_size)

    def __getitem__(self, index):
        rows = self.order()[index * self.batch_size : (index + 1) * self.batch_size]
        x = as_float(self.source[rows])
        if self.binarize:
            rng = np.random.default_rng([self.seed, self.epoch, index])
            x = (rng.random(x.shape, "float32") < x).astype("float32")
        if self.targets is None and self.sample_weight is None:
            return x
        y = x if self.targets is None else as_float(self.targets[rows])
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[rows])

    def order(self):
        """The rows of the source in the order of this epoch."""
        if self._order[0] != self.epoch:
            rows = np.arange(len(self.source))
            if self.shuffle:
                rows = np.random.default_rng([self.seed, self.epoch]).permutation(rows)
            self._order = (self.epoch, rows)
        return self._order[1]

    def on_epoch_begin(self):
        self._begun = True

    def on_epoch_end(self):
        self.epoch += self._begun  # Keras also ends an epoch before the first
        self._begun = False


def as_float(x):
    """float32; 8-bit values scaled to [0, 1]."""
    x = np.asarray(x)
    return x.astype("float32") / 255 if x.dtype == np.uint8 else x.astype("float32")


class ImageFolder:
    """The images below a folder, read when indexed with an array of integers: (B, H, W, C), uint8.

    Args:
        path: folder, searched with all its subfolders; the images are in the order of their paths.
        image_size: (H, W); by default that of the first image. Images of another size are scaled,
            and cropped at the centre where their proportions differ.
        channels: 3 for colour, 1 for grey.

    Attributes: `paths`; `shape`, (N, H, W, C); `skipped`, the number of files with the name of an
    image but the content of none, which are left out.

    Raises:
        ValueError: if there is no such folder, or no image in it.

    Example: `Batches(ImageFolder("photos", image_size=(64, 64)), batch_size=64, shuffle=True)`.
    """

    dtype = np.dtype("uint8")

    def __init__(self, path, image_size=None, channels=3):
        path = pathlib.Path(path)
        if not path.is_dir():
            raise ValueError(f"`path` must be a folder of images. Received: path={str(path)!r}")
        named = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
        files = [p for p in named if p.is_file()]
        self.paths = [p for p in files if _looks_like_an_image(p)]
        self.skipped = len(files) - len(self.paths)
        if not self.paths:
            raise ValueError(
                f"`path` must hold images that can be read ({', '.join(sorted(IMAGE_SUFFIXES))}). "
                f"Received: path={str(path)!r} with {len(files)} files of such a name, none of "
                "them an image"
            )
        self.channels = channels
        self.image_size = tuple(image_size or self._decode(self.paths[0]).shape[:2])

    @property
    def shape(self):
        return (len(self.paths), *self.image_size, self.channels)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            return self._part(self.paths[rows])
        return np.stack([self._read(self.paths[row]) for row in rows])

    def split(self, every=10):
        """(training part, test part): every tenth file is for testing."""
        test = self.paths[::every]
        train = [p for i, p in enumerate(self.paths) if i % every]
        return self._part(train or test), self._part(test)

    def _part(self, paths):
        part = object.__new__(ImageFolder)
        part.__dict__.update(self.__dict__, paths=paths)
        return part

    def _read(self, path):
        image = self._decode(path)
        if image.shape[:2] != self.image_size:
            image = keras.ops.image.resize(
                keras.ops.cast(image, "float32"),
                self.image_size,
                antialias=True,
                crop_to_aspect_ratio=True,
            )
            image = np.clip(np.round(keras.ops.convert_to_numpy(image)), 0, 255).astype("uint8")
        return image

    def _decode(self, path):
        import tensorflow as tf

        try:
            image = tf.io.decode_image(path.read_bytes(), 3, expand_animations=False)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "Every image must be readable; this one is damaged, so delete or replace it. "
                f"Received: {str(path)!r}"
            ) from error
        # TensorFlow decodes no BMP or GIF to grey by itself
        return (tf.image.rgb_to_grayscale(image) if self.channels == 1 else image).numpy()


def _looks_like_an_image(path):
    with open(path, "rb") as file:
        return file.read(8).startswith(_SIGNATURES)


def fashion_mnist():
    """Fashion-MNIST through `keras.datasets`: ((x, y), (x_test, y_test)), x uint8 (N, 28, 28, 1).

    Reference: Xiao et al., Fashion-MNIST (arXiv:1708.07747).
    """
    (x, y), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    return (x[..., None], y), (x_test[..., None], y_test)


def shapes(num_images=10_000, image_size=28, seed=0):
    """Drawn ellipses, squares and triangles with known factors; needs no file and no network.

    Args:
        num_images: int, N.
        image_size: int, S: height and width.
        seed: int.

    Returns: images, uint8 (N, S, S, 1), and factors, float32 (N, 5), with the columns `FACTORS`:
    shape (0 ellipse, 1 square, 2 triangle), size (radius as part of the width), angle (radians),
    and the centre x, y (parts of the width, y downwards).

    Example: `images, factors = shapes(1000, seed=1)`.
    """
    rng = np.random.default_rng(seed)
    factors = np.stack(
        [
            rng.integers(0, 3, num_images),
            rng.uniform(0.12, 0.28, num_images),
            rng.uniform(0, 2 * np.pi, num_images),
            rng.uniform(0.3, 0.7, num_images),
            rng.uniform(0.3, 0.7, num_images),
        ],
        axis=1,
    ).astype("float32")
    parts = np.array_split(factors, -(-num_images // 1000))
    return np.concatenate([_draw(part, image_size) for part in parts]), factors


def _draw(factors, image_size):
    """Anti-aliased: a pixel is as bright as the signed distance of its centre to the edge says."""
    kind, size, angle, x, y = factors.T[:, :, None, None]
    centres = (np.arange(image_size, dtype="float32") + 0.5) / image_size
    dx, dy = centres[None, None, :] - x, centres[None, :, None] - y
    u = np.cos(angle) * dx + np.sin(angle) * dy
    v = np.cos(angle) * dy - np.sin(angle) * dx
    distances = np.stack([_ellipse(u, v, size), _square(u, v, size), _triangle(u, v, size)])
    chosen = np.take_along_axis(distances, kind.astype(int)[None], axis=0)[0]
    return (255 * np.clip(0.5 - chosen * image_size, 0, 1)).round().astype("uint8")[..., None]


def _ellipse(u, v, size):
    """Twice as long as wide; to first order in the distance."""
    level = np.sqrt((u / size) ** 2 + (2 * v / size) ** 2)
    slope = np.sqrt((u / size**2) ** 2 + (4 * v / size**2) ** 2) / np.maximum(level, 1e-6)
    return (level - 1) / np.maximum(slope, 1e-6)


def _square(u, v, size):
    return np.maximum(np.abs(u), np.abs(v)) - size / np.sqrt(2)


def _triangle(u, v, size):
    """Equilateral; `size` is the radius of the circle through its corners."""
    sides = [np.cos(a) * u + np.sin(a) * v for a in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    return np.maximum.reduce(sides) - size / 2


def load(name):
    """Named data as `Splits`.

    Args:
        name: "fashion_mnist"; "shapes"; a folder of images; a `.npy` file of one array; or a
            `.npz` file with `x_train` and `x_test` (and `y_train`, `y_test`), or with `x`. Where
            there is no test part, every tenth image of a folder is held out, or the last tenth of
            an array. A `.npy` file is memory-mapped.

    Raises:
        ValueError: if it cannot be had.

    Example: `splits = keras_vae.datasets.load("measurements.npy")`.
    """
    path = pathlib.Path(name)
    if name == "fashion_mnist":
        return _load_fashion_mnist()
    if name == "shapes":
        (x, factors), (x_test, test_factors) = shapes(10_000, seed=0), shapes(2000, seed=1)
        labels = (f[:, 0].astype(int) for f in (factors, test_factors))
        return Splits(x, x_test, *labels, SHAPES)
    if path.is_dir():
        return Splits(*ImageFolder(path).split())
    if path.is_file() and path.suffix == ".npy":
        return _split_array(_with_channels(_read_numpy(path)))
    if path.is_file() and path.suffix == ".npz":
        return _load_npz(path)
    raise ValueError(
        "`data` must be fashion_mnist, shapes, an existing folder of images, or an existing .npy "
        f"or .npz file. Received: data={str(name)!r}"
    )


def _load_fashion_mnist():
    try:
        (x, y), (x_test, y_test) = fashion_mnist()
    except Exception as error:
        raise ValueError(
            "`data` cannot be had: Fashion-MNIST is not in the folder of Keras' datasets and "
            f"could not be downloaded ({error}). Received: data='fashion_mnist'"
        ) from error
    return Splits(x, x_test, y, y_test, FASHION_MNIST_CLASSES)


def _read_numpy(path):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"`data` must be a NumPy file of numbers; this one cannot be read ({error}). "
            f"Received: data={str(path)!r}"
        ) from error


def _read_arrays(path):
    file = _read_numpy(path)
    try:
        return {key: file[key] for key in file.files}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"`data` must be an .npz file of arrays of numbers; this one is not ({error}). "
            f"Received: data={str(path)!r}"
        ) from error


def _load_npz(path):
    file = _read_arrays(path)
    if "x_train" in file and "x_test" in file:
        labels = [file.get(key) for key in ("y_train", "y_test")]
        return Splits(_with_channels(file["x_train"]), _with_channels(file["x_test"]), *labels)
    if "x" in file:
        return _split_array(_with_channels(file["x"]))
    raise ValueError(
        "`data` must hold the arrays `x_train` and `x_test`, or `x`. "
        f"Received: data={str(path)!r} with {sorted(file)}"
    )


def _with_channels(x):
    return x[..., None] if x.ndim == 3 else x


def _split_array(x):
    if x.ndim == 0 or len(x) < 2:
        raise ValueError(
            "`data` must hold at least two examples, as one in ten is held out for testing. "
            f"Received: an array with shape={x.shape}"
        )
    held_out = max(1, len(x) // 10)
    return Splits(x[:-held_out], x[-held_out:])
