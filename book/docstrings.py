"""Docstrings as they are written here, made fit for reStructuredText.

They are read in an editor first: a product is ``a * b``, a norm is ``|v|``, an equation stands
indented. Signs that mark nothing are escaped, indented blocks of a module's docstring keep their
lines, and what cannot be read all the same is shown as it was typed, and said to be.
"""

import re
from collections.abc import Sequence
from typing import Any

from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser, roles
from docutils.utils import Reporter, new_document
from sphinx.application import Sphinx

CODE = re.compile(r"(``.*?``|`[^`]*`)")
BULLET = re.compile(r"\s*\* ")
# What reStructuredText lets stand before and after an emphasis, quotes left out.
EMPHASIS = re.compile(r"(?<![^\s(\[{</-])(\*{1,2})(?=[^\s*])[^*]*(?<=[^\s*])\1(?![\w*])")
REFERENCE = re.compile(r"(?<=\w)_(?!\w)")
# Blocks that are lists, tables or directives already.
STRUCTURED = re.compile(r"\s*([*-] |\d+\. |[=+-]{3}|\.\. |>>> |:)")
# Of these napoleon, at priority 500, takes all before a colon in the first line for a type.
VALUES = ("attribute", "data")
# Sphinx knows these, plain docutils does not.
SPHINX_ONLY = re.compile(r"role|directive")


def setup(app: Sphinx) -> dict[str, Any]:
    """Have every docstring pass through here before napoleon reads its sections."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-docstring", _undo_for_values, priority=600)
    app.connect("html-collect-pages", _forget_sourceless, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def escaped(line: str) -> str:
    """Return a line whose lone ``*``, ``|`` and final ``_`` are literal.

    Example:
        >>> escaped("H * W of a *job* is ``a * b``, at most |v|")
        'H \\\\* W of a *job* is ``a * b``, at most \\\\|v\\\\|'
    """
    bullet = found.group() if (found := BULLET.match(line)) else ""
    parts = CODE.split(line[len(bullet) :])
    return bullet + "".join(p if n % 2 else _plain(p) for n, p in enumerate(parts))


def with_blocks(lines: Sequence[str]) -> list[str]:
    """Return lines in which an indented block after an empty line is marked to stay as it is."""
    marked: list[str] = []
    within = False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not within and (not marked or not marked[-1].strip()):
            within = True
            if not STRUCTURED.match(line):
                marked += ["::", ""]
        elif line.strip() and not indented:
            within = False
        marked.append(line)
    return marked


def of_module(typed: Sequence[str]) -> list[str]:
    """Return a module's docstring, blocks kept and signs that mark nothing escaped."""
    return _escaped_outside(with_blocks(typed))


def problems(lines: Sequence[str]) -> list[str]:
    """Return what docutils has against the layout of a text.

    Code is covered, as its roles are Sphinx's and work within a page only.
    """
    text = CODE.sub(lambda code: "x" * len(code.group()), "\n".join(lines))
    found: list[str] = []
    settings = get_default_settings(Parser)
    settings.report_level, settings.halt_level = (
        Reporter.SEVERE_LEVEL + 1,
        Reporter.SEVERE_LEVEL + 1,
    )
    document = new_document("docstring", settings)
    document.reporter.attach_observer(lambda message: found.append(_words(message)))
    default = roles._roles.get("")
    Parser().parse(text, document)
    if default is not None:  # a parser forgets the default role of the page that it is called in
        roles._roles[""] = default
    return [words for words in found if words and not SPHINX_ONLY.search(words)]


def _words(message: nodes.system_message) -> str:
    return message.astext().splitlines()[0] if message["level"] >= Reporter.WARNING_LEVEL else ""


def _plain(text: str) -> str:
    text = REFERENCE.sub(r"\\_", text.replace("|", r"\|"))
    kept, end = [], 0
    for found in EMPHASIS.finditer(text):
        kept += [text[end : found.start()].replace("*", r"\*"), found.group()]
        end = found.end()
    return "".join([*kept, text[end:].replace("*", r"\*")])


def _process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    typed = list(lines)
    lines[:] = of_module(typed) if what == "module" else _escaped_outside(typed)
    app.env.temp_data["fmtutor_docstring"] = list(lines)
    if what == "module" and (against := problems(lines)):
        print(f"shown as typed: {name} ({against[0]})", flush=True)
        lines[:] = [typed[0], "", "::", "", *(f"    {line}" for line in typed[1:])]


def _undo_for_values(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    if what in VALUES:
        lines[:] = app.env.temp_data["fmtutor_docstring"]


def _escaped_outside(lines: Sequence[str]) -> list[str]:
    """Escape all lines but those of literal blocks and examples."""
    done: list[str] = []
    literal = False
    for line in lines:
        if line.strip() and not line.startswith(" "):
            literal = line.rstrip().endswith("::")
        done.append(line if literal or line.lstrip().startswith((">>>", "...")) else escaped(line))
    return done


def _forget_sourceless(app: Sphinx) -> list[tuple[str, dict[str, Any], str]]:
    """Take modules without a source, such as builtins, from viewcode's list before it is shown."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, entry in modules.items() if not entry]:
        del modules[name]
    return []
