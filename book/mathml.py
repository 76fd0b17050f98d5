"""Equations as MathML, written when the book is built: no script, no font, nothing from outside."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer under the name ``mathml``."""
    nothing = (_inline, None), (_block, None)
    app.add_html_math_renderer("mathml", *nothing)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def mathml(tex: str, *, block: bool) -> str:
    """Return an equation as MathML.

    Raises:
        ExtensionError: It cannot be read.
    """
    rule = f"an equation must be TeX that latex2mathml knows, got {tex!r}"
    try:
        text = convert(tex, display="block" if block else "inline")
    except Exception as error:
        raise ExtensionError(f"{rule}: {error!r}") from error
    # A command that it does not know is written out as it stands.
    if unknown := re.findall(r"\\[A-Za-z]+", text):
        raise ExtensionError(f"{rule}: {', '.join(unknown)}; write it in other commands.")
    return text


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode
