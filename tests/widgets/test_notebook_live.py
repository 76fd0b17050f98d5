"""Notebook 10 itself in JupyterLab in Chromium: run up to its tool, then clicked in."""

import ast
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from fmtutor.widgets.clicker import COLOURS
from tests.widgets.lab import ROOT, Lab, Planes, keep_times

# Slow: the fast tests click through the same tool in Chromium in test_clicker_live.py, and
# `make test` runs the notebook's own cells.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("samples")]

NOTEBOOK = ROOT / "notebooks/10_interactive_3d.ipynb"
TOOL = "clicker"
"""Tag of the cell that shows the tool."""
TWINS = "[(n, c.voxel, c.positive) for n in session.structures for c in session.prompts(n).clicks]"
"""What the cell after the tool reads: the list of clicks, never the tool."""
FILL = 0.4
"""Share of a structure's colour in a painted pixel."""
CALM = (
    "(lambda at: at[:: max(1, len(at) // 400)].tolist())(__import__('numpy').argwhere("
    "__import__('scipy.ndimage').ndimage.binary_erosion({mask}, iterations=3)))"
)
"""Places of a slice around which a mask does not change: which voxel a pixel takes is no matter."""


@pytest.fixture
def notebook(tmp_path) -> Path:
    """The notebook up to its tool, without outputs, alone in a folder."""
    whole = nbformat.read(NOTEBOOK, as_version=4)
    (tool,) = [cell for cell in whole.cells if TOOL in cell.metadata.get("tags", [])]
    whole.cells = [*takewhile(lambda cell: cell is not tool, whole.cells), tool]
    for cell in whole.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    path = tmp_path / "work" / NOTEBOOK.name
    path.parent.mkdir()
    nbformat.write(whole, path)
    return path


def test_notebook_10_is_run_and_clicked(notebook, tmp_path, chromium_path):
    with Lab(tmp_path, notebook) as lab, sync_playwright() as driver:
        page, requests = lab.open(driver, chromium_path)
        lab.run_all(page)
        planes = Planes(page)
        assert planes.shape == (512, 512, 20)
        scripted = ast.literal_eval(lab.evaluate(TWINS))
        assert len(scripted) == len(ast.literal_eval(lab.evaluate("clicks"))) > 3
        mine = [("spleen", (150, 200, 10), True), ("spleen", (300, 230, 9), False)]
        times = _click(planes, mine)
        keep_times(times, "notebook_10_click_to_mask_ms", "notebook 10, 512 x 512 x 20 voxels")
        assert any(time > 0 for time in times)
        told = ast.literal_eval(lab.evaluate(TWINS))
        assert [click for click in told if click not in scripted] == mine
        events = lab.evaluate("[event['do'] for event in session.log.events[-2:]]")
        assert ast.literal_eval(events) == ["click", "click"]
        _look(lab, planes)
        planes.canvas("axial").focus()
        planes.prompt(lambda: page.keyboard.press("Control+z"))
        assert ast.literal_eval(lab.evaluate(TWINS)) == [c for c in told if c != mine[-1]]
    hosts = {urlsplit(url).hostname for url in requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def _click(planes: Planes, clicks) -> list[float]:
    """Click with the left button inside, with the right one outside; return the milliseconds."""
    return [
        planes.prompt(
            lambda at=voxel, sign=positive: planes.click(
                "axial", at, button="left" if sign else "right"
            )
        )
        for _, voxel, positive in clicks
    ]


def _look(lab: Lab, planes: Planes) -> None:
    """The paint on the canvas is the mask in the kernel, of the largest structure of the slice."""
    depth = int(planes.data("voxel").split(",")[2])
    areas = ast.literal_eval(
        lab.evaluate(f"[int(session.mask(n)[..., {depth}].sum()) for n in session.structures]")
    )
    number = areas.index(max(areas))
    if lab.evaluate(f"session.active == session.structures[{number}]") != "True":
        planes.canvas("axial").focus()
        planes.prompt(lambda: planes.page.keyboard.press(str(number + 1)))
    mask = f"session.mask(session.structures[{number}])[..., {depth}]"
    free = f"~sum(session.mask(n)[..., {depth}] for n in session.structures).astype(bool)"
    inside = _some(lab, planes, mask)
    assert inside, "no mask was large enough to be looked at"
    colour = [int(COLOURS[number][at : at + 2], 16) for at in (1, 3, 5)]
    for place in inside:
        pixel = planes.pixel("axial", (*place, depth))
        greys = [part - FILL * ink for part, ink in zip(pixel, colour, strict=True)]
        assert max(greys) - min(greys) <= 4, (place, pixel)
    for place in _some(lab, planes, free):
        pixel = planes.pixel("axial", (*place, depth))
        assert max(pixel) - min(pixel) <= 2, (place, pixel)


def _some(lab: Lab, planes: Planes, mask: str, count: int = 5) -> list[tuple[int, int]]:
    """Return places well within a mask of a slice, away of the cross-hair and of all clicks."""
    h, w, _ = map(int, planes.data("voxel").split(","))
    at = ast.literal_eval(lab.evaluate(CALM.format(mask=mask)))
    marks = [voxel[:2] for _, voxel, _ in ast.literal_eval(lab.evaluate(TWINS))]
    free = [
        (a, b)
        for a, b in at
        if abs(a - h) > 5
        and abs(b - w) > 5
        and all(abs(a - x) > 20 or abs(b - y) > 20 for x, y in marks)
    ]
    return free[:: max(1, len(free) // count)][:count]
