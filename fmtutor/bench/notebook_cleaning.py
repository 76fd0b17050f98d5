"""What may stand in an executed notebook: outputs and pictures, nothing of the machine."""

import base64
import io
import os
import re
import site
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

import fmtutor

MAX_BYTES = 1_500_000
COLOURS = (256, 128, 64)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
RUNNER_TAGS = {"injected-parameters", "papermill-error-cell-tag"}
RUNNER_METADATA = ("papermill", "execution", "widgets")
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
MACHINE_PATH = re.compile(
    r"(?<![\w./:~-])(?:/(?:home|root|Users|tmp|var|mnt|opt|work|scratch|usr/(?:local/)?lib)/|[A-Z]:\\Users\\)[^\s'\"<>|,;:)]+"
)


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Return a copy with outputs kept and the runner's traces gone.

    Gone are injected cells, error banners, widget state and views (their text and picture stay),
    timing metadata and versions; cells are numbered from 1; PNG figures have a palette.
    """
    notebook = nbformat.from_dict(notebook)
    notebook.cells = [
        c for c in notebook.cells if not RUNNER_TAGS & set(c.metadata.get("tags", []))
    ]
    for key in RUNNER_METADATA:
        notebook.metadata.pop(key, None)
    notebook.metadata["kernelspec"] = dict(KERNEL)
    notebook.metadata["language_info"] = dict(LANGUAGE)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in notebook.cells:
        for key in RUNNER_METADATA:
            cell.metadata.pop(key, None)
    for number, cell in enumerate(code, start=1):
        _clean_cell(cell, number)
    return notebook


def fitted(notebook: NotebookNode, *, max_bytes: int = MAX_BYTES) -> NotebookNode:
    """Return the notebook small enough to be committed, with as many colours as that allows.

    Raises:
        ValueError: It is too large even with the smallest palette.
    """
    for colours in COLOURS:
        smaller = _with_palette(notebook, colours)
        size = len(nbformat.writes(smaller).encode())
        if size <= max_bytes:
            return smaller
    raise ValueError(
        f"a committed notebook holds at most {max_bytes / 1e6:.1f} MB, got {size / 1e6:.1f} MB: "
        "draw fewer or smaller figures (figsize, dpi), or print less."
    )


def machine_paths(notebook: NotebookNode) -> list[str]:
    """Return "cell N: PATH" for each path of this machine that an output shows."""
    found = []
    for number, cell in enumerate(notebook.cells):
        for text in _texts(cell):
            found += [f"cell {number}: {path}" for path in MACHINE_PATH.findall(text)]
            found += [f"cell {number}: {path}" for path, _ in _own_folders() if path in text]
    return list(dict.fromkeys(found))


def without_machine_paths(notebook: NotebookNode) -> NotebookNode:
    """Return a copy whose outputs name this machine's folders by role, such as ``<home>``."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for holder in (output, output.get("data", {})):
                for key, value in list(holder.items()):
                    if isinstance(value, str) and not key.startswith("image/"):
                        holder[key] = scrubbed(value)
            if "traceback" in output:
                output["traceback"] = [scrubbed(line) for line in output["traceback"]]
    return notebook


def scrubbed(text: str) -> str:
    """Replace the folders of this machine in a text by what they are."""
    for path, name in _own_folders():
        text = text.replace(path, name)
    return MACHINE_PATH.sub(lambda match: f"<path>/{Path(match.group()).name}", text)


def _own_folders() -> list[tuple[str, str]]:
    """Return this machine's folders with their stand-ins, the longest first."""
    named = {
        **{folder: "<packages>" for folder in site.getsitepackages()},
        sys.prefix: "<environment>",
        sys.base_prefix: "<python>",
        str(Path(fmtutor.__file__).resolve().parents[1]): "<fmtutor>",
        tempfile.gettempdir(): "<temporary>",
        os.path.expanduser("~"): "<home>",
    }
    return sorted(((k, v) for k, v in named.items() if len(k) > 4), key=lambda pair: -len(pair[0]))


def _clean_cell(cell: NotebookNode, number: int) -> None:
    cell.execution_count = number if cell.source.strip() else None
    kept: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = number
        if "data" in output:
            output.data.pop(WIDGET_VIEW, None)
            if not output.data:
                continue
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
            continue
        kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = _last_state(output.text)
    cell.outputs = kept


def _last_state(text: str) -> str:
    """Keep what a terminal would still show: a progress bar's last state only."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def _with_palette(notebook: NotebookNode, colours: int) -> NotebookNode:
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/png")
            if picture:
                output.data["image/png"] = palette_png(picture, colours)
    return notebook


def palette_png(picture: str, colours: int = 256) -> str:
    """Return a base64 PNG with at most this many colours; the given one where that is smaller."""
    raw = base64.b64decode(picture)
    image = Image.open(io.BytesIO(raw)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    image.save(packed, "PNG", optimize=True)
    return base64.b64encode(min(packed.getvalue(), raw, key=len)).decode()


def _texts(cell: NotebookNode) -> Iterator[str]:
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield "\n".join(output.get("traceback", []))
        for kind, value in output.get("data", {}).items():
            if isinstance(value, str) and not kind.startswith("image/"):
                yield value
