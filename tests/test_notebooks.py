"""The notebooks run from their first cell to their last, and hold their pictures."""

import json
import pathlib

import keras
import pytest

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 300_000


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.fixture
def one_epoch():
    keras.config.set_max_epochs(1)
    yield
    keras.config.set_max_epochs(None)


@pytest.mark.slow
@pytest.mark.usefixtures("one_epoch")
@pytest.mark.filterwarnings("ignore:Limiting epochs")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for cell in code_cells(path):
        exec(compile("".join(cell["source"]), str(path), "exec"), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_its_pictures_and_is_small(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output["output_type"] == "error" for output in outputs)
    assert path.stat().st_size < LARGEST


def test_there_is_a_notebook_for_each_use_of_a_table():
    assert [path.stem for path in NOTEBOOKS] == ["filling_gaps", "new_rows", "odd_rows"]
