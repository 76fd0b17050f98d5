"""What the book is made of: notebooks with texts for their figures, tables, pages of modules."""

from pathlib import Path

import nbformat
import pytest

from book.pages import our_page, talk_page, write_api
from book.sources import (
    copy_documents,
    copy_notebooks,
    describe_figures,
    without_missing_links,
)
from fmtutor.bench.talk_tables import load_table, table_names

ROOT = Path(__file__).parents[2]
v4 = nbformat.v4
PNG = v4.new_output("display_data", data={"image/png": "aGk=", "text/plain": "<Figure>"})


def test_notebooks_are_copied_with_texts_for_their_figures_and_keep_their_outputs(tmp_path):
    copied = copy_notebooks(ROOT / "notebooks", tmp_path / "notebooks")
    assert list(copied.titles) == [p.stem for p in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert sum(copied.described.values()) > 100
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        there, here = nbformat.read(path, 4), nbformat.read(tmp_path / "notebooks" / path.name, 4)
        for before, after in zip(there.cells, here.cells, strict=True):
            assert before.get("outputs") == after.get("outputs")


def test_a_figure_without_drawing_function_or_label_is_counted_as_such():
    cells = [v4.new_markdown_cell("# Title"), v4.new_code_cell("plt.imshow(x)", outputs=[PNG])]
    notebook = v4.new_notebook(cells=cells)
    assert describe_figures(notebook) == {"heading": 1}
    assert notebook.cells[1].metadata["mystnb"] == {"image": {"alt": "Title"}}


def test_a_link_to_a_notebook_that_is_still_to_come_is_plain_text():
    text = "see [14 · Open](14_open.ipynb) and [00](00_a.ipynb)"
    expected = "see 14 · Open (to come) and [00](00_a.ipynb)"
    assert without_missing_links(text, {"00_a.ipynb"}) == expected


def test_a_folder_without_notebooks_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        copy_notebooks(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", table_names())
def test_a_page_of_a_talk_table_has_every_row_with_every_column(name):
    table, lines = load_table(name), talk_page(load_table(name)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == len(table.rows) + 2
    assert {line.replace("\\|", "").count("|") for line in rows} == {len(table.columns) + 1}


def test_a_table_of_ours_says_how_much_of_it_there_is(tmp_path):
    assert "0 of " in our_page("fseft-known", tmp_path / "none.json")
    committed = ROOT / "benchmarks" / "few_shot" / "results" / "known-quick.json"
    assert "| Method |" in our_page("fseft-known", committed)


def test_every_module_of_the_package_has_a_page(tmp_path):
    write_api(tmp_path / "api", package=ROOT / "fmtutor")
    assert (tmp_path / "api" / "m.fmtutor.losses.partial.rst").exists()
    page = (tmp_path / "api" / "losses.md").read_text()
    assert "[fmtutor.losses.partial](m.fmtutor.losses.partial.rst)" in page


def test_documents_come_with_all_that_they_link(tmp_path):
    root, target = tmp_path / "root", tmp_path / "target"
    texts = {
        "README.md": "[a](docs/a.md) [n](notebooks/00_a.ipynb) [out](https://example.org/x.md)",
        "CONTRIBUTING.md": "[gone](none.md)",
        "docs/a.md": "[b](../data/b.md#part) ![p](p.png)",
        "docs/p.png": "",
        "data/b.md": "[README](../README.md) [x](LICENSE)",
        "data/LICENSE": "",
        "data/not-linked.md": "",
        "notebooks/00_a.ipynb": "",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert copy_documents(root, target) == ["data/b", "docs/a"]
    copied = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    assert copied == set(texts) - {"data/not-linked.md", "notebooks/00_a.ipynb"}
