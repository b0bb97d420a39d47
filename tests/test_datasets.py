import colorsys

import h5py
import keras
import numpy as np
import pytest
from PIL import Image

from keras_vae import datasets, recipes
from keras_vae.datasets import Batches, ImageFolder

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (23, 4, 4, 1)).astype("uint8")


def rows(batches):
    return np.concatenate([batches[i] for i in range(len(batches))])


def next_epoch(batches):
    batches.on_epoch_begin()
    batches.on_epoch_end()


def test_batches_are_the_source_in_order_scaled():
    batches = Batches(X, 5)
    assert len(batches) == 5
    assert [len(batches[i]) for i in range(5)] == [5, 5, 5, 5, 3]
    np.testing.assert_allclose(rows(batches), X / 255.0, rtol=1e-6)
    assert batches[0].dtype == np.float32


def test_floats_are_not_scaled():
    x = RNG.normal(size=(4, 3))
    np.testing.assert_array_equal(Batches(x)[0], x.astype("float32"))


def test_an_epochs_order_depends_on_seed_and_epoch_alone():
    index = np.arange(23.0)[:, None]
    first, again, other = (Batches(index, 5, shuffle=True, seed=s) for s in (1, 1, 2))
    orders = []
    for _ in range(3):
        orders.append(rows(first).ravel())
        next_epoch(first)
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    again.epoch = 2  # as a resumed run would set it
    np.testing.assert_array_equal(rows(again).ravel(), orders[2])
    assert not np.array_equal(rows(other).ravel(), orders[0])


@pytest.fixture
def shards(tmp_path):
    paths = [tmp_path / f"{number}.npy" for number in range(4)]
    for path, part in zip(paths, np.split(X, [7, 7, 16]), strict=True):  # the second is empty
        np.save(path, part)
    return paths


@pytest.mark.parametrize("rows", [[3], [22, 0, 7, 6, 7, -1], slice(5, 18, 2), slice(None), []])
def test_files_are_read_as_one_array(shards, rows):
    source = datasets.ArrayFiles(shards)
    assert (len(source), source.shape, source.dtype) == (23, X.shape, X.dtype)
    np.testing.assert_array_equal(source[rows], X[rows])


def test_an_epoch_of_files_is_that_of_the_array(shards):
    one, several = (
        Batches(source, 5, shuffle=True, seed=3) for source in (X, datasets.ArrayFiles(shards))
    )
    for _ in range(2):
        np.testing.assert_array_equal(rows(one), rows(several))
        next_epoch(one)
        next_epoch(several)


def test_a_row_beyond_the_files_is_refused(shards):
    with pytest.raises(IndexError):
        datasets.ArrayFiles(shards)[[23]]


def test_files_that_do_not_agree_are_refused(shards, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((2, 5, 4, 1), "uint8"))
    np.save(tmp_path / "number.npy", np.uint8(3))
    np.savez(tmp_path / "several.npz", x=X)
    (tmp_path / "text.npy").write_text("no array")
    others = [tmp_path / name for name in ("wide.npy", "number.npy", "several.npz", "text.npy")]
    for paths in ([], *([*shards, other] for other in others), [tmp_path / "several.npz"]):
        with pytest.raises(ValueError, match=r"`paths` must .*Received: "):
            datasets.ArrayFiles(paths)


def test_a_model_trains_from_files(shards):
    model = recipes.vae((4, 4, 1), 1)
    model.compile("sgd")
    history = model.fit(Batches(datasets.ArrayFiles(shards), 5), verbose=0).history
    assert np.isfinite(history["loss"][0])


def test_fit_goes_through_the_epochs():
    seen = []

    class Spy(Batches):
        def __getitem__(self, index):
            seen.append((self.epoch, index))
            return super().__getitem__(index)

    model = recipes.vae((2,), 1)
    model.compile("sgd")
    batches = Spy(RNG.random((6, 2)), 2, shuffle=True)
    model.fit(batches, epochs=2, verbose=0, shuffle=False)
    model.fit(batches, verbose=0, shuffle=False)
    assert set(seen) == {(epoch, i) for epoch in range(3) for i in range(3)}
    assert batches.epoch == 3


def test_targets_and_weights_follow_their_examples():
    weights = np.arange(23.0)
    batch = Batches(X, 5, targets=255 - X, sample_weight=weights, shuffle=True)[2]
    x, y, w = batch
    np.testing.assert_allclose(x + y, 1.0, atol=1e-6)
    np.testing.assert_allclose(x, X[w.astype(int)] / 255.0, rtol=1e-6)
    x, y, w = Batches(X, 5, sample_weight=weights)[0]
    np.testing.assert_array_equal(x, y)


def test_binarised_pixels_have_their_grey_level_as_mean():
    grey = np.full((4000, 3), [0, 51, 204], "uint8")
    batches = Batches(grey, 4000, binarize=True, seed=3)
    first, again = batches[0], batches[0]
    next_epoch(batches)
    assert set(np.unique(first)) == {0.0, 1.0}
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, batches[0])
    np.testing.assert_allclose(first.mean(0), [0, 0.2, 0.8], atol=5 * 0.5 / np.sqrt(4000))


AUGMENT = {
    "layer": lambda: keras.layers.RandomTranslation(0.5, 0.5, fill_mode="constant"),
    "list": lambda: [keras.layers.RandomFlip(), keras.layers.RandomZoom(0.3, fill_mode="constant")],
    "nested": lambda: keras.Sequential(
        [keras.layers.RandomFlip(), keras.layers.GaussianNoise(0.1)]
    ),
    "function": lambda: lambda x, rng: x * rng.random((len(x), 1, 1, 1), "float32"),
}


@pytest.mark.backends
@pytest.mark.parametrize("kind", AUGMENT)
def test_augmentation_depends_on_seed_and_epoch_alone(kind):
    first, other = (
        Batches(X, 5, shuffle=True, augment=AUGMENT[kind](), seed=seed) for seed in (3, 4)
    )
    epochs = []
    for _ in range(3):
        epochs.append(rows(first))
        next_epoch(first)
    again = Batches(X, 5, shuffle=True, augment=AUGMENT[kind](), seed=3)
    again.epoch = 2  # as a resumed run would set it
    assert again[1].dtype == np.float32
    np.testing.assert_array_equal(rows(again), epochs[2])  # whatever was drawn before
    np.testing.assert_array_equal(again[3], epochs[2][15:20])
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(rows(other), epochs[0])
    assert not np.array_equal(rows(Batches(X, 5, shuffle=True, seed=3)), epochs[0])


def test_layers_of_a_list_and_batches_of_an_epoch_have_noise_of_their_own():
    x = np.zeros((4, 3), "float32")
    noise = [keras.layers.GaussianNoise(1.0, seed=1) for _ in range(2)]
    one, both = (Batches(x, 2, augment=layers) for layers in (noise[:1], noise))
    assert not np.allclose(both[0], 2 * one[0])
    assert not np.allclose(one[0], one[1])


def test_augmentation_leaves_targets_and_must_keep_the_shape():
    x, y = Batches(X, 5, targets=X, augment=lambda x, rng: 0 * x)[0]
    assert x.max() == 0 < y.max()
    with pytest.raises(ValueError, match=r"`augment` must keep the shape.*Received"):
        Batches(X, 5, augment=lambda x, rng: x[:, 1:])[0]


def test_a_resumed_run_with_augmentation_ends_like_one_that_never_stopped():
    def trained(*parts):
        keras.utils.set_random_seed(0)
        model = recipes.vae((4, 4, 1), 1, units=(4,), seed=0)
        model.compile("sgd")
        for epoch, epochs in parts:
            flip = keras.layers.RandomFlip()
            batches = Batches(X, 5, shuffle=True, augment=flip)
            batches.epoch = epoch
            model.fit(batches, initial_epoch=epoch, epochs=epochs, shuffle=False, verbose=0)
        return model.get_weights()

    for whole, resumed in zip(trained((0, 3)), trained((0, 2), (2, 3)), strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_memory_maps_are_not_read_whole(tmp_path):
    np.save(tmp_path / "x.npy", X)
    splits = datasets.load(tmp_path / "x.npy")
    assert isinstance(splits.train, np.memmap)
    assert isinstance(splits.test, np.memmap)
    assert len(splits.train) + len(splits.test) == 23
    np.testing.assert_allclose(rows(Batches(splits.train, 4)), X[:-2] / 255.0, rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Batches(X[:0]),
        lambda: Batches(X, 0),
        lambda: Batches(X, targets=X[:3]),
        lambda: Batches(X, sample_weight=np.ones(3)),
    ],
)
def test_bad_batches_are_refused(make):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        make()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "below").mkdir()
    for i in range(12):
        image = np.zeros((8, 6, 3), "uint8")
        image[..., i % 3] = 20 * i
        Image.fromarray(image).save(tmp_path / ("below" if i % 2 else ".") / f"{i:02}.PNG")
    (tmp_path / "note.txt").write_text("no image")
    (tmp_path / "broken.jpg").write_bytes(b"no image either")
    return tmp_path


def test_a_folder_of_images_is_indexed_like_an_array(folder):
    images = ImageFolder(folder, image_size=(8, 6))
    assert images.shape == (12, 8, 6, 3)
    assert images.skipped == 1
    batch = images[np.array([0, 11])]
    assert batch.dtype == np.uint8
    for image, path in zip(batch, (images.paths[0], images.paths[11]), strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(path)))
    train, test = datasets.load(folder)[:2]
    assert (len(train), len(test)) == (10, 2)
    assert not set(train.paths) & set(test.paths)


def test_images_of_other_sizes_are_scaled_and_cropped_at_the_centre(folder):
    wide = np.zeros((8, 24, 3), "uint8")
    wide[:, 9:15] = 200
    Image.fromarray(wide).save(folder / "00.PNG")
    image = ImageFolder(folder, image_size=(4, 3), channels=1)[np.array([0])]
    assert image.shape == (1, 4, 3, 1)
    np.testing.assert_allclose(image, 200, atol=2)


def test_a_damaged_image_is_named(folder):
    images = ImageFolder(folder, cache_bytes=0)
    path = images.paths[3]
    path.write_bytes(path.read_bytes()[:44])  # the header, and the first pixels
    for source in (images, ImageFolder(folder, check=False)):  # damaged later, or unseen
        with pytest.raises(ValueError, match=rf"must be readable.*Received: .*{path.name}"):
            source[np.array([3])]


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be a folder.*Received"):
        ImageFolder(tmp_path / "none")
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"images that can be read.*Received"):
        ImageFolder(tmp_path)


def test_areas_and_centres_of_the_shapes_are_those_of_their_factors():
    images, factors = datasets.shapes(600, image_size=64, seed=2)
    assert images.dtype == np.uint8
    kind, size, _, x, y = factors.T
    light = images[..., 0] / 255.0
    area = light.sum((1, 2)) / 64**2
    expected = np.choose(
        kind.astype(int), [np.pi * size**2 / 2, 2 * size**2, 3 * np.sqrt(3) / 4 * size**2]
    )
    np.testing.assert_allclose(area, expected, rtol=0.06)
    centres = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose((light.sum(1) @ centres) / light.sum((1, 2)), x, atol=0.01)
    np.testing.assert_allclose((light.sum(2) @ centres) / light.sum((1, 2)), y, atol=0.01)


def test_shapes_are_a_function_of_the_seed():
    a, b, c = (datasets.shapes(20, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_colours_of_the_shapes_are_those_of_their_factors():
    images, factors = datasets.colour_shapes(300, image_size=32, seed=2)
    assert (images.shape, images.dtype) == ((300, 32, 32, 3), np.uint8)
    grey, grey_factors = datasets.shapes(300, image_size=32, seed=2)
    np.testing.assert_array_equal(factors[:, :5], grey_factors)
    assert factors.shape[1] == len(datasets.COLOUR_FACTORS) == 7
    for image, cover, hues in zip(images, grey[..., 0], factors[:, 5:], strict=True):
        for pixels, hue, saturation, value in (
            (image[cover == 255], hues[0], 0.9, 1.0),
            (image[cover == 0], hues[1], 0.6, 0.5),
        ):
            expected = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))
            np.testing.assert_allclose(pixels - expected, 0, atol=0.51)


def test_coloured_shapes_are_a_function_of_the_seed():
    a, b, c = (datasets.colour_shapes(20, 16, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_npz_files(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X[..., 0], x_test=X[:5, ..., 0], y_train=np.arange(23))
    splits = datasets.load(tmp_path / "a.npz")
    assert splits.train.shape == (23, 4, 4, 1)
    assert splits.test.shape == (5, 4, 4, 1)
    assert splits.test_labels is None
    np.savez(tmp_path / "b.npz", x=RNG.random((30, 7)))
    assert datasets.load(tmp_path / "b.npz").test.shape == (3, 7)
    np.savez(tmp_path / "c.npz", other=X)
    with pytest.raises(ValueError, match=r"`x_train` and `x_test`.*Received"):
        datasets.load(tmp_path / "c.npz")


def test_files_of_objects_and_broken_files_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    (tmp_path / "broken.npy").write_bytes(b"no array")
    for name in ("objects.npy", "broken.npy"):
        with pytest.raises(ValueError, match=r"must be a NumPy file of numbers.*Received"):
            datasets.load(tmp_path / name)


def test_fashion_mnist_is_the_published_one(fashion_mnist):
    x_train, x_test = fashion_mnist
    assert x_train.shape == (60_000, 28, 28, 1)
    assert x_test.shape == (10_000, 28, 28, 1)
    assert x_train.mean() == pytest.approx(0.2860, abs=5e-5)  # published mean and deviation
    assert x_train.std() == pytest.approx(0.3530, abs=5e-5)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tiff"])
def test_every_format_decodes_to_grey_and_to_colour(tmp_path, suffix):
    Image.fromarray(np.full((6, 6, 3), 120, "uint8")).save(tmp_path / f"a.{suffix}")
    (tmp_path / "folder.png").mkdir()
    for channels in (1, 3):
        images = ImageFolder(tmp_path, 6, channels)[np.array([0])]
        assert images.shape == (1, 6, 6, channels)
        np.testing.assert_allclose(images, 120, atol=2)


def test_arrays_that_cannot_be_split_or_read_are_refused(tmp_path):
    np.save(tmp_path / "scalar.npy", np.zeros(()))
    np.save(tmp_path / "one.npy", np.zeros((1, 3)))
    np.savez(tmp_path / "objects.npz", x=np.array([{}]))
    (tmp_path / "array.npz").write_bytes((tmp_path / "one.npy").read_bytes())
    for name in ("scalar.npy", "one.npy", "objects.npz", "array.npz"):
        with pytest.raises(ValueError, match=r"`data` must .*Received: "):
            datasets.load(tmp_path / name)


def test_the_grid_is_addressed_by_its_factors():
    grid = datasets.ShapeGrid(image_size=16)
    assert len(grid) == 3 * 6 * 40 * 32 * 32 == 737_280
    rows = np.array([0, 1, 32, 1024, 40_960, 245_760, 737_279])
    np.testing.assert_array_equal(
        grid.factors(rows),
        [
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 1],
            [0, 0, 0, 1, 0],
            [0, 0, 1, 0, 0],
            [0, 1, 0, 0, 0],
            [1, 0, 0, 0, 0],
            [2, 5, 39, 31, 31],
        ],
    )
    images = grid[rows]
    assert (images.shape, images.dtype) == ((7, 16, 16, 1), np.uint8)
    np.testing.assert_array_equal(images[2:4], grid[np.array([32, 1024])])
    np.testing.assert_array_equal(grid[:2], images[:2])


def test_the_grids_images_lie_where_their_factors_say():
    grid = datasets.ShapeGrid()
    rows = np.random.default_rng(0).integers(len(grid), size=200)
    images, values = grid[rows][..., 0] / 255, grid.values(rows)
    total = images.sum((1, 2))
    centres = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose((images.sum(1) @ centres) / total, values[:, 3], atol=0.01)
    np.testing.assert_allclose((images.sum(2) @ centres) / total, values[:, 4], atol=0.01)
    area = {0: np.pi / 2, 1: 2.0, 2: 3 * np.sqrt(3) / 4}  # of radius 1
    expected = [area[int(shape)] * size**2 * 64**2 for shape, size in values[:, :2]]
    np.testing.assert_allclose(total, expected, rtol=0.08)


def test_a_model_trains_on_the_grid():
    batches = datasets.Batches(datasets.ShapeGrid(8), 32, shuffle=True)
    assert batches[0].shape == (32, 8, 8, 1)
    assert len(batches) == 23_040


def test_dsprites_is_read_without_its_pickled_part(tmp_path):
    images = np.random.default_rng(0).integers(2, size=(10, 64, 64), dtype="uint8")
    classes = np.arange(60).reshape(10, 6)
    metadata = np.array({"title": "dSprites"}, dtype=object)
    path = tmp_path / "dsprites.npz"
    np.savez(path, imgs=images, latents_classes=classes, metadata=metadata)
    read, factors = datasets.dsprites(path)
    np.testing.assert_array_equal(read[..., 0], 255 * images)
    np.testing.assert_array_equal(factors, classes[:, 1:])


def test_shapes3d_is_read_where_it_is_indexed(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(6, 64, 64, 3), dtype="uint8")
    labels = np.array([[0.0, 1.0], [0.1, 0.8], [0.2, 1.0], [0.0, 0.8], [0.1, 1.0], [0.2, 0.8]])
    with h5py.File(tmp_path / "3dshapes.h5", "w") as file:
        file["images"], file["labels"] = images, labels
    source = datasets.Shapes3D(tmp_path / "3dshapes.h5")
    rows = np.array([4, 0, 4, 2])
    np.testing.assert_array_equal(source[rows], images[rows])
    np.testing.assert_array_equal(source[1:3], images[1:3])
    np.testing.assert_array_equal(source.factors[:, 0], [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(source.factors[:, 1], [1, 0, 1, 0, 1, 0])
    batches = datasets.Batches(source, 4, shuffle=True)
    assert sum(len(batches[i]) for i in range(2)) == len(source) == 6


@pytest.mark.parametrize("read", [datasets.dsprites, datasets.Shapes3D])
def test_files_that_are_no_such_data_are_refused(read, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="Received"):
        read(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="Received"):
        read(tmp_path / "none.npz")
