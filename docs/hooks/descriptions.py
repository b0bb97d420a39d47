"""Takes the first sentence of each page as its description, and writes the map `llms.txt` of them.

    python docs/hooks/descriptions.py

writes `llms.txt` anew, from the navigation in `mkdocs.yml`.
"""

import ast
import pathlib
import re
import shutil

ROOT = pathlib.Path(__file__).parents[2]
LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
ENTRY = re.compile(r"^ *- (?P<title>[^:]+): (?P<path>\S+\.md)$", flags=re.M)
HEAD = """# keras_vae

> Variational autoencoders as ordinary Keras models, on TensorFlow, JAX and torch: `compile`,
> `fit`, callbacks and one `.keras` file. Likelihoods, priors, posteriors, objectives and penalties
> are parts to combine; `keras_vae.recipes` has a function for each well-known model. Tables go in
> and come out as data frames. All losses and scores are in nats per example.

## Documentation

"""


def on_page_markdown(markdown, page, **_):
    """Gives the page its description, for search engines."""
    page.meta.setdefault("description", first_sentence(markdown))
    return markdown


def on_post_build(config, **_):
    """Adds `llms.txt` to the site."""
    shutil.copy(ROOT / "llms.txt", config.site_dir)


def first_sentence(markdown):
    """Returns the first sentence of the first paragraph, without links and emphasis."""
    is_text = re.compile(r"[A-Z`*\[]")
    paragraphs = [p for p in markdown.split("\n\n") if is_text.match(p)]
    text = LINK.sub(r"\1", " ".join(paragraphs[0].split())) if paragraphs else ""
    return re.split(r"(?<=[.])\s", text.replace("**", ""))[0].rstrip(":.")


def llms_txt():
    """Returns the text of `llms.txt`."""
    return HEAD + "".join(pages()) + "\n## Examples\n\n" + "".join(examples())


def pages():
    """Yields a line for each page of the navigation."""
    for entry in ENTRY.finditer((ROOT / "mkdocs.yml").read_text(encoding="utf-8")):
        sentence = first_sentence((ROOT / "docs" / entry["path"]).read_text(encoding="utf-8"))
        yield f"- [{entry['title'].strip()}](docs/{entry['path']}): {sentence}.\n"


def examples():
    """Yields a line for each program in `examples`."""
    for path in sorted((ROOT / "examples").glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        yield f"- [{path.stem}](examples/{path.name}): {first_sentence(docstring)}.\n"


if __name__ == "__main__":
    (ROOT / "llms.txt").write_text(llms_txt(), encoding="utf-8")
