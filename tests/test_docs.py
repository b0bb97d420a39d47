"""The pages of the documentation are complete: navigation, recipes, papers, gallery, llms.txt."""

import importlib.util
import pathlib
import re

import pytest

from keras_vae import recipes

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
LARGEST_PICTURE = 15_000
ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def module(path):
    """A module of the documentation or the benchmarks, which belong to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


DESCRIPTIONS = module(DOCS / "hooks" / "descriptions.py")
GALLERY = module(ROOT / "benchmarks" / "gallery.py")


def text(name):
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation():
    listed = {found["path"] for found in DESCRIPTIONS.ENTRY.finditer(config())}
    assert listed == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def config():
    return (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_begins_with_a_sentence_for_search_engines():
    for path in DOCS.rglob("*.md"):
        sentence = DESCRIPTIONS.first_sentence(path.read_text(encoding="utf-8"))
        assert 20 < len(sentence) < 220, (path.name, sentence)


def test_the_map_for_language_models_is_up_to_date():
    written = (ROOT / "llms.txt").read_text(encoding="utf-8")
    assert written == DESCRIPTIONS.llms_txt(), "run `python docs/hooks/descriptions.py`"
    for path in re.findall(r"\]\(([^)]+)\)", written):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("recipe", recipes.__all__)
def test_every_recipe_is_in_the_table_of_models(recipe):
    assert f"`{recipe}" in text("choosing.md")


@pytest.mark.parametrize("recipe", recipes.__all__)
def test_every_recipe_has_a_card_or_a_reason(recipe):
    shown = f"\n### `{recipe}`\n" in text("gallery.md")
    assert shown != (recipe in GALLERY.NOT_SHOWN), "add a card, or a line to NOT_SHOWN"


def test_the_pictures_of_the_gallery_are_small():
    pictures = re.findall(r"\]\((images/gallery/\w+\.webp)\)", text("gallery.md"))
    assert {path.stem for path in (DOCS / "images" / "gallery").glob("*")} == {
        pathlib.Path(picture).stem for picture in pictures
    }
    assert not [p for p in pictures if not 0 < (DOCS / p).stat().st_size <= LARGEST_PICTURE]


def test_the_numbers_of_a_card_are_those_of_the_table(tmp_path):
    """The script writes both, where the page has places for them."""
    page = tmp_path / "gallery.md"
    page.write_text(text("gallery.md"), encoding="utf-8")
    rows = [
        {"recipe": name, "-ELBO": "1.5", "KL": "0.5", "likelihood": "Bernoulli", "CPU s": "9"}
        for name in GALLERY.names()
        if f"\n### `{name}`\n" in text("gallery.md")
    ]
    GALLERY.write(rows, page)
    written = page.read_text(encoding="utf-8")
    assert written.count("A negative ELBO of 1.5 nats") == len(rows)
    assert written.count("| 1.5 | 0.5 |") == len(rows)


def test_every_paper_of_a_docstring_is_in_the_list_with_the_code_that_uses_it():
    used = {}
    for path in (ROOT / "keras_vae").rglob("*.py"):
        name = path.relative_to(ROOT / "keras_vae").parts[0].removesuffix(".py")
        for number in ARXIV.findall(path.read_text(encoding="utf-8")):
            used.setdefault(number, set()).add(name)
    rows = re.findall(r"\| \[([\d.]+)\]\(\S+\) \| (.+) \|", text("references.md"))
    listed = {number: set(re.findall(r"`(\w+)`", names)) for number, names in rows}
    assert listed == used


def test_the_readme_cites_the_version_of_the_citation_file():
    version = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1]
    assert f"version = {{{version}}}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_equations_become_mathml():
    pytest.importorskip("latex2mathml", reason='not installed: pip install "keras_vae[docs]"')
    page = module(DOCS / "hooks" / "mathml.py").on_page_markdown("Text\n\n$$\nx^2\n$$\n\nMore")
    assert "<msup>" in page
    assert "$$" not in page
