"""Notebooks and documents of the repository as sources of the book."""

import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from fmtutor.bench.figure_texts import figure_texts
from fmtutor.bench.notebook_content import title_of

FIRST_DOCUMENTS = ("README.md", "CONTRIBUTING.md")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
NOTEBOOK_LINK = re.compile(r"\[([^\]]+)\]\(([\w-]+\.ipynb)\)")


@dataclass(frozen=True, kw_only=True)
class Copied:
    """The notebooks of the book."""

    titles: dict[str, str]
    """From the stem of a notebook to its title, in their order."""
    described: dict[str, int]
    """How many figures have a text by its docstring, labels or heading alone."""


def copy_notebooks(folder: Path, target: Path) -> Copied:
    """Copy notebooks, their figures with alternative texts, links to those to come as plain text.

    Raises:
        ValueError: There is none.
    """
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise ValueError(f"a book has notebooks NN_*.ipynb, found none in {folder}.")
    names = {path.name for path in paths}
    titles, described = {}, Counter[str]()
    target.mkdir(parents=True)
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        titles[path.stem] = title_of(notebook, path.stem)
        described += describe_figures(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = without_missing_links(cell.source, names)
        nbformat.write(notebook, target / path.name)
    return Copied(titles=titles, described=dict(described))


def describe_figures(notebook: NotebookNode) -> Counter[str]:
    """Give each cell with a picture a text for it, and count where the texts come from."""
    origins: Counter[str] = Counter()
    texts = figure_texts(notebook)
    for number, cell in enumerate(notebook.cells):
        pictures = [o for o in cell.get("outputs", []) if _is_picture(o)]
        if pictures:
            cell.metadata["mystnb"] = {"image": {"alt": texts[number].text}}
            origins[texts[number].origin] += len(pictures)
    return origins


def without_missing_links(text: str, names: set[str]) -> str:
    """Return Markdown whose links to notebooks that are still to come are plain text."""
    return NOTEBOOK_LINK.sub(
        lambda found: found.group() if found.group(2) in names else f"{found.group(1)} (to come)",
        text,
    )


def copy_documents(root: Path, target: Path) -> list[str]:
    """Copy the README, all of ``docs``, and what these link, directly or by way of another page.

    Notebooks of the workbook are left to `copy_notebooks`. A link that leads nowhere is left to
    the strict build.

    Returns:
        The further pages, as names below the target without their suffix.
    """
    waiting = [root / name for name in FIRST_DOCUMENTS]
    waiting += [path for path in sorted((root / "docs").rglob("*")) if path.is_file()]
    copied: dict[str, Path] = {}
    while waiting:
        path = waiting.pop().resolve()
        name = path.relative_to(root.resolve()).as_posix()
        if name in copied or re.fullmatch(r"notebooks/[^/]+\.ipynb", name):
            continue
        copied[name] = path
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / name)
        if path.suffix == ".md":
            waiting += _linked(path, root.resolve())
    pages = [name.removesuffix(".md") for name in sorted(copied) if name.endswith(".md")]
    return [page for page in pages if f"{page}.md" not in FIRST_DOCUMENTS]


def _linked(path: Path, root: Path) -> list[Path]:
    """Return the files of the repository that a Markdown page links or shows."""
    targets = [
        (path.parent / link).resolve()
        for link in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in link
    ]
    return [t for t in targets if t.is_file() and t.is_relative_to(root)]


def _is_picture(output: NotebookNode) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))
