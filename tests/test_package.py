"""The files of the wheel, and the version in the citation."""

import pathlib
import re

from hatchling.builders.wheel import WheelBuilder

ROOT = pathlib.Path(__file__).parents[1]


def wheel_files():
    builder = WheelBuilder(str(ROOT))
    return {file.distribution_path for file in builder.recurse_included_files()}


def test_the_wheel_holds_both_packages_with_their_types_and_nothing_else():
    files = wheel_files()
    for package in ("keras_vae", "keras_vae_cli"):
        assert f"{package}/__init__.py" in files
        assert f"{package}/py.typed" in files
    assert "keras_vae/report.html" in files
    assert {name.split("/")[0] for name in files} == {"keras_vae", "keras_vae_cli"}


def test_the_wheel_holds_every_module():
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in ("keras_vae", "keras_vae_cli")
        for path in (ROOT / package).rglob("*.py")
    }
    assert modules <= wheel_files()


def test_the_citation_states_the_version_of_the_package():
    code = (ROOT / "keras_vae" / "__init__.py").read_text()
    version = re.search(r'^__version__ = "(.*)"$', code, re.M)[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
