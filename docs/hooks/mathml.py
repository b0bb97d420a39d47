"""Turns equations, LaTeX between two lines `$$`, into MathML, which needs no script."""

import re

from latex2mathml.converter import convert

EQUATION = re.compile(r"^\$\$\n(.+?)\n\$\$$", flags=re.S | re.M)


def on_page_markdown(markdown, **_):
    """Returns the page with its equations as MathML."""
    return EQUATION.sub(_mathml, markdown)


def _mathml(match):
    latex = match[1].replace("\n", " ")
    return f'<div class="equation">{convert(latex, display="block")}</div>'
