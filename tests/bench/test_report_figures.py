"""Figures of an executed notebook become files beside the report; those of an earlier run go."""

import base64

import nbformat

from fmtutor.bench.report_figures import figures, write_figures

v4 = nbformat.v4


def _notebook(*kinds: str) -> nbformat.NotebookNode:
    data = {"image/png": base64.b64encode(b"png").decode(), "image/svg+xml": "<svg/>"}
    outputs = [v4.new_output("display_data", data={kind: data[kind]}) for kind in kinds]
    cell = v4.new_code_cell("axes.set_title('loss')", outputs=outputs)
    return v4.new_notebook(cells=[v4.new_markdown_cell("# Title"), cell])


def test_each_picture_is_a_figure_with_its_text_and_its_bytes():
    found = list(figures(_notebook("image/png", "image/svg+xml")))
    assert [(f.suffix, f.content) for f in found] == [(".png", b"png"), (".svg", b"<svg/>")]
    assert {figure.text for figure in found} == {"Title: plot of loss"}


def test_figures_of_an_earlier_run_are_removed(tmp_path):
    write_figures(_notebook("image/png", "image/png"), tmp_path, name="01_a")
    written = write_figures(_notebook("image/svg+xml"), tmp_path, name="01_a")
    assert written == [("figures/01_a/01.svg", "Title: plot of loss")]
    assert [path.name for path in (tmp_path / "figures" / "01_a").iterdir()] == ["01.svg"]


def test_a_notebook_without_pictures_leaves_no_folder(tmp_path):
    assert write_figures(v4.new_notebook(), tmp_path, name="01_a") == []
    assert not (tmp_path / "figures").exists()
