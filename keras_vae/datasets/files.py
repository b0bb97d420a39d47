"""Named data and files: Fashion-MNIST, dSprites, 3D Shapes, arrays, folders."""

import gzip
import os
import pathlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_vae.datasets.drawn import SHAPES, colour_shapes, shapes
from keras_vae.datasets.images import ImageFolder
from keras_vae.typing import FilePath, Rows

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


class Splits(NamedTuple):
    """Training and test examples, as arrays or an `ImageFolder`; labels and names may be None."""

    train: Any
    test: Any
    train_labels: Any = None
    test_labels: Any = None
    class_names: Any = None


def fashion_mnist() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Loads Fashion-MNIST through `keras.datasets`, which downloads it once.

    Returns:
        ((x, y), (x_test, y_test)): x uint8 (N, 28, 28, 1), y uint8 (N,).

    Reference: Xiao et al., Fashion-MNIST (arXiv:1708.07747).
    """
    (x, y), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
    return (x[..., None], y), (x_test[..., None], y_test)


def dsprites(path: FilePath) -> tuple[np.ndarray, np.ndarray]:
    """Reads the dSprites file.

    Args:
        path: `dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz`. Takes 3 GB of memory.

    Returns:
        Tuple of images, uint8 (737280, 64, 64, 1) of 0 and 255, and of the classes of shape,
        scale, orientation, x and y, integers from 0, (737280, 5).

    Reference: Matthey et al., dSprites: Disentanglement Testing Sprites Dataset (2017).
    """
    names = ("imgs", "latents_classes")  # the metadata are objects, and not read
    images, classes = _read_arrays(pathlib.Path(path), names)
    images, factors = images[..., None], classes[:, 1:]
    images *= 255
    return images, factors


class Shapes3D:
    """The 3D Shapes file, read when indexed: images, uint8 (480000, 64, 64, 3).

    Args:
        path: `3dshapes.h5`.

    Attributes:
        shape: (480000, 64, 64, 3).
        factors: integers (480000, 6) from 0: hue of floor, wall and object, scale, shape,
            orientation.

    Reference: Burgess and Kim, 3D Shapes Dataset (2018).
    """

    dtype = np.dtype("uint8")

    def __init__(self, path: FilePath) -> None:
        import h5py

        try:
            file = h5py.File(path, "r")
            self.images, labels = file["images"], file["labels"][:]
        except (OSError, KeyError) as error:
            raise ValueError(
                "`path` must be the HDF5 file of 3D Shapes, with `images` and `labels`; this one "
                f"cannot be read ({error}). Received: path={str(path)!r}"
            ) from error
        columns = [np.unique(column, return_inverse=True)[1].ravel() for column in labels.T]
        self.factors, self.shape = np.stack(columns, axis=1), self.images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        if isinstance(rows, slice):
            return self.images[rows]
        unique, back = np.unique(rows, return_inverse=True)  # HDF5 wants rising rows
        return self.images[unique][back.ravel()]


class ArrayFiles:
    """Several `.npy` files as one array that stays on disk, read when indexed.

    `Batches(ArrayFiles(paths), shuffle=True)` shuffles across all files, each epoch anew.

    Args:
        paths: the files, in the order of the rows; all but the first axis must agree.

    Attributes:
        shape, dtype: those of the array.

    Raises:
        ValueError: if there is none, one cannot be read, or one has other examples than the first.

    Example: `datasets.ArrayFiles(sorted(pathlib.Path("shards").glob("*.npy")))`.
    """

    def __init__(self, paths: Iterable[FilePath]) -> None:
        self.files = [_read_numpy(path, "paths") for path in paths]
        arrays = [file for file in self.files if isinstance(file, np.ndarray) and file.ndim]
        kinds = {(file.shape[1:], file.dtype) for file in arrays}
        if len(kinds) != 1 or len(arrays) < len(self.files):
            raise ValueError(
                "`paths` must name at least one .npy file, and files of examples of one shape and "
                f"dtype, because they are read as one array. Received: {len(self.files)} files of "
                f"shapes and dtypes {sorted(map(str, kinds))}"
            )
        example_shape, self.dtype = kinds.pop()
        self.ends = np.cumsum([len(file) for file in self.files])
        self.shape = (int(self.ends[-1]), *example_shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows) -> np.ndarray:
        if isinstance(rows, slice):
            rows = range(*rows.indices(len(self)))
        rows = np.asarray(rows, int)
        rows = np.where(rows < 0, rows + len(self), rows)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        number = np.searchsorted(self.ends, rows, side="right")
        for one in np.unique(number):
            here = number == one
            found[here] = self.files[one][rows[here] - self.ends[one]]  # counted from the end
        return found


def load(
    name: FilePath,
    strict: bool = False,
    image_size: int | Sequence[int] = 64,
    channels: int = 3,
) -> Splits:
    """Loads named data.

    Args:
        name: "fashion_mnist"; "shapes"; "colour_shapes"; a folder of images; a `.npy` file of one
            array; or a `.npz` file with `x_train` and `x_test` (and `y_train`, `y_test`), or with
            `x`. Where there is no test part, every tenth image of a folder is held out, or the last
            tenth of an array. A `.npy` file is memory-mapped.
        strict, image_size, channels: of a folder, as for `ImageFolder`.

    Returns:
        The data as `Splits`.

    Raises:
        ValueError: if it cannot be had.

    Example: `splits = keras_vae.datasets.load("measurements.npy")`.
    """
    path = pathlib.Path(name)
    if name == "fashion_mnist":
        return _load_fashion_mnist()
    if name in ("shapes", "colour_shapes"):
        draw = shapes if name == "shapes" else colour_shapes
        (x, factors), (x_test, test_factors) = draw(10_000, seed=0), draw(2000, seed=1)
        labels, test_labels = (f[:, 0].astype(int) for f in (factors, test_factors))
        return Splits(x, x_test, labels, test_labels, SHAPES)
    if path.is_dir():
        folder = ImageFolder(path, image_size, channels, strict)
        train, test = folder.split()
        return Splits(train, test, train.labels, test.labels, folder.class_names)
    if path.is_file() and path.suffix == ".npy":
        return _split_array(_with_channels(_read_numpy(path)))
    if path.is_file() and path.suffix == ".npz":
        return _load_npz(path)
    raise ValueError(
        "`data` must be fashion_mnist, shapes, colour_shapes, an existing folder of images, or an "
        f"existing .npy or .npz file. Received: data={str(name)!r}"
    )


DAMAGED = (EOFError, ValueError, gzip.BadGzipFile, zlib.error)
"""What Keras raises as it reads a damaged file of Fashion-MNIST."""


def _load_fashion_mnist():
    try:
        (x, y), (x_test, y_test) = fashion_mnist()
    except DAMAGED as error:
        home = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        raise ValueError(
            f"`data` must be whole: a file of Fashion-MNIST is damaged ({error}). Delete "
            f"{home / 'datasets' / 'fashion-mnist'}, and it is downloaded again. "
            "Received: data='fashion_mnist'"
        ) from error
    except Exception as error:
        raise ValueError(
            "`data` cannot be had: Fashion-MNIST is not in the folder of Keras' datasets and "
            f"could not be downloaded ({error}). Received: data='fashion_mnist'"
        ) from error
    return Splits(x, x_test, y, y_test, FASHION_MNIST_CLASSES)


def _read_numpy(path, argument="data"):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"`{argument}` must be a NumPy file of numbers; this one cannot be read ({error}). "
            f"Received: {argument}={str(path)!r}"
        ) from error


def _read_arrays(path, names=None):
    """The arrays of an .npz file as a dict, or as a list those of the given names."""
    file = _read_numpy(path)
    try:
        if names:
            return [file[key] for key in names]
        return {key: file[key] for key in file.files}
    except (ValueError, AttributeError, KeyError, IndexError) as error:
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
