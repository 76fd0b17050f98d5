"""Alternative texts: from docstrings of drawing functions, from labels, or the heading alone."""

from pathlib import Path

import nbformat
import pytest

from fmtutor.bench.figure_texts import LONGEST, figure_texts

v4 = nbformat.v4
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
IMPORTS = """from fmtutor.bench import figures_partial as figures
from fmtutor.widgets.browser import browse"""


def text_of(*sources: str) -> tuple[str, str]:
    """Return text and origin of the last cell's figures, below one heading."""
    cells = [v4.new_markdown_cell("# Title\n\n## 2 · Part\n\nwords")]
    cells += [v4.new_code_cell(source) for source in sources]
    found = figure_texts(v4.new_notebook(cells=cells))[len(sources)]
    return found.text, found.origin


def test_a_drawing_function_says_what_it_draws():
    text, origin = text_of(IMPORTS, "%matplotlib inline\nfigures.plot_centres();")
    assert (text.startswith("2 · Part: "), origin) == (True, "docstring")
    assert "structure" in text


def test_a_function_of_the_notebook_is_followed():
    own = "def mine():\n    return figures.plot_centres()"
    assert text_of(IMPORTS, own, "mine()") == text_of(IMPORTS, "figures.plot_centres()")


def test_two_modules_with_a_function_of_one_name_are_told_apart():
    texts = {
        text_of(f"from fmtutor.bench import {module} as m", "m.plot_readings()")[0]
        for module in ("figures_partial", "figures_candidates")
    }
    assert len(texts) == 2


def test_a_plot_of_the_cell_is_named_by_its_labels():
    source = 'axes.plot(x, label="loss"); axes.set(xlabel="step"); axes.set_title(f"{x} steps")'
    assert text_of(source) == ("2 · Part: plot of loss, step", "labels")


@pytest.mark.parametrize("source", ["plt.imshow(x)", "not python", "figures.unknown()", ""])
def test_the_heading_alone_is_said_to_be_that(source):
    assert text_of(source) == ("2 · Part", "heading")


def test_a_long_text_is_cut_between_words():
    text, _ = text_of(f'axes.set_title("{"word " * 200}")')
    assert len(text) <= LONGEST + 2
    assert text.endswith("word …")


def test_nearly_all_figures_of_the_workbook_are_described():
    origins = []
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, 4)
        texts = figure_texts(notebook)
        for number, cell in enumerate(notebook.cells):
            if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
                origins.append(texts[number].origin)
                assert texts[number].text
    assert origins.count("heading") <= 0.05 * len(origins)
