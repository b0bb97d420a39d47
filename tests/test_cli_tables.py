"""The commands of `keras-vae` for tables, from a file of rows to files of rows."""

import csv
import datetime
import functools
import json
import pathlib
import shlex

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

import keras_vae_cli as cli
from keras_vae import callbacks, datasets, export, load_model, recipes
from keras_vae.cli import rows, train_table
from keras_vae.tables import Table, kinds, training

COLUMNS = ["id", "age", "height", "sex", "admitted", "smoker"]


def made(count, seed=0):
    """Rows of texts, with gaps everywhere but in the id."""
    random = np.random.default_rng(seed)
    first = datetime.date(2023, 1, 1)
    found = [
        [
            f"{i + 1:03d}",
            str(random.integers(20, 80)),
            f"{random.normal(170, 8):.1f}",
            str(random.choice(["f", "m"])),
            (first + datetime.timedelta(days=int(random.integers(400)))).isoformat(),
            str(random.choice(["True", "False"])),
        ]
        for i in range(count)
    ]
    for row in found:
        for column in range(1, 6):
            row[column] = "" if random.random() < 0.15 else row[column]
    return found


def save(path, content, header=COLUMNS):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *content])
    return str(path)


def read(path):
    with open(path, newline="") as file:
        header, *content = csv.reader(file)
    return header, content


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(a file of 60 rows, what `train` printed, its folder)."""
    folder = tmp_path_factory.mktemp("tables")
    data = save(folder / "rows.csv", made(60))
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr(
            "builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words)))
        )
        cli.main(["train", "--data", data, "--epochs", "2", "--output", str(folder / "run")])
    return data, "\n".join(printed), folder / "run"


@pytest.fixture
def model(trained):
    return str(trained[2] / "vae.keras")


def refused(capsys, *arguments):
    """The sentence with which a command ends that is used wrongly."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    assert end.value.code == 2
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("keras-vae: ")
    assert "\n" not in sentence
    assert "Received: " in sentence
    return sentence


def test_train_prints_the_table_and_the_test(trained):
    data, printed, folder = trained
    assert "height    Positive  mean" in printed
    assert "sex       Category  2 classes: 'f', 'm'" in printed
    assert "id        Ignored" in printed
    assert {p.name for p in folder.iterdir()} - {".in_use"} == {
        *("vae.keras", "history.csv", "run.json", "logs", "loss.png")
    }
    vae = load_model(folder / "vae.keras")
    frame = rows.read(data, vae.table)
    logs = vae.evaluate(frame.iloc[::10], verbose=0, return_dict=True)
    assert f"loss {logs['loss']:25.3f}"[-10:] in printed
    assert "6 rows that were held out, in nats per row" in printed
    assert f"Next: keras-vae impute {folder}/vae.keras --data {data}" in printed


def test_only_rows_to_train_on_scale_the_numbers(trained):
    data, _, folder = trained
    heights = pd.read_csv(data)["height"]
    kind = load_model(folder / "vae.keras").table["height"]
    kept = heights[np.arange(len(heights)) % 10 > 0].dropna()
    assert kind.mean == pytest.approx(kept.mean())
    assert kind.mean != pytest.approx(heights.mean())
    assert kind.deviation == pytest.approx(kept.std(ddof=0))


def test_impute_changes_gaps_only(trained, model, tmp_path):
    path = tmp_path / "filled.csv"
    cli.main(["impute", model, "--data", trained[0], "--output", str(path)])
    header, filled = read(path)
    _, given = read(trained[0])
    assert header == COLUMNS
    for before, after in zip(given, filled, strict=True):
        assert all(b in ("", a) for b, a in zip(before, after, strict=True))
        assert all(after)
        assert (after[3] in "fm", after[5] in ("True", "False")) == (True, True)
        assert int(after[1]) >= 0
        assert 2022 < datetime.date.fromisoformat(after[4]).year < 2025


def test_several_imputations_are_several_files(trained, model, tmp_path):
    command = ["impute", model, "--data", trained[0], "--num-imputations", "2", "--seed", "1"]
    cli.main([*command, "--output", str(tmp_path / "filled.csv")])
    assert {p.name for p in tmp_path.iterdir()} == {"filled-1.csv", "filled-2.csv"}
    first, second = (read(tmp_path / f"filled-{i}.csv")[1] for i in (1, 2))
    assert first != second
    vae = load_model(model)
    drawn = vae.impute(rows.read(trained[0], vae.table), num_imputations=2, seed=1)
    assert [row[1] for row in second] == [str(age) for age in drawn[1]["age"]]


def test_score_writes_rows_and_cells(trained, model, tmp_path):
    command = ["score", model, "--data", trained[0]]
    cli.main([*command, "--cells", "--output", str(tmp_path / "cells.csv")])
    cli.main([*command, "--output", str(tmp_path / "scores.parquet")])
    vae = load_model(model)
    frame = rows.read(trained[0], vae.table)
    found = pd.read_csv(tmp_path / "cells.csv")
    assert list(found) == ["row", "anomaly_score", *COLUMNS[1:]]
    assert found["row"].tolist() == list(range(60))
    np.testing.assert_allclose(found["anomaly_score"], vae.anomaly_score(frame), rtol=1e-5)
    np.testing.assert_allclose(found[COLUMNS[1:]], vae.explain(frame)[COLUMNS[1:]], rtol=1e-5)
    assert found["age"].isna().tolist() == [not row[1] for row in read(trained[0])[1]]
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    assert scores.columns == ["row", "anomaly_score"]
    np.testing.assert_allclose(scores["anomaly_score"], found["anomaly_score"], rtol=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_encode_writes_all_rows_with_their_index(suffix, trained, model, tmp_path, capsys):
    path = tmp_path / f"codes{suffix}"
    cli.main(["encode", model, "--data", trained[0], "--output", str(path)])
    assert "60 codes of all rows of" in capsys.readouterr().out
    vae = load_model(model)
    expected = vae.encode(rows.read(trained[0], vae.table))
    if suffix == ".npy":
        return np.testing.assert_allclose(np.load(path), expected, atol=1e-5)
    found = pl.read_csv(path) if suffix == ".csv" else pl.read_parquet(path)
    assert found.columns == ["row", *(f"z{i}" for i in range(expected.shape[1]))]
    assert found["row"].to_list() == list(range(60))
    np.testing.assert_allclose(found.drop("row").to_numpy(), expected, atol=1e-5)


def test_generate_writes_rows_of_the_table(model, tmp_path):
    first, again = tmp_path / "a.csv", tmp_path / "b.csv"
    for path in (first, again):
        cli.main(["generate", model, "--count", "7", "--seed", "1", "--output", str(path)])
    assert first.read_text() == again.read_text()
    header, content = read(first)
    assert (header, len(content)) == (COLUMNS[1:], 7)
    assert {row[2] for row in content} <= {"f", "m"}


def test_generate_rows_with_given_values(model, tmp_path):
    path = str(tmp_path / "rows.parquet")
    given = ["sex=f", "smoker=true", "age=33", "admitted=2023-05-06"]
    options = [word for text in given for word in ("--condition", text)]
    cli.main(["generate", model, "--count", "4", *options, "--output", path])
    found = pl.read_parquet(path)
    assert found["sex"].to_list() == ["f"] * 4
    assert found["smoker"].to_list() == [True] * 4
    assert found["age"].to_list() == [33] * 4
    assert found["admitted"].cast(pl.Date).to_list() == [datetime.date(2023, 5, 6)] * 4


def test_evaluate_scores_the_rows_that_train_holds_out(trained, model, tmp_path, capsys):
    page = tmp_path / "report.html"
    report = ["--report", str(page)]
    cli.main(["evaluate", model, "--diagnose", *report])  # of the rows of the run
    assert "smoker" in page.read_text()
    printed = capsys.readouterr().out
    assert "6 of 60 rows" in printed
    assert "mutual_information" in printed
    loss = next(line for line in trained[1].splitlines() if line.startswith("loss "))
    assert loss in printed


WRONG = {
    "unknown category": ("sex", "x", "Column 'sex' must hold values.*'x'"),
    "unknown boolean": ("smoker", "maybe", "Column 'smoker' must hold values.*'maybe'"),
    "text for a number": ("age", "old", "Column 'age' must hold numbers.*'old'"),
    "text for a date": ("admitted", "soon", "Column 'admitted' must hold dates.*'soon'"),
    "number for a date": ("admitted", "2023", "Column 'admitted' must hold dates.*'2023'"),
    "no such day": ("admitted", "2023-02-30", "Column 'admitted' must hold dates.*'2023-02-30'"),
    "negative count": ("age", "-3", "Column 'age' must hold .*at least 0.*-3"),
    "broken count": ("age", "3.5", "Column 'age' must hold whole numbers.*3.5"),
    "infinity": ("height", "inf", "Column 'height' must hold finite numbers"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("by", ["pandas", "polars"])
def test_what_a_column_cannot_hold_is_refused_with_its_name(case, by, model, tmp_path, monkeypatch):
    column, value, message = WRONG[case]
    content = made(12)
    content[4][COLUMNS.index(column)] = value
    table = load_model_once(model).table
    with pytest.raises(ValueError, match=message):
        table.to_arrays(rows.read(save(tmp_path / "rows.csv", content), table, by))


@functools.cache
def load_model_once(path):
    return load_model(path)


def test_wrong_files_end_with_a_sentence(trained, model, tmp_path, capsys):
    content, output = made(12), ["--output", str(tmp_path / "out.csv")]
    content[4][3] = "x"
    unknown = save(tmp_path / "unknown.csv", content)
    missing = save(
        tmp_path / "missing.csv", [r[:3] + r[4:] for r in made(12)], [*COLUMNS[:3], *COLUMNS[4:]]
    )
    extra = save(tmp_path / "extra.csv", [[*row, "1"] for row in made(12)], [*COLUMNS, "more"])
    ragged = save(tmp_path / "ragged.csv", [*made(3), [*made(1)[0], "1", "2"]])
    empty = save(tmp_path / "empty.csv", [])
    (tmp_path / "broken.parquet").write_bytes(b"junk")
    for data, message in [
        (unknown, "Column 'sex' must hold"),
        (missing, "without ['sex']"),
        (extra, "unknown columns ['more']"),
        (ragged, "cannot be read"),
        (empty, "must have rows"),
        (str(tmp_path / "broken.parquet"), "`--data` must be a whole .parquet file"),
        (str(tmp_path / "none.csv"), "`--data` must be a file that is there"),
        ("shapes", "`--data` must be a .csv"),
    ]:
        assert message in refused(capsys, "score", model, "--data", data, *output)
    assert not (tmp_path / "out.csv").exists()


def test_conditions_that_no_row_can_have_are_refused(model, tmp_path, capsys):
    command = ["generate", model, "--output", str(tmp_path / "out.csv"), "--condition"]
    assert "Column 'sex' must hold" in refused(capsys, *command, "sex=x")
    assert "Column 'age' must be given a number" in refused(capsys, *command, "age=old")
    assert "Column 'admitted' must be given a date" in refused(capsys, *command, "admitted=soon")
    assert "COLUMN=VALUE with a column" in refused(capsys, *command, "nothing=1")
    assert "COLUMN=VALUE" in refused(capsys, *command, "sex")
    assert "`--temperature`" in refused(capsys, *command, "sex=f", "--temperature", "0.5")


def test_the_last_lines_name_a_command_that_works(trained, tmp_path):
    *_, loss, _, last = trained[1].splitlines()
    logged = next(line for line in trained[1].splitlines() if line.startswith("loss "))
    assert loss == f"Test loss: {float(logged.split()[1]):.3f} nats per row"
    assert last.startswith("Next: keras-vae impute ")
    words = shlex.split(last)[2:]
    words[-1] = str(tmp_path / "filled.csv")
    cli.main(words)
    assert all(all(row) for row in read(tmp_path / "filled.csv")[1])


def test_settings_of_the_recipe_are_those_of_table_vae(trained, tmp_path, capsys):
    train = ["train", "--data", trained[0], "--output", str(tmp_path / "run")]
    assert "`--recipe` must be table_vae" in refused(capsys, *train, "--recipe", "vae")
    assert "which has units, num_samples, hidden" in refused(capsys, *train, "--set", "beta=2")
    assert not list(tmp_path.iterdir())
    cli.main([*train, "--set", "units=[16]", "--set", "num_samples=3", "--epochs", "1"])
    assert load_model(tmp_path / "run" / "vae.keras").objective.num_samples == 3


def test_nothing_is_overwritten_unless_asked(trained, model, tmp_path, capsys):
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    (tmp_path / "several-2.csv").write_text("mine")
    data, output = ["--data", trained[0]], ["--output", str(mine)]
    for command in (["impute", *data], ["score", *data], ["encode", *data], ["generate"]):
        words = [command[0], model, *command[1:], *output]
        assert "--overwrite" in refused(capsys, *words)
        assert mine.read_text() == "mine"
        cli.main([*words, "--overwrite"])
        assert len(read(mine)[1]) >= 60
        mine.write_text("mine")
    several = ["--num-imputations", "2", "--output", str(tmp_path / "several.csv")]
    assert "several-2.csv" in refused(capsys, "impute", model, *data, *several)
    assert {p.name for p in tmp_path.iterdir()} == {"mine.csv", "several-2.csv"}
    assert "--overwrite" in refused(capsys, "train", *data, "--output", str(trained[2]))


def test_outputs_that_cannot_be_are_refused_before_the_work(trained, model, tmp_path, capsys):
    data = ["--data", trained[0]]
    for command in (["impute", model, *data], ["score", model, *data], ["generate", model]):
        assert ".csv" in refused(capsys, *command, "--output", str(tmp_path / "x.png"))
    assert ".npy" in refused(capsys, "encode", model, *data, "--output", str(tmp_path / "x.png"))
    assert "folder" in refused(capsys, "score", model, *data, "--output", f"{tmp_path}/no/x.csv")


def test_options_that_are_not_for_tables_are_refused(trained, model, tmp_path, capsys):
    train = ["train", "--data", trained[0], "--output", str(tmp_path / "run")]
    for options in (["--network", "vae"], ["--likelihood", "normal"], ["--beta", "1"]):
        assert f"`{options[0]}` must be left out" in refused(capsys, *train, *options)
    assert "`--warm-up` must be left out" in refused(capsys, *train, "--warm-up", "1")
    assert "`--resume` must come with --epochs" in refused(capsys, *train, "--resume")
    assert "`--decay` must come with --epochs" in refused(capsys, *train, "--decay")
    assert "`model` must be of images" in refused(capsys, "reconstruct", model)


def test_models_of_images_take_no_rows(trained, tmp_path, capsys):
    path = str(tmp_path / "vae.keras")
    vae = recipes.vae((4, 4, 1), latent_dim=2, units=(8,))
    vae.predict(np.zeros((2, 4, 4, 1)), verbose=0)
    vae.save(path)
    data, output = ["--data", trained[0]], ["--output", str(tmp_path / "out.csv")]
    for command in ("impute", "score"):
        assert "`model` must be of a table" in refused(capsys, command, path, *data, *output)
    for command in ("encode", "evaluate", "reconstruct"):
        options = [] if command in ("evaluate", "reconstruct") else output
        assert "not of a table" in refused(capsys, command, path, *data, *options)
    assert "`--condition`" in refused(capsys, "generate", path, "--condition", "sex=f", *output)


@pytest.mark.slow
def test_a_resumed_run_ends_like_an_uninterrupted_one(trained, tmp_path):
    train = ["train", "--data", trained[0], "--output", str(tmp_path / "run")]
    cli.main([*train, "--epochs", "1"])
    cli.main([*train, "--epochs", "2", "--resume"])
    whole, parts = (load_model(folder / "vae.keras") for folder in (trained[2], tmp_path / "run"))
    for first, second in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_without_epochs_it_stops_by_itself(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training, "STEPS", 4)
    monkeypatch.setattr(training, "CHECKED", 1)
    monkeypatch.setattr(train_table, "SECONDS", -1)
    output = tmp_path / "run"
    cli.main(["train", "--data", trained[0], "--latent-dim", "2", "--output", str(output)])
    printed = capsys.readouterr().out
    assert "nats per row" in printed
    assert {"vae.keras", "history.csv", "latent_scatter.png"} <= {p.name for p in output.iterdir()}
    history = callbacks.read_history(output / "history.csv")
    assert np.isfinite(history["loss"]).all()
    assert history["epoch"] == list(range(len(history["loss"])))
    assert load_model(output / "vae.keras").latent_dim == 2


@pytest.mark.parametrize("by", ["pandas", "polars"])
def test_columns_of_text_get_their_types(by, tmp_path):
    header = ["int", "gaps", "real", "truth", "day", "time", "text", "postcode", "empty"]
    content = [
        ["1", "1", "1.50", "true", "2024-01-05", "2024-01-05 10:00:00", "a", "0123", ""],
        ["2", "NA", "2", "FALSE", "", "2024-01-05T10:00:30", "1", "4567", "NA"],
    ]
    frame = rows.read(save(tmp_path / "rows.csv", content, header), by=by)
    found = {name: str(nw.from_native(frame)[name].dtype).split("(")[0] for name in header}
    day = "Date" if by == "polars" else "Datetime"
    assert [found[name] for name in header] == [
        *("Int64", "Int64", "Float64", "Boolean", day, "Datetime", "String", "String"),
        found["empty"],
    ]
    column = nw.from_native(frame)["gaps"]
    assert column.is_null().to_list() == [False, True]
    assert nw.from_native(frame)["truth"].to_list() == [True, False]
    times = nw.from_native(frame)["time"].to_list()
    assert (times[1] - times[0]).total_seconds() == 30
    assert type(frame).__module__.startswith(by)


@pytest.mark.parametrize("by", ["pandas", "polars"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_what_is_written_is_read_again(by, suffix, tmp_path):
    path = tmp_path / f"rows{suffix}"
    frame = rows.read(save(tmp_path / "given.csv", made(15)), by=by)
    rows.write(frame, path)
    again = rows.read(path, by=by)
    assert frame.equals(again)
    assert ("\t" in path.read_text()) is (suffix == ".tsv")


def test_an_index_of_pandas_is_written(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="name"))
    rows.write(frame, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().splitlines() == ["name,x", "a,1", "b,2"]
    assert rows.index(frame, ["x"]) == {"row": ["a", "b"]}
    assert list(rows.index(frame, ["row"])) == ["row_"]


def test_a_model_decides_what_stays_text(tmp_path):
    """Classes that look like numbers, and row numbers that begin with a zero."""
    table = Table.infer(pd.DataFrame({"zip": ["a1", "22"] * 10, "x": np.arange(20) / 3}))
    for by in ("pandas", "polars"):
        path = save(tmp_path / f"{by}.csv", [["22", "1"], ["22", ""]], ["zip", "x"])
        frame = rows.read(path, table, by)
        assert frame["zip"].to_list() == ["22", "22"]
        assert table.to_arrays(frame)["mask"].tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize(
    ("installed", "paths", "expected"),
    [
        ({"pandas", "polars"}, ["a.csv"], "pandas"),
        ({"pandas", "polars"}, ["a.csv", "b.parquet"], "polars"),
        ({"pandas", "pyarrow"}, ["b.parquet"], "pandas"),
        ({"polars"}, ["a.csv"], "polars"),
        ({"pandas"}, ["b.parquet"], None),
        (set(), ["a.csv"], None),
    ],
)
def test_the_library_is_one_that_is_installed(installed, paths, expected, monkeypatch):
    monkeypatch.setattr(rows, "_is_installed", lambda name: name in installed)
    if expected:
        assert rows.library(*paths) == expected
    else:
        with pytest.raises(ImportError, match=r'pip install "keras_vae\[tables\]" polars'):
            rows.library(*paths)


def test_without_a_library_the_command_says_what_to_install(trained, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rows, "_is_installed", lambda name: False)
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "--data", trained[0], "--output", str(tmp_path / "run")])
    assert end.value.code == 2
    assert 'pip install "keras_vae[tables]" polars' in capsys.readouterr().err


def test_several_files_are_all_there_or_none(tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": [1, 2]})
    real = rows._write

    def fail(frame, path):
        if "second" in path:
            raise OSError("no space")
        real(frame, path)

    monkeypatch.setattr(rows, "_write", fail)
    with pytest.raises(OSError, match="no space"):
        rows.write_all([frame, frame], [tmp_path / "first.csv", tmp_path / "second.csv"])
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("format", "component", "output", "where"),
    [
        ("tf_saved_model", "encoder", "saved", "saved/table.json"),
        ("litert", "encoder", "encoder.tflite", "encoder.table.json"),
        pytest.param("onnx", "all", "onnx", "onnx/table.json", marks=pytest.mark.slow),
        ("onnx", "decoder", "decoder.onnx", "decoder.table.json"),
    ],
)
def test_an_export_carries_the_table(format, component, output, where, model, tmp_path):
    path = str(tmp_path / output)
    options = ["--format", format, "--component", component, "--output", path]
    for _ in range(2 if component == "all" else 1):  # an earlier export is replaced
        cli.main(["export", model, *options])
    config = json.loads((tmp_path / where).read_text())
    table = load_model_once(model).table
    assert config == json.loads(json.dumps(table.get_config()))
    assert Table.from_config(config)["sex"].values == ["f", "m"]
    assert isinstance(Table.from_config(config)["height"], kinds.Positive)


@pytest.mark.tensorflow
def test_a_failed_export_leaves_no_table(model, tmp_path, monkeypatch):
    def fail(*arguments):
        raise ValueError("broken")

    monkeypatch.setattr(export, "_litert", fail)
    with pytest.raises(ValueError, match="broken"):
        load_model_once(model).export(tmp_path / "x.tflite", format="litert")
    assert not list(tmp_path.iterdir())


def test_images_of_a_folder_are_encoded_with_their_files(tmp_path, capsys):
    images = datasets.shapes(12, image_size=8)[0]
    (tmp_path / "photos").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / "photos" / f"{i:02d}.png")
    vae = recipes.vae((8, 8, 3), latent_dim=2, units=(8,))
    vae.predict(np.zeros((2, 8, 8, 3)), verbose=0)
    vae.save(tmp_path / "vae.keras")
    command = ["encode", str(tmp_path / "vae.keras"), "--data", str(tmp_path / "photos")]
    for split, count in (("test", 2), ("train", 10), ("all", 12)):
        path = tmp_path / f"{split}.csv"
        cli.main([*command, "--split", split, "--output", str(path)])
        header, content = read(path)
        assert (header, len(content)) == (["split", "file", "z0", "z1"], count)
        assert all(pathlib.Path(row[1]).is_file() for row in content)
        printed = capsys.readouterr().out
        assert f"{count} codes of" in printed
        assert f"split {split!r}" in printed
    pixels = np.asarray(Image.open(content[0][1]).convert("RGB"))[None] / 255
    np.testing.assert_allclose(np.array(content[0][2:], float), vae.encode(pixels)[0], atol=1e-5)
