"""The benchmarks fit the library as it is."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def mutants():
    specification = importlib.util.spec_from_file_location(
        "mutants", ROOT / "benchmarks" / "mutants.py"
    )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


MODULE = mutants()


@pytest.mark.parametrize("mutant", MODULE.MUTANTS, ids=lambda mutant: mutant.title)
def test_a_fault_can_still_be_made(mutant):
    text = (ROOT / "keras_vae" / mutant.file).read_text()
    assert MODULE.changed(text, mutant) != text
    assert (ROOT / "tests" / mutant.tests.split()[0]).exists()
