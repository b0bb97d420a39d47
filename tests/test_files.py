"""Damaged, foreign and hostile files: refused with a sentence, and nothing in them is run."""

import io
import json
import os
import pathlib
import pickle
import resource
import struct
import time
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from checks import load_committed
from PIL import Image

import keras_vae
from keras_vae import datasets, likelihoods, recipes

DATA = pathlib.Path(__file__).parent / "data"
X = np.random.default_rng(0).random((4, 3), "float32")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model's file: its bytes, its entries, and what it reconstructs."""
    vae = keras_vae.VAE(
        keras_vae.networks.dense_encoder((3,), units=(4,)),
        keras_vae.networks.dense_decoder(2, (3,), units=(4,)),
    )
    vae.compile("adam")
    vae.fit(X, verbose=0)
    path = tmp_path_factory.mktemp("files") / "vae.keras"
    vae.save(path)
    keras_vae.load_model(path)  # as it is it loads, or the tests below show nothing
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return path.read_bytes(), entries, vae.predict(X, verbose=0)


def archive(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def refused(path):
    """That loading is refused in three parts, quickly, and without filling the memory."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"(?s)`path` must name a whole.*Received: path="):
        keras_vae.load_model(path)
    assert time.perf_counter() - start < 5  # a hang, not a benchmark
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_five_hundred_flipped_bits_are_refused_or_do_not_matter(saved, tmp_path):
    content, _, expected = saved
    rng = np.random.default_rng(0)
    path, survived = tmp_path / "flipped.keras", 0
    for bit in rng.integers(8 * len(content), size=500):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(flipped)
        try:
            vae = keras_vae.load_model(path)
        except ValueError:
            continue
        np.testing.assert_array_equal(vae.predict(X, verbose=0), expected)
        survived += 1
    print(f"500 flips: {500 - survived} refused, {survived} without effect, 0 wrong")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, tmp_path, part):
    path = tmp_path / "short.keras"
    path.write_bytes(saved[0][: int(part * len(saved[0]))])
    refused(path)


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_file_without_an_entry_is_refused(saved, tmp_path, name):
    rest = {key: value for key, value in saved[1].items() if key != name}
    refused(archive(tmp_path / "part.keras", rest))


def test_a_file_of_a_later_version_is_refused(saved, tmp_path):
    config = json.loads(saved[1]["config.json"])
    config["config"]["format"] = 99
    path = archive(tmp_path / "new.keras", saved[1] | {"config.json": json.dumps(config)})
    with pytest.raises(ValueError, match=r"later version of keras_vae \(format 99"):
        keras_vae.load_model(path)


@pytest.mark.parametrize("name", ["/evil", "../evil", "assets/../../evil", "..\\evil", "C:evil"])
def test_entries_outside_the_archive_are_refused(saved, tmp_path, name):
    refused(archive(tmp_path / "out.keras", saved[1] | {name: b"evil"}))
    assert not list(tmp_path.parent.glob("evil"))


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json", "assets/more"])
def test_a_bomb_is_refused(saved, tmp_path, name):
    bomb = saved[1] | {name: bytes(300_000_000)}
    path = archive(tmp_path / "bomb.keras", bomb, zipfile.ZIP_DEFLATED)
    del bomb
    refused(path)


def weights(change):
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        change(h5)
    return file.getvalue()


def to_itself(h5):
    h5.create_group("layers")["again"] = h5["/"]


def huge(h5):
    h5.create_dataset("layers", shape=(10**10,), dtype="float32", chunks=True, compression="gzip")


def objects(h5):
    h5.create_dataset("layers", data=["text"], dtype=h5py.string_dtype())


WEIGHTS = {
    "external link": lambda h5: h5.update({"layers": h5py.ExternalLink("other.h5", "/")}),
    "soft link": lambda h5: h5.update({"layers": h5py.SoftLink("/")}),
    "external data": lambda h5: h5.create_dataset(
        "layers", (8,), "uint8", external=[("/etc/passwd", 0, 8)]
    ),
    "cycle": to_itself,
    "huge array": huge,
    "objects": objects,
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_reach_elsewhere_are_refused(saved, tmp_path, kind):
    content = weights(WEIGHTS[kind])
    refused(archive(tmp_path / "w.keras", saved[1] | {"model.weights.h5": content}))


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (self.path,))


def hostile(sprung):
    """Configs of layers that would run something, by name."""
    inputs = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
    return {
        "Lambda": {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"function": inputs},
        },
        "os": {"module": "os", "class_name": "system", "config": {"command": f"touch {sprung}"}},
        "subprocess": {
            "module": "subprocess",
            "class_name": "Popen",
            "config": {"args": ["touch", str(sprung)]},
        },
        "builtins": {
            "module": "builtins",
            "class_name": "eval",
            "config": {"source": f"open({str(sprung)!r}, 'w')"},
        },
        "function": {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        },
        "pathlib": {"module": "pathlib", "class_name": "Path.touch", "config": str(sprung)},
    }


@pytest.mark.parametrize("name", list(hostile("")))
@pytest.mark.parametrize("place", ["encoder", "likelihood", "model"])
def test_code_in_a_config_is_not_run(saved, tmp_path, name, place):
    sprung = tmp_path / "sprung"
    config = json.loads(saved[1]["config.json"])
    evil = hostile(sprung)[name]
    if place == "model":
        config = evil | {"build_config": None, "compile_config": None}
    else:
        config["config"][place] = evil
    refused(archive(tmp_path / "evil.keras", saved[1] | {"config.json": json.dumps(config)}))
    assert not sprung.exists()


def test_pickles_are_not_opened(saved, tmp_path):
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    refused(archive(tmp_path / "w.keras", saved[1] | {"model.weights.h5": trap}))
    (tmp_path / "pickle.keras").write_bytes(trap)
    refused(tmp_path / "pickle.keras")
    np.save(tmp_path / "x.npy", np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.array([Trap(sprung)], dtype=object))
    for name in ("x.npy", "x.npz"):
        with pytest.raises(ValueError, match="Received"):
            datasets.load(tmp_path / name)
    assert not sprung.exists()


def test_a_file_of_the_first_version_still_loads():
    vae = load_committed(DATA / "format_1.keras")
    with np.load(DATA / "format_1.npz") as expected:
        codes = vae.encode(expected["x"])
        np.testing.assert_allclose(codes, expected["codes"], atol=1e-5)
    assert isinstance(vae.likelihood, likelihoods.Bernoulli)
    assert int(vae.optimizer.iterations) == 4


def test_a_config_without_a_format_is_of_the_first_version():
    vae = recipes.vae((3,), 2)
    config = vae.get_config()
    del config["format"]
    assert keras_vae.VAE.from_config(config).posterior.latent_dim == 2


# Folders of images.


@pytest.fixture
def folder(tmp_path):
    """Two good images among many that are not."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(8, 8, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.jpg")
    return tmp_path


def truncated(path):
    noise = np.random.default_rng(1).integers(256, size=(64, 64, 3), dtype="uint8")
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])


def huge_png(path):
    """A whole image, as far as its header and its checksums go, of 3.6 billion pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)), (b"IDAT", b"x"))
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        check = zlib.crc32(name + data)
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    path.write_bytes(content)


def huge_gif(path):
    Image.new("P", (8, 8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:6] + b"\xff\xff\xff\xff" + content[10:])


def unreadable(path):
    Image.new("L", (8, 8)).save(path)
    path.chmod(0)


DAMAGED = {
    "truncated.png": truncated,
    "truncated.jpg": truncated,
    "truncated.webp": truncated,
    "truncated.tiff": truncated,
    "truncated.gif": truncated,
    "zero.png": lambda path: path.touch(),
    "text.jpg": lambda path: path.write_text("not an image"),
    "page.png": lambda path: path.write_text("<!DOCTYPE html><title>404</title>"),
    "zeros.bmp": lambda path: path.write_bytes(bytes(200)),
    "dangling.png": lambda path: path.symlink_to(path.parent / "nowhere.png"),
    "itself.png": lambda path: path.symlink_to(path),
    "pipe.jpg": os.mkfifo,
    "linked_pipe.gif": lambda path: path.symlink_to("/dev/zero"),
    "huge.png": huge_png,
    "huge.gif": huge_gif,
    "phone.heic": lambda path: path.write_bytes(b"\0\0\0\x18ftypheic"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_images_are_skipped_and_counted_or_refused(folder, name):
    DAMAGED[name](folder / name)
    images = datasets.ImageFolder(folder, 8)
    assert (len(images), images.skipped) == (2, 1)
    assert images[np.arange(2)].shape == (2, 8, 8, 3)
    with pytest.raises(ValueError, match=rf"`path` must hold images only.*{name}.*Received"):
        datasets.ImageFolder(folder, 8, strict=True)


def larger_frame(path):
    """A frame that is larger than the header says."""
    Image.new("P", (8, 8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:6] + struct.pack("<HH", 2, 2) + content[10:])


ODD = {
    "animated.gif": lambda path: Image.new("P", (8, 8)).save(
        path, save_all=True, append_images=[Image.new("P", (8, 8), 5)]
    ),
    "sixteen.png": lambda path: Image.fromarray(np.full((8, 8), 40_000, "uint16")).save(path),
    "palette.png": lambda path: Image.new("P", (8, 8), 3).save(path),
    "alpha.png": lambda path: Image.new("RGBA", (8, 8)).save(path),
    "linked.png": lambda path: path.symlink_to(path.parent / "a.png"),
    "larger.gif": lambda path: larger_frame(path),
    "cmyk.jpg": lambda path: Image.new("CMYK", (8, 8), (10, 20, 30, 0)).save(path),
    "named.jpg": lambda path: Image.new("L", (8, 8)).save(path, "PNG"),
    "grey_alpha.png": lambda path: Image.new("LA", (8, 8)).save(path),
    "one_bit.tif": lambda path: Image.new("1", (8, 8)).save(path),
    "UPPER.PNG": lambda path: Image.new("L", (8, 8)).save(path),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_read(folder, name):
    ODD[name](folder / name)
    images = datasets.ImageFolder(folder, 8, strict=True)
    assert len(images) == 3
    assert images[np.arange(3)].shape == (3, 8, 8, 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_skipped(folder):
    unreadable(folder / "secret.png")
    assert datasets.ImageFolder(folder, 8).skipped == 1


def test_folders_named_like_images_and_loops_of_links_do_no_harm(folder):
    (folder / "x.png").mkdir()
    Image.new("L", (8, 8)).save(folder / "x.png" / "c.png")
    (folder / "x.png" / "loop").symlink_to(folder)
    images = datasets.ImageFolder(folder, 8, strict=True)
    assert [path.name for path in images.paths] == ["a.png", "b.jpg", "c.png"]


def damaged_at_random(path, rng):
    """An image of random pixels with a few bytes of its file changed."""
    noise = rng.integers(256, size=(12, 12, 3), dtype="uint8")
    Image.fromarray(noise).save(path)
    content = bytearray(path.read_bytes())
    for place in rng.integers(len(content), size=rng.integers(1, 6)):
        content[place] = rng.integers(256)
    path.write_bytes(content)


def test_two_thousand_hostile_files_are_read_or_counted(tmp_path):
    rng = np.random.default_rng(0)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(30):
        place = tmp_path / str(i)
        place.mkdir()
        Image.new("L", (8, 8)).save(place / "a.png")
        for name, make in (DAMAGED | ODD).items():
            make(place / name)
    good, bad = 30 * (1 + len(ODD)), 30 * len(DAMAGED)
    images = datasets.ImageFolder(tmp_path, 8)
    assert (len(images), images.skipped) == (good, bad)
    assert np.asarray(images).shape == (good, 8, 8, 3)
    for i in range(2000 - good - bad):
        suffix = ("png", "jpg", "gif", "bmp", "webp", "tiff")[i % 6]
        damaged_at_random(tmp_path / f"{i}.{suffix}", rng)
    images = datasets.ImageFolder(tmp_path, 8)
    assert len(images) + images.skipped == 2000
    assert len(images) > good
    assert images.skipped > bad
    print(f"2000 hostile files: {len(images)} read, {images.skipped} counted, 0 raised")
    assert time.perf_counter() - start < 60  # a hang, not a benchmark
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB
