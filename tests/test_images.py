"""Folders of images: what is read, in which form, with which classes, and by which methods."""

import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vae
import keras_vae_cli as cli
from keras_vae import datasets, recipes
from keras_vae.datasets import ImageFolder, decoding

RNG = np.random.default_rng(0)
NOISE = RNG.integers(256, size=(8, 8, 3), dtype="uint8")
PHOTOS = pathlib.Path(__file__).parents[2] / "shared" / "data" / "photos" / "sign_digits"


def only(folder, *args, **kwargs):
    """The one image of a folder."""
    images = ImageFolder(folder, *args, strict=True, **kwargs)
    assert len(images) == 1
    return images[0]


@pytest.fixture
def classes(tmp_path):
    """Three class folders of 12, 12 and 1 images, each of one grey level."""
    for label, (name, count) in enumerate((("a", 12), ("b", 12), ("c", 1))):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (6, 6), (20 * i, 100 * label, 0)).save(tmp_path / name / f"{i:02}.png")
    return tmp_path


# Pixels.


def test_exif_data_turn_an_image(tmp_path):
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(NOISE)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(only(tmp_path, 8), NOISE)


def test_a_turned_photo_of_a_camera_is_scaled_whole(tmp_path):
    wide = np.zeros((40, 80, 3), "uint8")
    wide[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(wide).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = only(tmp_path, (16, 8))  # upright, twice as high as wide
    np.testing.assert_allclose(image[:7], 255, atol=3)
    np.testing.assert_allclose(image[9:], 0, atol=3)


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize(("background", "expected"), [("white", 255), ("#0a0a0a", 10)])
def test_transparent_pixels_show_the_background(tmp_path, suffix, background, expected):
    clear = np.zeros((4, 4, 4), "uint8")
    clear[:, 2:] = (200, 100, 50, 255)
    clear[0, 2:, 3] = 128
    Image.fromarray(clear).save(tmp_path / f"a.{suffix}", lossless=True)
    image = only(tmp_path, 4, background=background)
    np.testing.assert_array_equal(image[:, :2], expected)
    np.testing.assert_array_equal(image[1:, 2:], np.broadcast_to((200, 100, 50), (3, 2, 3)))
    mixed = 128 / 255 * np.array([200, 100, 50]) + 127 / 255 * expected
    np.testing.assert_allclose(image[0, 2:], [mixed, mixed], atol=1)


def test_a_transparent_colour_of_a_palette_shows_the_background(tmp_path):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([9, 9, 9, 70, 80, 90])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "a.png", transparency=0)
    image = only(tmp_path, 4)
    np.testing.assert_array_equal(image[0, 0], 255)
    np.testing.assert_array_equal(image[1, 1], (70, 80, 90))


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    grey = np.linspace(0, 65_535, 64).round().astype("uint16").reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    image = only(tmp_path, 8, channels=1)
    np.testing.assert_array_equal(image[..., 0], np.round(grey / 257).astype("uint8"))


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=95)
    red, green, blue = only(tmp_path, 8)[4, 4].astype(int)
    assert red < 60 < 120 < min(green, blue)  # cyan


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_of_several_frames_the_first_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (40, 200)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(only(tmp_path, 8), 40, atol=3)


def test_a_large_jpeg_is_the_whole_image_made_small(tmp_path):
    """Decoded at a quarter of its size, it looks as if decoded whole and scaled."""
    coarse = Image.fromarray(RNG.integers(256, size=(12, 9, 3), dtype="uint8"))
    coarse.resize((900, 1200), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as whole:
        square = whole.convert("RGB").resize(
            (64, 64), Image.Resampling.BICUBIC, (0, 150, 900, 1050)
        )
    found = only(tmp_path)
    assert found.shape == (64, 64, 3)
    difference = np.abs(found - np.asarray(square, float))
    assert difference.max() < 10
    assert difference.mean() < 2


def test_other_kinds_are_counted(tmp_path):
    Image.new("F", (8, 8)).save(tmp_path / "float.tiff")
    Image.fromarray(np.full((8, 8), 10**6, "int32")).save(tmp_path / "wide.tiff")
    for name in ("phone.heic", "raw.dng", "new.AVIF"):
        (tmp_path / name).write_bytes(b"of another kind")
    (tmp_path / ".hidden.png").write_bytes(b"none of ours")
    (tmp_path / "note.txt").write_text("no image")
    Image.fromarray(NOISE).save(tmp_path / "a.webp", lossless=True)
    images = ImageFolder(tmp_path, 8)
    assert (len(images), images.skipped) == (1, 5)
    assert len(images.skipped_paths) == 5
    np.testing.assert_array_equal(images[0], NOISE)


# Sizes.


def test_the_size_is_64_whatever_the_photos_have(tmp_path):
    Image.new("RGB", (1200, 900)).save(tmp_path / "a.jpg")
    assert ImageFolder(tmp_path).shape == (1, 64, 64, 3)
    assert ImageFolder(tmp_path, (32, 48), 1).shape == (1, 32, 48, 1)
    assert "1 images, 64 x 64 x 3" in repr(ImageFolder(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 0),
        ("image_size", (8, 8, 3)),
        ("image_size", (8, 0)),
        ("image_size", "64"),
        ("channels", 2),
        ("background", "no colour"),
        ("background", 3),
    ],
)
def test_forms_that_are_none_are_refused(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"(?s)`{name}` must be.*Received: {name}="):
        ImageFolder(tmp_path, **{name: value})


# Indices, and memory.


def test_a_folder_is_indexed_and_iterated_like_an_array(classes):
    images = ImageFolder(classes, 6)
    array = np.asarray(images)
    assert (array.shape, array.dtype, images.ndim) == (images.shape, np.uint8, 4)
    assert np.asarray(images, "float32").dtype == np.float32
    rows = [3, 0, -1, 3]
    for index in (0, -1, np.int64(5), rows, np.array(rows), array[:, 0, 0, 0] > 99, []):
        expected = array[index if np.size(index) else np.zeros(0, int)]
        np.testing.assert_array_equal(images[index], expected)
    for part in (slice(2, 20, 3), slice(None, None, -1), slice(0, 0)):
        assert isinstance(images[part], ImageFolder)
        np.testing.assert_array_equal(np.asarray(images[part]), array[part])
        np.testing.assert_array_equal(images[part].labels, images.labels[part])
    np.testing.assert_array_equal(list(images), array)
    for row in (25, -26, [25]):
        with pytest.raises(IndexError):
            images[row]


@pytest.mark.parametrize(("cache_bytes", "decoded"), [(2**30, 25), (10 * 6 * 6 * 3, 40), (0, 50)])
def test_what_fits_into_memory_is_decoded_once(classes, monkeypatch, cache_bytes, decoded):
    images = ImageFolder(classes, 6, check=False, cache_bytes=cache_bytes)
    read, seen = decoding.read, []
    monkeypatch.setattr(decoding, "read", lambda path, form: seen.append(path) or read(path, form))
    first, second = np.asarray(images), np.asarray(images[::-1])[::-1]
    np.testing.assert_array_equal(first, second)
    assert len(seen) == decoded
    first[:] = images[0][:] = 7  # a copy
    np.testing.assert_array_equal(np.asarray(images), second)


# Classes, and what is held out.


def test_folders_are_classes(classes):
    images = ImageFolder(classes)
    assert images.class_names == ("a", "b", "c")
    assert images.labels.tolist() == [0] * 12 + [1] * 12 + [2]
    assert images.labels.tolist() == ["abc".index(path.parent.name) for path in images.paths]


def test_what_is_no_folder_of_classes_has_no_labels(classes):
    (classes / "a" / "only").mkdir()
    for path in (classes / "a").glob("*.png"):
        path.rename(classes / "a" / "only" / path.name)
    for path in (classes / "b", classes / "a"):  # no folder below, and one
        images = ImageFolder(path)
        assert images.labels is None
        assert images.class_names is None
    Image.new("RGB", (6, 6)).save(classes / "beside.png")
    assert ImageFolder(classes).labels is None


def test_each_class_holds_its_share_out(classes):
    images = ImageFolder(classes, 6)
    train, test = images.split(every=5)
    assert np.bincount(test.labels, minlength=3).tolist() == [3, 3, 0]
    assert np.bincount(train.labels).tolist() == [9, 9, 1]
    assert sorted([*train.paths, *test.paths]) == images.paths
    assert [path.name for path in test.paths[::2]] == ["00.png", "05.png", "10.png"]
    assert train.labels[:4].tolist() == [2, 0, 1, 0]  # the first of a and b are held out
    again = ImageFolder(classes, 6).split(every=5)
    assert [part.paths for part in again] == [train.paths, test.paths]


def test_load_carries_labels_and_names(classes):
    splits = datasets.load(classes, False, (8, 12), 1)
    assert splits.train.shape == (21, 8, 12, 1)
    np.testing.assert_array_equal(splits.train_labels, splits.train.labels)
    np.testing.assert_array_equal(splits.test_labels, splits.test.labels)
    assert splits.class_names == ("a", "b", "c")


def test_a_class_for_each_image_holds_out_as_if_there_were_none(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        Image.new("RGB", (6, 6)).save(tmp_path / name / "1.png")
    train, test = ImageFolder(tmp_path).split()
    assert (len(train), len(test)) == (2, 1)


def test_an_image_is_not_in_both_parts(tmp_path):
    Image.new("RGB", (6, 6)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"`path` must hold at least two images.*Received: path="):
        datasets.load(tmp_path)
    with pytest.raises(ValueError, match=r"`every` must be at least 2.*Received"):
        ImageFolder(tmp_path).split(1)


# Methods.


@pytest.fixture(scope="module")
def vae():
    keras.utils.set_random_seed(0)
    model = recipes.vae((6, 6, 3), 2, units=(8,), seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    return model


METHODS = {
    "encode": lambda vae, x: vae.encode(x, batch_size=8),
    "predict": lambda vae, x: vae.predict(x, batch_size=8, verbose=0),
    "elbo": lambda vae, x: vae.elbo(x, num_samples=2),
    "evaluate": lambda vae, x: vae.evaluate(x, verbose=0),
    "diagnose": lambda vae, x: vae.diagnose(x, num_samples=2)["elbo"],
    "condition": lambda vae, x: vae.encode({"x": x}),
    "target": lambda vae, x: vae.elbo(x, x, num_samples=2),
}


@pytest.mark.backends
@pytest.mark.parametrize("method", METHODS)
def test_methods_take_a_folder_as_its_pixels(classes, vae, method):
    found = METHODS[method](vae, ImageFolder(classes, 6, cache_bytes=0))
    expected = METHODS[method](vae, np.asarray(ImageFolder(classes, 6)).astype("float32") / 255)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.backends
def test_a_folder_is_scaled_to_the_model(classes, vae):
    small = np.asarray(ImageFolder(classes, 6)).astype("float32") / 255
    images = ImageFolder(classes, (64, 32), 1)
    np.testing.assert_allclose(vae.encode(images), vae.encode(small), atol=1e-6)
    expected = vae.evaluate(small, verbose=0)
    np.testing.assert_allclose(vae.evaluate(images, verbose=0), expected, rtol=1e-5)
    vae.fit(images, validation_data=images[:4], verbose=0)
    grey = recipes.vae((6, 6, 1), 2, units=(8,))
    assert grey.predict(images, verbose=0).shape == (25, 6, 6, 1)


@pytest.mark.backends
def test_fit_takes_a_folder_and_a_part_of_it_for_validation(classes):
    losses = []
    pixels = np.asarray(ImageFolder(classes, 6)).astype("float32") / 255
    for x in (ImageFolder(classes, 6), pixels):
        keras.utils.set_random_seed(0)
        model = recipes.vae((6, 6, 3), 2, units=(8,), seed=0)
        model.compile("adam")
        history = model.fit(x, validation_split=0.2, shuffle=False, batch_size=8, verbose=0).history
        losses.append([history["loss"][0], history["val_loss"][0]])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_labels_are_conditions(classes):
    images = ImageFolder(classes, 6)
    model = recipes.vae((6, 6, 3), 2, units=(8,), condition_dim=3)
    model.compile("adam")
    model.fit({"x": images, "condition": images.labels}, verbose=0)
    assert model.generate(2, condition=1).shape == (2, 6, 6, 3)


def test_a_model_of_other_data_refuses_a_folder(classes):
    model = recipes.vae((30,), 2, units=(8,))
    with pytest.raises(ValueError, match=r"`x` must have the shape \(examples, 30\).*Received"):
        model.encode(ImageFolder(classes))


# The command line.


def test_commands_scale_a_folder_to_the_model(classes, tmp_path_factory, capsys):
    output = tmp_path_factory.mktemp("run") / "out"
    data = ["--data", str(classes)]
    options = ["--image-size", "8", "--epochs", "1", "--limit", "8", "--output", str(output)]
    cli.main(["train", *data, *options])
    assert "21 images to train on and 4 held out in 3 classes, each scaled to 8 x 8" in (
        capsys.readouterr().err
    )
    model = str(output / "vae.keras")
    cli.main(["encode", model, *data, "--output", str(output / "codes.csv")])
    rows = (output / "codes.csv").read_text().splitlines()
    assert (rows[0], len(rows)) == ("split,file,z0,z1,label", 26)
    cli.main(["evaluate", model, *data])
    cli.main(["reconstruct", model, *data, "--output", str(output / "x.npy")])
    assert np.load(output / "x.npy").shape == (4, 8, 8, 3)


def test_arrays_have_no_image_size(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.zeros((4, 6, 6, 1), "uint8"))
    command = ["train", "--data", str(tmp_path / "x.npy"), "--image-size", "8"]
    with pytest.raises(SystemExit):
        cli.main([*command, "--output", str(tmp_path / "run")])
    assert "`--image-size` must be left out" in capsys.readouterr().err


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(12):
        Image.fromarray(NOISE).save(tmp_path / "photos" / f"{i}.png")
    page = (pathlib.Path(__file__).parents[1] / "docs" / "data.md").read_text()
    section = page.split("## Folders of images")[1].split("## What is checked")[0]
    names = {"keras_vae": keras_vae}
    for block in re.findall(r"```python\n(.*?)```", section, flags=re.S):
        exec(compile(block, "data.md", "exec"), names)  # noqa: S102
    assert names["image"].shape == (32, 32, 3)


# Photographs.


@pytest.fixture(scope="module")
def photos():
    if not PHOTOS.is_dir():
        pytest.skip(f"there are no photographs at {PHOTOS}")
    return ImageFolder(PHOTOS, check=False)


def test_photographs_are_found_with_their_classes(photos):
    assert photos.shape == (2062, 64, 64, 3)
    assert photos.class_names == tuple("0123456789")
    train, test = photos.split(5)
    share = np.bincount(test.labels) / np.bincount(photos.labels)
    np.testing.assert_allclose(share, 0.2, atol=0.005)
    assert not set(train.paths) & set(test.paths)


@pytest.mark.tensorflow
def test_photographs_are_those_of_another_decoder(photos):
    import tensorflow as tf

    for row in range(0, 2062, 300):
        content = photos.paths[row].read_bytes()
        whole = tf.io.decode_jpeg(content, 3, dct_method="INTEGER_ACCURATE").numpy()
        np.testing.assert_array_equal(photos.scaled_to(whole.shape[:2], 3)[row], whole)
