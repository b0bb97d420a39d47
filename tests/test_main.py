import csv
import inspect
import os
import pathlib
import subprocess
import sys
import tomllib

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vae_cli as cli
from keras_vae import callbacks, datasets, load_model
from keras_vae.cli.data import load_data
from keras_vae.cli.output import remove_run
from keras_vae.cli.train import LIKELIHOODS
from keras_vae_cli import arguments as parsing

ROOT = pathlib.Path(__file__).parents[1]
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("network", ["vae", "tutorial"])
def test_no_option_of_the_model_is_ignored(network, tmp_path):
    options = ["--network", network, "--likelihood", "normal", "--beta", "0.5", "--warm-up", "1"]
    options += ["--latent-dim", "3", "--seed", "7", "--epochs", "1", "--output", str(tmp_path)]
    cli.main([*TRAIN, *options])
    vae = load_model(tmp_path / "vae.keras")
    assert type(vae.likelihood).__name__ == "Normal"
    assert (vae.objective.beta.num_steps, vae.objective.beta.end) == (2, 0.5)
    assert (vae.posterior.latent_dim, vae.seed) == (3, 7)
    assert any("conv" in layer.name for layer in vae.encoder.layers) is (network == "tutorial")


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_trains(likelihood, tmp_path):
    np.save(tmp_path / "x.npy", datasets.shapes(40, image_size=8)[0])
    options = ["--epochs", "1", "--batch-size", "16", "--latent-dim", "3"]
    options += ["--likelihood", likelihood, "--data", str(tmp_path / "x.npy")]
    cli.main(["train", *options, "--output", str(tmp_path / "run")])
    history = callbacks.read_history(tmp_path / "run" / "history.csv")
    assert np.isfinite(history["val_loss"]).all()


@pytest.mark.slow
def test_a_mirrored_strategy_changes_nothing(tmp_path):
    for strategy in ("none", "mirrored"):
        options = ["--epochs", "1", "--decay", "--strategy", strategy]
        cli.main([*TRAIN, *options, "--output", str(tmp_path / strategy)])
    a, b = (load_model(tmp_path / name / "vae.keras") for name in ("none", "mirrored"))
    for first, second in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-6)


@pytest.mark.slow
def test_a_longer_run_gets_the_falling_rate_of_all_its_epochs(tmp_path):
    train = [*TRAIN, "--decay", "--learning-rate", "1e-3", "--output", str(tmp_path)]
    cli.main([*train, "--epochs", "1"])
    cli.main([*train, "--epochs", "3", "--resume"])
    optimizer = load_model(tmp_path / "vae.keras").optimizer
    steps = int(keras.ops.convert_to_numpy(optimizer.iterations)) // 3
    config = optimizer.get_config()["learning_rate"]["config"]
    assert (config["initial_learning_rate"], config["decay_steps"]) == (1e-3, 3 * steps)


@pytest.mark.slow
def test_resume_with_other_steps_is_refused(tmp_path, capsys):
    cli.main([*TRAIN, "--epochs", "1", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"`--resume` must be given the same.*Received"):
        cli.main([*TRAIN[:-1], "8", "--epochs", "3", "--output", str(tmp_path), "--resume"])


@pytest.mark.slow
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
    assert load_data(None).train.shape == (100, 28, 28, 1)
    assert "USING THE BUILT-IN DRAWN SHAPES" in capsys.readouterr().err
    with pytest.raises(ValueError, match="could not be downloaded"):
        load_data("fashion_mnist")


def test_bad_calls_end_with_a_sentence(tmp_path, monkeypatch, capsys):
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
    ]:
        with pytest.raises(SystemExit, match=message) as end:
            cli.main(arguments)
        assert end.value.code == 2
        assert capsys.readouterr().err.splitlines()[-1] == str(end.value)


def test_pictures_and_arrays_are_replaced_on_request_only(model, tmp_path):
    mine = tmp_path / "mine.npy"
    mine.write_text("mine")
    for command in (
        ["generate"],
        ["reconstruct", "--data", "shapes"],
        ["encode", "--data", "shapes"],
    ):
        words = [*command, str(model), "--output", str(mine)]
        with pytest.raises(
            SystemExit, match=r"`--output` must be a new file.*--overwrite.*Received"
        ):
            cli.main(words)
        assert mine.read_text() == "mine"
        cli.main([*words, "--overwrite"])
        assert np.load(mine).dtype == "float32"
        mine.write_text("mine")


@pytest.mark.parametrize(
    "command", [[], ["train"], ["evaluate"], ["generate"], ["encode"], ["impute"], ["score"]]
)
def test_help_fits_a_screen(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) <= 40


@pytest.mark.slow
def test_python_dash_m_is_the_command(tmp_path):
    command = [sys.executable, "-m", "keras_vae", "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0
    assert "reconstruct" in result.stdout
    assert result.stdout == parsing.parser().format_help()


PARSES = """
import importlib, sys
module, function = sys.argv[1].split(":")
main = getattr(importlib.import_module(module), function)
try:
    main(sys.argv[2:])
except SystemExit as end:
    code = end.code
slow = {"tensorflow", "keras", "keras_vae", "jax", "torch", "numpy"} & set(sys.modules)
assert not slow, slow
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["train", "--help"], 0),
        (["evaluate", "--help"], 0),
        (["impute", "--help"], 0),
        (["score", "m"], 2),
        ([], 2),
        (["trian"], 2),
        (["train", "--epochs", "two"], 2),
        (["generate"], 2),
    ],
)
def test_help_and_typing_errors_import_no_backend(arguments, code, tmp_path):
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)
    script = project["project"]["scripts"]["keras-vae"]
    assert script.split(":")[0] in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    command = [sys.executable, "-c", PARSES, script, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr


def test_the_parser_knows_every_likelihood_and_command():
    assert set(parsing.LIKELIHOODS) == set(LIKELIHOODS)
    files = {path.stem for path in (ROOT / "keras_vae" / "cli").glob("*.py")}
    functions = inspect.getmembers(parsing.commands, inspect.isfunction)
    commands = {name for name, _ in functions if not name.startswith("_")}
    shared = {"data", "output", "rows", "running", "table", "train_table"}
    assert commands == files - {"__init__", *shared}


@pytest.mark.parametrize(
    "options",
    [
        ["--epochs", "0"],
        ["--epochs", "1.5"],
        ["--batch-size", "-1"],
        ["--latent-dim", "0"],
        ["--limit", "0"],
        ["--learning-rate", "-1"],
        ["--learning-rate", "0"],
        ["--learning-rate", "nan"],
        ["--beta", "-0.1"],
        ["--beta", "inf"],
        ["--warm-up", "-1"],
        ["--seed", "-1"],
        ["--seed", str(2**32)],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range_are_refused(options, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "--output", str(tmp_path / "run"), *options])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert f"argument {options[0]}: it must be a" in message
    assert f"Received: {options[1]}" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        ["generate", "m", "--num", "0"],
        ["generate", "m", "--temperature", "-1"],
        ["reconstruct", "m", "--num", "0"],
        ["evaluate", "m", "--draws", "0"],
        ["generate", "m", "--count", "0"],
        ["impute", "m", "--data", "x.csv", "--num-imputations", "0"],
        ["impute", "m", "--data", "x.csv", "--seed", "-1"],
    ],
    ids=" ".join,
)
def test_so_are_those_of_the_other_commands(options, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(options)
    assert end.value.code == 2
    assert "it must be a" in capsys.readouterr().err


def test_numbers_at_the_edge_are_taken():
    options = ["--beta", "0", "--warm-up", "0", "--epochs", "1", "--seed", str(2**32 - 1)]
    arguments = parsing.parser().parse_args(["train", *options])
    assert (arguments.beta, arguments.epochs, arguments.seed) == (0.0, 1, 2**32 - 1)
    assert parsing.parser().parse_args(["generate", "m", "--temperature", "0"]).temperature == 0


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_is_replaced_on_request_only(tmp_path):
    output = tmp_path / "run"
    command = [*TRAIN, "--epochs", "1", "--output", str(output)]
    cli.main(command)
    (output / "notes.txt").write_text("mine")
    (output / "interrupted.keras").write_text("of the first run")
    before = contents(output)
    with pytest.raises(SystemExit, match=r"`--output` must be.*--resume.*--overwrite.*Received"):
        cli.main(command)
    with pytest.raises(SystemExit, match=r"`--overwrite` must be left out with --resume"):
        cli.main([*command, "--resume", "--overwrite"])
    assert contents(output) == before
    cli.main([*command, "--overwrite", "--seed", "5"])
    assert load_model(output / "vae.keras").seed == 5
    after = contents(output)
    events = {path for path in before if "tfevents" in path.name}
    assert events
    assert not events & set(after)
    assert set(before) - events - set(after) == {output / "interrupted.keras"}
    assert after[output / "notes.txt"] == b"mine"


@pytest.mark.slow
def test_a_replacement_that_cannot_start_leaves_the_run(tmp_path):
    output = tmp_path / "run"
    cli.main([*TRAIN, "--epochs", "1", "--output", str(output)])
    before = contents(output)
    np.save(tmp_path / "outside.npy", np.full((40, 8, 8, 1), 7.5, "float32"))
    for data in ("nonsense", str(tmp_path / "outside.npy")):
        with pytest.raises(SystemExit, match="must"):
            cli.main(["train", "--data", data, "--overwrite", "--output", str(output)])
        assert contents(output) == before


@pytest.mark.slow
def test_a_folder_without_a_run_is_trained_into_as_before(tmp_path):
    (tmp_path / "history.csv").write_text("of a run that was killed in its first epoch")
    (tmp_path / "photo.png").write_text("mine")
    cli.main([*TRAIN, "--epochs", "1", "--output", str(tmp_path)])
    assert (tmp_path / "vae.keras").exists()
    assert (tmp_path / "photo.png").read_text() == "mine"


def test_only_files_of_a_run_are_removed(tmp_path):
    (tmp_path / "logs" / "train").mkdir(parents=True)
    for name in ("vae.keras", "loss.png", "logs/train/events.out.tfevents.1", "logs/mine.txt"):
        (tmp_path / name).touch()
    remove_run(tmp_path)
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"mine.txt"}
