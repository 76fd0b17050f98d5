"""Tiny notebooks for the tests of notebook batches, and figures that do not outlive their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

v4 = nbformat.v4


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a notebook with a heading, parameters and these cells."""

    def write(name: str, *sources: str, parameters: str = "profile = 'quick'\nseed = 1") -> Path:
        cells = [v4.new_markdown_cell(f"# About {name}\n\ntext")]
        if parameters:
            cells.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        cells += [v4.new_code_cell(source) for source in sources]
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(v4.new_notebook(cells=cells), path)
        return path

    return write
