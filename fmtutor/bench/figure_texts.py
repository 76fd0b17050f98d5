"""Alternative texts for the figures of a notebook, found in what is written already.

A picture in a notebook has no description of its own. But the functions that draw say in their
docstring what they draw, and a plot made in the cell names its axes: with the heading above, that
tells someone who cannot see the picture what it is. Nothing is imported or run for it.
"""

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nbformat import NotebookNode

import fmtutor

DRAWING_WORDS = ("Draw ", "Show ", "Draws ", "Shows ")
LABELS = ("title", "xlabel", "ylabel", "label", "set_title", "set_xlabel", "set_ylabel")
LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class FigureText:
    """What can be said about the figures of one cell."""

    text: str
    """The alternative text."""
    origin: Literal["docstring", "labels", "heading"]
    """Where it comes from; a heading alone says where the figure stands, not what it shows."""


@dataclass(frozen=True, kw_only=True)
class _Names:
    """What the names in a notebook mean."""

    imported: Mapping[str, str]
    """From a name to what it stands for, with dots."""
    defined: Mapping[str, ast.FunctionDef]
    """Functions of the notebook itself."""


def figure_texts(notebook: NotebookNode) -> dict[int, FigureText]:
    """Return the text of each code cell's figures, by the number of the cell from 0."""
    names, heading, texts = _names(notebook), "", {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            titles = [line for line in cell.source.splitlines() if line.startswith("#")]
            heading = titles[-1].lstrip("# ").strip() if titles else heading
        elif cell.cell_type == "code":
            texts[number] = _text(heading, _parsed(cell.source), names)
    return texts


def _text(heading: str, tree: ast.AST, names: _Names) -> FigureText:
    drawn = list(dict.fromkeys(_drawings(tree, names)))
    labels = list(dict.fromkeys(_labels(tree, names)))
    said = " ".join(drawn) or (f"plot of {', '.join(labels)}" if labels else "")
    text = f"{heading}: {said}" if heading and said else heading or said
    origin: Literal["docstring", "labels", "heading"] = (
        "docstring" if drawn else "labels" if labels else "heading"
    )
    if len(text) > LONGEST:
        text = text[:LONGEST].rsplit(" ", 1)[0] + " …"
    return FigureText(text=text, origin=origin)


def _parsed(source: str) -> ast.Module:
    """Parse a cell; lines of IPython's own and cells that are no Python say nothing here."""
    lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def _names(notebook: NotebookNode) -> _Names:
    imported: dict[str, str] = {}
    defined: dict[str, ast.FunctionDef] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(_parsed(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                for name in node.names:
                    imported[name.asname or name.name] = f"{node.module}.{name.name}"
            elif isinstance(node, ast.FunctionDef):
                defined[node.name] = node
    return _Names(imported=imported, defined=defined)


def _calls(tree: ast.AST, names: _Names) -> Iterator[ast.Call]:
    """Yield the calls of a cell, and those within the notebook's own functions that it calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node
            own = names.defined.get(node.func.id) if isinstance(node.func, ast.Name) else None
            if own is not None:
                yield from (call for call in ast.walk(own) if isinstance(call, ast.Call))


def _drawings(tree: ast.AST, names: _Names) -> Iterator[str]:
    """Yield what the drawing functions of this package say about themselves."""
    for call in _calls(tree, names):
        place = _place(call.func, names)
        if place.startswith("fmtutor."):
            module, _, function = place.rpartition(".")
            line = _first_lines(module).get(function, "")
            if line.startswith(DRAWING_WORDS):
                yield line.replace("``", "").split(" ", 1)[1]


def _place(function: ast.expr, names: _Names) -> str:
    """Return the full name of what is called; empty where it is not an import's."""
    if isinstance(function, ast.Name):
        return names.imported.get(function.id, "")
    if isinstance(function, ast.Attribute):
        owner = _place(function.value, names)
        return f"{owner}.{function.attr}" if owner else ""
    return ""


@functools.cache
def _first_lines(module: str) -> Mapping[str, str]:
    """Return the first line of each function's docstring in a module of this package."""
    path = Path(fmtutor.__file__).parent.joinpath(*module.split(".")[1:])
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    if not file.exists():
        return {}
    functions = [n for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef)]
    return {f.name: (ast.get_docstring(f) or "").partition("\n")[0] for f in functions}


def _labels(tree: ast.AST, names: _Names) -> Iterator[str]:
    """Yield the titles and names of axes that a cell gives to its plots, as far as they are text.

    What is put into them by a format is left out.
    """
    for call in _calls(tree, names):
        values = [word.value for word in call.keywords if word.arg in LABELS]
        if isinstance(call.func, ast.Attribute) and call.func.attr in LABELS:
            values += call.args[:1]
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.value
