import csv
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_vae import __main__ as cli
from keras_vae import callbacks, datasets, load_model

TRAIN = ["train", "--data", "shapes", "--limit", "64", "--batch-size", "32"]


@pytest.fixture(autouse=True)
def _few_test_images(monkeypatch):
    images, factors = datasets.shapes(100)
    labels = factors[:, 0].astype(int)
    splits = datasets.Splits(images, images[:20], labels, labels[:20], datasets.SHAPES)
    real = datasets.load
    monkeypatch.setattr(datasets, "load", lambda n, *a: splits if n == "shapes" else real(n, *a))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model trained for one epoch by the command line."""
    output = tmp_path_factory.mktemp("run")
    cli.main([*TRAIN, "--epochs", "1", "--output", str(output)])
    return output / "vae.keras"


def test_train_leaves_everything(tmp_path):
    cli.main([*TRAIN, "--epochs", "2", "--output", str(tmp_path), "--warm-up", "1"])
    names = {path.name for path in tmp_path.iterdir()} - {".in_use"}
    pictures = {"reconstructions", "samples", "latent_map", "latent_scatter", "loss"}
    assert names == {"vae.keras", "history.csv", "logs"} | {f"{name}.png" for name in pictures}
    for name in pictures:
        with Image.open(tmp_path / f"{name}.png") as image:
            assert min(image.size) > 150
            assert len(np.unique(image.convert("L"))) > 10
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())


def test_resume_ends_where_an_uninterrupted_run_ends(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    cli.main([*TRAIN, "--epochs", "3", "--output", str(whole)])
    cli.main([*TRAIN, "--epochs", "1", "--output", str(parts)])
    with open(parts / "history.csv", "a") as file:
        file.write("1,9,9,9,9,9,9\r\n")  # as if killed between the history and the model
    cli.main([*TRAIN, "--epochs", "3", "--output", str(parts), "--resume"])
    a, b = (load_model(folder / "vae.keras") for folder in (whole, parts))
    for first, second in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (whole / "history.csv").read_text() == (parts / "history.csv").read_text()


@pytest.mark.parametrize("network", ["vae", "seed"])
def test_no_option_of_the_model_is_ignored(network, tmp_path):
    options = ["--network", network, "--likelihood", "normal", "--beta", "0.5", "--warm-up", "1"]
    options += ["--latent-dim", "3", "--seed", "7", "--epochs", "1", "--output", str(tmp_path)]
    cli.main([*TRAIN, *options])
    vae = load_model(tmp_path / "vae.keras")
    assert type(vae.likelihood).__name__ == "Normal"
    assert (vae.objective.beta.num_steps, vae.objective.beta.end) == (2, 0.5)
    assert (vae.posterior.latent_dim, vae.seed) == (3, 7)
    assert any("conv" in layer.name for layer in vae.encoder.layers) is (network == "seed")


@pytest.mark.parametrize("likelihood", cli.LIKELIHOODS)
def test_every_likelihood_trains(likelihood, tmp_path):
    np.save(tmp_path / "x.npy", datasets.shapes(40, image_size=8)[0])
    options = ["--epochs", "1", "--batch-size", "16", "--latent-dim", "3"]
    options += ["--likelihood", likelihood, "--data", str(tmp_path / "x.npy")]
    cli.main(["train", *options, "--output", str(tmp_path / "run")])
    history = callbacks.read_history(tmp_path / "run" / "history.csv")
    assert np.isfinite(history["val_loss"]).all()


def test_a_mirrored_strategy_changes_nothing(tmp_path):
    for strategy in ("none", "mirrored"):
        options = ["--epochs", "1", "--decay", "--strategy", strategy]
        cli.main([*TRAIN, *options, "--output", str(tmp_path / strategy)])
    a, b = (load_model(tmp_path / name / "vae.keras") for name in ("none", "mirrored"))
    for first, second in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


def test_resume_with_other_steps_is_refused(tmp_path, capsys):
    cli.main([*TRAIN, "--epochs", "1", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"`--resume` must be given the same.*Received"):
        cli.main([*TRAIN[:-1], "8", "--epochs", "3", "--output", str(tmp_path), "--resume"])


def test_evaluate_prints_the_logs_in_nats(model, capsys):
    cli.main(["evaluate", str(model), "--data", "shapes"])
    printed = capsys.readouterr().out
    expected = load_model(model).evaluate(
        datasets.Batches(datasets.load("shapes").test), verbose=0, return_dict=True
    )
    assert f"{expected['loss']:.3f}" in printed
    assert f"{expected['kl_loss']:.3f}" in printed


def test_evaluate_diagnoses_and_reports(model, tmp_path, capsys):
    path = tmp_path / "report.html"
    options = ["--diagnose", "--report", str(path), "--draws", "5"]
    cli.main(["evaluate", str(model), "--data", "shapes", *options])
    assert "mutual_information" in capsys.readouterr().out
    text = path.read_text()
    assert "of the first 20 examples" in text.replace("each of the", "of the")
    assert "<h2>Training" in text  # the curves of the history beside the model
    assert "triangle" in text


def test_generate_reconstruct_and_encode(model, tmp_path):
    samples, again = tmp_path / "a.npy", tmp_path / "b.npy"
    for path in (samples, again):
        cli.main(["generate", str(model), "--num", "5", "--seed", "1", "--output", str(path)])
    np.testing.assert_array_equal(np.load(samples), np.load(again))
    assert np.load(samples).shape == (5, 28, 28, 1)
    cli.main(["reconstruct", str(model), "--data", "shapes", "--output", str(tmp_path / "r.png")])
    assert (tmp_path / "r.png").stat().st_size > 1000
    cli.main(["encode", str(model), "--data", "shapes", "--output", str(tmp_path / "codes.csv")])
    with open(tmp_path / "codes.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    splits = datasets.load("shapes")
    codes = load_model(model).encode(splits.test.astype("float32") / 255)
    assert header == ["z0", "z1", "label"]
    np.testing.assert_allclose(np.array(rows, float)[:, :2], codes, atol=1e-5)
    assert [int(row[2]) for row in rows] == list(splits.test_labels)


def test_without_a_network_it_says_loudly_that_it_uses_shapes(monkeypatch, capsys):
    def refused():
        raise OSError("no route to host")

    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", refused)
    assert cli.load_data(None).train.shape == (100, 28, 28, 1)
    assert "USING THE BUILT-IN DRAWN SHAPES" in capsys.readouterr().err
    with pytest.raises(ValueError, match="could not be downloaded"):
        cli.load_data("fashion_mnist")


def test_bad_calls_end_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where one of them makes its default folder
    (tmp_path / "bad.keras").write_bytes(b"broken")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, message in [
        (["evaluate", str(tmp_path / "bad.keras")], "must name a whole `.keras` file"),
        (["generate", str(tmp_path / "none.keras")], "there is no such file"),
        ([*TRAIN, "--output", str(tmp_path / "file" / "x")], "a folder that can be written to"),
        (["train", "--data", str(tmp_path / "empty")], "must hold images that can be read"),
        (["train", "--data", "nonsense"], "`data` must be fashion_mnist"),
        ([*TRAIN, "--latent-dim", "0", "--output", str(tmp_path / "o")], "`latent_dim` must be"),
    ]:
        with pytest.raises(SystemExit, match=message):
            cli.main(arguments)


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["generate"], ["encode"]])
def test_help_fits_a_screen(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) <= 40


def test_python_dash_m_is_the_command(tmp_path):
    root = pathlib.Path(__file__).parents[1]
    command = [sys.executable, "-m", "keras_vae", "--help"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0
    assert "reconstruct" in result.stdout
