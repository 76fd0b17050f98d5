"""The figures of an executed notebook, as files that a page or a paper can use."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from fmtutor.bench.figure_texts import figure_texts
from fmtutor.core.files import atomic_path

FIGURES_FOLDER = "figures"
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One picture of a notebook."""

    text: str
    """What it shows, for those who cannot see it."""
    suffix: str
    """Of its file."""
    content: bytes
    """The file."""


def figures(notebook: NotebookNode) -> Iterator[Figure]:
    """Yield each picture among the outputs of a notebook, in order."""
    texts = figure_texts(notebook)
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind, suffix in SUFFIXES.items():
                if kind in data:
                    content = _decoded(kind, data[kind])
                    yield Figure(text=texts[number].text, suffix=suffix, content=content)
                    break


def write_figures(notebook: NotebookNode, out: Path, *, name: str) -> list[tuple[str, str]]:
    """Write the figures of a run below ``out/figures/NAME``; those of an earlier run go.

    Returns:
        Pairs of the path below ``out``, with forward slashes, and what the figure shows.
    """
    written = []
    folder = out / FIGURES_FOLDER / name
    for number, figure in enumerate(figures(notebook), start=1):
        path = folder / f"{number:02d}{figure.suffix}"
        with atomic_path(path) as part:
            part.write_bytes(figure.content)
        written.append((f"{FIGURES_FOLDER}/{name}/{path.name}", figure.text))
    current = {address.rsplit("/", 1)[1] for address, _ in written}
    for old in folder.glob("*"):
        if old.name not in current:
            old.unlink()
    return written


def _decoded(kind: str, text: str) -> bytes:
    """Return the bytes of a picture: SVG is text, the other kinds are base64."""
    return text.encode() if kind == "image/svg+xml" else base64.b64decode(text)
