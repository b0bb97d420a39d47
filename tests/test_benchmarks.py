"""The benchmarks fit the library as it is."""

import ast
import importlib
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
MUTANTS = importlib.import_module("mutants")
RANDOM = importlib.import_module("random_changes")
CHANGES = RANDOM.all_changes()


@pytest.mark.parametrize("mutant", MUTANTS.MUTANTS, ids=lambda mutant: mutant.title)
def test_a_fault_can_still_be_made(mutant):
    text = (ROOT / "keras_vae" / mutant.file).read_text()
    assert MUTANTS.changed(text, mutant) != text
    assert (ROOT / "tests" / mutant.tests.split()[0]).exists()


def test_a_random_change_is_another_program():
    drawn = RANDOM.draw(40, seed=0)
    assert drawn == RANDOM.draw(40, seed=0)
    assert len(set(drawn)) == 40
    for change in drawn:
        data = (ROOT / "keras_vae" / change.file).read_bytes()
        old, new = (ast.dump(ast.parse(d)) for d in (data, RANDOM.changed(data, change)))
        assert old != new, change


def test_every_module_that_may_change_has_tests():
    tests = {name for change in CHANGES for name in RANDOM.tests_of(change.file)}
    assert not {name for name in tests if not (ROOT / "tests" / name).exists()}
    assert not {name for name in RANDOM.TESTS_OF if not (ROOT / "keras_vae" / name).exists()}


def test_every_equivalent_change_can_still_be_drawn():
    assert set(RANDOM.EQUIVALENT) <= {(c.file, c.text, c.title) for c in CHANGES}
