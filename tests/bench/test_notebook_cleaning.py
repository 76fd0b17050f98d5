"""What stays in an executed notebook and what goes."""

import base64
import io
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from fmtutor.bench.notebook_cleaning import (
    cleaned,
    fitted,
    machine_paths,
    palette_png,
    scrubbed,
    without_machine_paths,
)

v4 = nbformat.v4

HOME, TMP = "home", "tmp"  # spelled apart: no tracked file may hold such a path


def _notebook(*outputs, **metadata):
    cell = v4.new_code_cell("work()", outputs=list(outputs), execution_count=9, metadata=metadata)
    return v4.new_notebook(cells=[cell])


def _picture(size, colours=None):
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 4), dtype=np.uint8)
    if colours:
        pixels = (pixels // (256 // colours)) * (256 // colours)
    pixels[..., 3] = 255
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return base64.b64encode(packed.getvalue()).decode()


def test_runner_cells_and_metadata_go_and_the_authors_stay():
    notebook = _notebook(
        papermill={"duration": 1.0}, execution={"iopub.status.busy": "2026"}, tags=["keep"]
    )
    injected = v4.new_code_cell("profile = 'x'", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(0, injected)
    notebook.metadata.update(
        {"widgets": {"state": {}}, "papermill": {}, "authors": [{"name": "A"}]}
    )
    clean = cleaned(notebook)
    assert [(cell.source, dict(cell.metadata)) for cell in clean.cells] == [
        ("work()", {"tags": ["keep"]})
    ]
    assert set(clean.metadata) == {"authors", "kernelspec", "language_info"}
    assert clean.cells[0].execution_count == 1
    assert len(notebook.cells) == 2, "the given notebook is left alone"


def test_a_widget_leaves_its_text_and_picture():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}}
    both = v4.new_output("display_data", data={**view, "text/plain": "Slicer", "image/png": "AAAA"})
    alone = v4.new_output("display_data", data=view)
    clean = cleaned(_notebook(both, alone))
    assert [set(output.data) for output in clean.cells[0].outputs] == [{"text/plain", "image/png"}]


def test_streams_are_joined_and_a_progress_bar_keeps_its_last_state():
    parts = [
        v4.new_output("stream", name="stderr", text=text)
        for text in ("\r 0%", "\r50%", "\r100%\nend\n")
    ]
    (output,) = cleaned(_notebook(*parts)).cells[0].outputs
    assert output.text == "100%\nend\n"


def test_a_palette_keeps_a_picture_of_few_colours_exactly_and_makes_it_smaller():
    picture = _picture(64, colours=4)
    packed = palette_png(picture)
    assert len(packed) < len(picture)
    read = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(p))).convert("RGB"))
        for p in (picture, packed)
    ]
    np.testing.assert_array_equal(*read)


def test_a_notebook_is_fitted_or_refused():
    notebook = _notebook(v4.new_output("display_data", data={"image/png": _picture(200)}))
    plain = len(nbformat.writes(notebook))
    assert len(nbformat.writes(fitted(notebook))) < 0.5 * plain
    with pytest.raises(ValueError, match=r"at most 0\.0 MB.*draw fewer"):
        fitted(notebook, max_bytes=2000)


@pytest.mark.parametrize(
    "path",
    [
        f"/{HOME}/ann/data/a.nii",
        f"/{TMP}/ipykernel_12/3.py",
        "C:\\Users\\ann\\a",
        f"{sys.prefix}/lib/x.py",
    ],
)
def test_a_path_of_the_machine_is_found_and_can_be_scrubbed(path):
    notebook = _notebook(v4.new_output("stream", text=f"saved to {path}, done"))
    assert machine_paths(notebook)[0].startswith("cell 0: ")
    clean = without_machine_paths(notebook)
    assert machine_paths(clean) == []
    assert clean.cells[0].outputs[0].text.endswith(", done")


@pytest.mark.parametrize(
    "text",
    [f"https://example.org/{HOME}/ann", "runs/tmp/a.nii", "a/work/b", "~/.cache/fmtutor", "1/2"],
)
def test_addresses_and_relative_paths_are_no_machine_paths(text):
    assert machine_paths(_notebook(v4.new_output("stream", text=text))) == []


def test_tracebacks_are_scrubbed_too():
    error = v4.new_output(
        "error", ename="E", evalue="v", traceback=[f"File {Path.home()}/deep/x.py"]
    )
    clean = without_machine_paths(_notebook(error))
    assert clean.cells[0].outputs[0].traceback == ["File <home>/deep/x.py"]


def test_scrubbing_names_the_longest_folder():
    assert scrubbed(f"{sys.prefix}/bin/python") == "<environment>/bin/python"
