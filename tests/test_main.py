import contextlib
import csv
import functools
import gzip
import inspect
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vae_cli as cli
from keras_vae import callbacks, datasets, likelihoods, load_model, names, recipes
from keras_vae.cli.data import load_data
from keras_vae.cli.output import remove_run
from keras_vae_cli import arguments as parsing
from keras_vae_cli import catalogue

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
def trained(tmp_path_factory):
    """(the folder of a run of one epoch, what the command line printed)."""
    output = tmp_path_factory.mktemp("runs") / "my run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cli.main([*TRAIN, "--epochs", "1", "--output", str(output)])
    return output, printed.getvalue()


@pytest.fixture
def model(trained):
    return trained[0] / "vae.keras"


def test_train_leaves_everything(tmp_path):
    cli.main([*TRAIN, "--epochs", "2", "--output", str(tmp_path), "--warm-up", "1"])
    names = {path.name for path in tmp_path.iterdir()} - {".in_use"}
    pictures = {"reconstructions", "samples", "latent_map", "latent_scatter", "loss"}
    assert names == {"vae.keras", "history.csv", "run.json", "logs"} | {
        f"{name}.png" for name in pictures
    }
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
@pytest.mark.parametrize("likelihood", catalogue.makeable_likelihoods())
def test_every_likelihood_trains(likelihood, tmp_path):
    x = np.random.default_rng(0).integers(1, 4, (40, 8)).astype("float32")
    is_of_fractions = "bern" in likelihood or likelihood in ("beta", "discretized_logistic")
    is_of_fractions |= likelihood == "discretized_logistic_mixture"
    np.save(tmp_path / "x.npy", x / 5 if is_of_fractions else x)
    options = ["--epochs", "1", "--batch-size", "16", "--latent-dim", "3"]
    options += ["--likelihood", likelihood, "--data", str(tmp_path / "x.npy")]
    needed = {"categorical": "num_classes=5", "ordinal": "num_classes=5"}
    needed["histogram"] = f"edges={[[0.5, 1.5, 2.5, 3.5]] * 8}"
    if likelihood in needed:
        options += ["--set", f"likelihood.{needed[likelihood]}"]
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
    for split in ("all", "test"):
        words = ["encode", str(model), "--data", "shapes", "--split", split]
        cli.main([*words, "--output", str(tmp_path / f"{split}.csv")])
    with open(tmp_path / "all.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    splits = datasets.load("shapes")
    x = np.concatenate([splits.train, splits.test]).astype("float32") / 255
    assert header == ["split", "z0", "z1", "label"]
    codes = np.array([row[1:3] for row in rows], float)
    np.testing.assert_allclose(codes, load_model(model).encode(x), atol=1e-5)
    assert [int(row[3]) for row in rows] == [*splits.train_labels, *splits.test_labels]
    with open(tmp_path / "test.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == [row for row in rows if row[0] == "test"]


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
        (["train", "--data", "shapes", "--recipe", "table_vae"], "`--recipe` must be another"),
        (["generate", "none", "--output", "x.foo"], "`--output` must end in .png or"),
        (["generate", "none", "--output", "no/x.png"], "in a folder that is there"),
        (["evaluate", "none", "--report", "no/x.html"], "`--report` must be a file in a folder"),
        (["train", "--data", "nonsense"], "`data` must be fashion_mnist"),
    ]:
        with pytest.raises(SystemExit, match=message) as end:
            cli.main(arguments)
        assert end.value.code == 2
        assert capsys.readouterr().err.splitlines()[-1] == str(end.value)
    assert {path.name for path in tmp_path.iterdir()} == {"bad.keras", "file", "empty"}


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
code = 0
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
        (["recipes"], 0),
        (["recipes", "vae"], 0),
        (["completion", "bash"], 0),
        (["train", "--recipe", "none"], 2),
        (["train", "--set", "none=1"], 2),
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


def test_the_parser_knows_every_command():
    files = {path.stem for path in (ROOT / "keras_vae" / "cli").glob("*.py")}
    functions = inspect.getmembers(parsing.commands, inspect.isfunction)
    quick = {"recipes", "completion", "script"}
    commands = {name for name, _ in functions if not name.startswith("_")} - quick
    shared = {"data", "output", "rows", "run_file", "running", "table", "train_table"}
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


@pytest.mark.parametrize("name", [*parsing.COMMANDS], ids=lambda function: function.__name__)
def test_no_option_takes_a_number_unchecked(name):
    sub = parsing.parser().commands[name.__name__]
    for option, action in sub.options().items():
        if action.type in (int, float):
            pytest.fail(f"{option} takes any number")


WORDS = [
    (["trian"], "did you mean train?"),
    (["train", "--epoch", "3"], "did you mean --epochs?"),
    (["train", "--learningrate=3"], "did you mean --learning-rate?"),
    (["train", "--recipe", "beta_tc"], "did you mean beta_tc_vae?"),
    (["train", "--likelihood", "bernouli"], "did you mean bernoulli?"),
    (["train", "--strategy", "miror"], "did you mean mirrored?"),
    (["train", "--recipe", "iwae", "--set", "num_sample=3"], "did you mean num_samples?"),
]


@pytest.mark.parametrize(("words", "proposal"), WORDS, ids=[" ".join(w[0]) for w in WORDS])
def test_the_word_that_was_meant_is_proposed(words, proposal, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    assert proposal in capsys.readouterr().err


WRONG_SETTINGS = [
    (["beta_tc_vae", "weight=5"], "which has beta, units"),
    (["iwae", "num_samples=0"], "must be a whole number of at least 1"),
    (["iwae", "num_samples=2.5"], "must be a whole number of at least 1"),
    (["iwae", "num_samples=true"], "must be a whole number of at least 1"),
    (["info_vae", "weight=NaN"], "must be a finite number"),
    (["info_vae", "weight=1e999"], "must be a finite number"),
    (["info_vae", "weight=much"], "must be a finite number"),
    (["iwae", "gradient=3"], "must be a text"),
    (["vae", "units=64"], "must be a list of numbers"),
    (["vae", "beta=2"], "must name an argument of vae"),
    (["vae", "num_samples"], "must be NAME=VALUE"),
    (["vae", "likelihood.scale=1"], "where no --likelihood is given"),
    (["conditional_vae", "units=[8]"], "recipes.conditional_vae is for Python"),
]


@pytest.mark.parametrize(("words", "message"), WRONG_SETTINGS, ids=lambda x: str(x))
def test_settings_are_checked_before_any_work(words, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        cli.main([*TRAIN, "--output", f"{tmp_path}/run", "--recipe", words[0], "--set", words[1]])
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Received: " in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["--recipe", "sigma_vae", "--likelihood", "normal"],
        ["--recipe", "beta_tc_vae", "--beta", "3"],
        ["--recipe", "iwae", "--warm-up", "3"],
        ["--recipe", "vq_vae", "--latent-dim", "3"],
        ["--likelihood", "categorical"],
        ["--likelihood", "mixed"],
    ],
    ids=" ".join,
)
def test_options_that_a_recipe_has_no_argument_for_are_refused(words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([*TRAIN, *words])
    assert end.value.code == 2
    assert re.search(r"must .*Received: ", capsys.readouterr().err)


def test_the_catalogue_is_what_the_package_offers():
    made = {name for name in recipes.__all__ if name != "fitting_networks"}
    assert set(catalogue.recipes()) == made
    for name, entry in catalogue.recipes().items():
        function = getattr(recipes, name)
        assert entry.summary == inspect.getdoc(function).partition("\n")[0]
        named = [
            p for p in inspect.signature(function).parameters.values() if p.kind != p.VAR_KEYWORD
        ]
        assert [p.name for p in named] == [n for n in entry.annotations if n != "units"] or (
            "units" in [p.name for p in named]
        )
        assert list(entry.required) == [p.name for p in named if p.default is p.empty]
    parts = names.part_classes(likelihoods)
    assert set(catalogue.likelihoods()) == set(parts)
    for name, entry in catalogue.likelihoods().items():
        assert list(entry.required) == names._needed(parts[name])
        assert entry.summary == inspect.getdoc(parts[name]).partition("\n")[0]


def test_recipes_lists_all_of_them(capsys):
    cli.main(["recipes"])
    printed = capsys.readouterr().out
    for name in (*catalogue.recipes(), *catalogue.likelihoods()):
        assert re.search(rf"\b{name}\b", printed)
    cli.main(["recipes", "iwae"])
    assert "--set num_samples=…" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["tr"], ["train"]),
        (["train", "--rec"], ["--recipe"]),
        (["train", "--recipe", "beta"], ["beta_tc_vae"]),
        (["encode", "--split", ""], ["test", "train", "all"]),
        (["completion", "z"], ["zsh"]),
        (["train", "--netw"], []),
    ],
    ids=str,
)
def test_bash_completes_words(typed, expected, capsys):
    cli.main(["completion", "bash"])
    script = capsys.readouterr().out
    words = " ".join(f"'{word}'" for word in ("keras-vae", *typed))
    script += (
        f'\nCOMP_WORDS=({words}); COMP_CWORD={len(typed)}; _keras_vae; echo "${{COMPREPLY[@]}}"'
    )
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == expected
    assert not run.stderr


def test_the_script_for_zsh_is_that_for_bash_with_its_support_of_it(capsys):
    scripts = []
    for shell in ("bash", "zsh"):
        cli.main(["completion", shell])
        scripts.append(capsys.readouterr().out.splitlines()[1:])
    assert scripts[1] == [
        "autoload -U +X compinit bashcompinit && compinit && bashcompinit",
        *scripts[0],
    ]


def test_numbers_at_the_edge_are_taken():
    options = ["--beta", "0", "--warm-up", "0", "--epochs", "1", "--seed", str(2**32 - 1)]
    arguments = parsing.parser().parse_args(["train", *options])
    assert (arguments.beta, arguments.epochs, arguments.seed) == (0.0, 1, 2**32 - 1)
    assert parsing.parser().parse_args(["generate", "m", "--temperature", "0"]).temperature == 0


def next_command(printed):
    """The words behind `Next: keras-vae` in the last line."""
    last = printed.splitlines()[-1]
    assert last.startswith("Next: keras-vae ")
    return shlex.split(last)[2:]


def test_the_last_lines_name_the_loss_a_picture_and_a_command_that_works(trained, capsys):
    output, printed = trained
    loss, picture, _ = printed.splitlines()[-3:]
    expected = callbacks.read_history(output / "history.csv")["val_loss"][-1]
    assert loss == f"Test loss: {expected:.3f} nats per example"
    assert picture == f"Picture: {output / 'reconstructions.png'}"
    cli.main([*next_command(printed), "--draws", "2"])
    assert (output / "report.html").exists()
    assert "20 test examples of shapes" in capsys.readouterr().out


def test_vectors_have_commands_that_work_too(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).random((30, 4), "float32"))
    cli.main(["train", "--data", "x.npy", "--epochs", "1", "--output", "run", "--latent-dim", "3"])
    printed = capsys.readouterr().out
    assert "Picture: run/loss.png" in printed
    cli.main([*next_command(printed), "--draws", "2"])
    for command in ("generate", "reconstruct", "encode"):
        cli.main([command, "run/vae.keras"])
    assert np.load("samples.npy").shape == (64, 4)
    assert np.load("reconstructions.npy").shape == (3, 4)
    assert len(pathlib.Path("codes.csv").read_text().splitlines()) == 31
    with pytest.raises(SystemExit, match=r"`--output` must end in .npy"):
        cli.main(["generate", "run/vae.keras", "--output", "x.png"])


def test_data_that_are_gone_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text('{"data": "/no/such.npy", "arguments": {}}')
    with pytest.raises(SystemExit, match=r"`--data` must be given.*Received: .*/no/such.npy"):
        cli.main(["evaluate", "vae.keras"])


def test_resuming_with_other_arguments_lists_all_differences(model):
    output, before = model.parent, contents(model.parent)
    command = [*TRAIN[:3], "--limit", "32", "--batch-size", "16", "--seed", "3"]
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--epochs", "9", "--output", str(output), "--resume"])
    assert end.value.code == 2
    sentence = str(end.value)
    assert "`--resume` must be given the same arguments" in sentence
    for difference in ("limit 32, and the run has 64", "batch-size 16, and", "seed 3, and"):
        assert f"--{difference}" in sentence
    assert "epochs 9" not in sentence
    assert contents(output) == before


@pytest.mark.parametrize("data", ["nonsense", "outside.npy"])
def test_a_failed_start_leaves_nothing(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("outside.npy", np.full((40, 8), 7.5, "float32"))
    with pytest.raises(SystemExit, match="must"):
        cli.main(["train", "--data", data, "--output", "new/run"])
    assert {path.name for path in tmp_path.iterdir()} == {"outside.npy"}
    (tmp_path / "mine").mkdir()
    with pytest.raises(SystemExit, match="must"):
        cli.main(["train", "--data", data, "--output", "mine"])
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("damage", ["truncated", "no gzip", "other bytes"])
def test_a_damaged_file_of_fashion_mnist_is_called_damaged(damage, tmp_path, monkeypatch, capsys):
    whole = gzip.compress(bytes(16 + 784))
    broken = {"truncated": whole[:-9], "no gzip": b"hello", "other bytes": gzip.compress(b"0" * 30)}
    folder = tmp_path / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(9)))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(broken[damage])
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    get_file = functools.partial(keras.utils.get_file, cache_dir=str(tmp_path))
    monkeypatch.setattr("keras.src.datasets.fashion_mnist.get_file", get_file)
    for name in ([], ["--data", "fashion_mnist"]):
        with pytest.raises(SystemExit, match=r"is damaged .*Delete .*fashion-mnist, and"):
            cli.main(["train", *name, "--output", str(tmp_path / "run")])
    assert "SHAPES" not in capsys.readouterr().err


WITHOUT = [
    (["generate", "m", "--output", "x.png"], "matplotlib", "plot"),
    (["reconstruct", "m", "--output", "x.png"], "matplotlib", "plot"),
    (["evaluate", "m", "--report", "r.html"], "jinja2", "report"),
]


@pytest.mark.parametrize(("words", "module", "extra"), WITHOUT, ids=[w[0][0] for w in WITHOUT])
def test_what_is_not_installed_is_named_before_the_work(
    words, module, extra, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=rf'{module}: pip install "keras_vae\[{extra}\]"') as end:
        cli.main(words)
    assert end.value.code == 2


TINY = {
    "deep_ladder_vae": ["num_groups=2", "width=4", "num_scales=2"],
    "fsq_vae": ["levels=[4,4]", "filters=[4,8]"],
    "kl_autoencoder": ["filters=[4,8]"],
    "ladder_vae": ["width=16"],
    "rvq_vae": ["filters=[4,8]", "num_codes=8"],
    "vamp_vae": ["num_components=4"],
    "vq_vae": ["filters=[4,8]", "num_codes=8"],
}
OF_IMAGES = [name for name in catalogue.makeable_recipes() if name != "table_vae"]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", OF_IMAGES)
def test_every_recipe_trains_and_its_next_command_works(recipe, tmp_path, capsys):
    np.save(tmp_path / "x.npy", datasets.shapes(40, image_size=8)[0])
    settings = [word for value in TINY.get(recipe, []) for word in ("--set", value)]
    options = ["--epochs", "1", "--batch-size", "18", "--recipe", recipe, *settings]
    command = ["train", "--data", str(tmp_path / "x.npy"), "--output", str(tmp_path / "run")]
    cli.main([*command, *options])
    cli.main([*next_command(capsys.readouterr().out), "--draws", "2"])
    cli.main(["encode", str(tmp_path / "run" / "vae.keras"), "--output", f"{tmp_path}/codes.npy"])
    assert len(np.load(tmp_path / "codes.npy")) == 40


@pytest.mark.slow
def test_settings_reach_the_recipe_and_the_likelihood(tmp_path):
    options = ["--recipe", "iwae", "--set", "num_samples=3", "--set", "units=[16,8]"]
    options += ["--likelihood", "normal", "--set", "likelihood.scale=0.5", "--epochs", "1"]
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((30, 4), "float32"))
    data = ["--data", str(tmp_path / "x.npy"), "--output", str(tmp_path / "run")]
    cli.main(["train", *data, *options])
    vae = load_model(tmp_path / "run" / "vae.keras")
    assert (vae.objective.num_samples, vae.likelihood.scale) == (3, 0.5)
    widths = [layer.units for layer in vae.encoder.layers if hasattr(layer, "units")]
    assert widths[:2] == [16, 8]


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
