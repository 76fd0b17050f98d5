"""`browse` in JupyterLab in Chromium: scroll, click, and nothing leaves this machine."""

import ast
from urllib.parse import urlsplit

import nbformat
import pytest

from tests.widgets.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETUP = """
import numpy as np
from fmtutor.data.cases import Case
from fmtutor.widgets.browser import browse

image = np.random.default_rng(0).normal(0, 50, (40, 30, 20)).astype("f4")
labels = np.zeros(image.shape, "u1")
labels[10:20, 5:15, 5:12] = 5
case = Case(name="noise", image=image, affine=np.diag([2.0, 3.0, 4.0, 1.0]), labels=labels,
            table={5: "liver"}, known=frozenset({"liver"}))
view = browse(case, at=(20, 15, 10))
"""


@pytest.fixture
def notebook(tmp_path):
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, "view")]
    path = tmp_path / "work" / "tiny.ipynb"
    path.parent.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def _place(box, h: int, up: int, tall: int) -> dict[str, float]:
    """Return the point of a canvas over voxel (h, up): both axes run to the left and upwards."""
    return {
        "x": (1 - (h + 0.5) / 40) * box["width"],
        "y": (1 - (up + 0.5) / tall) * box["height"],
    }


def test_scrolling_and_clicking_reach_the_kernel(notebook, tmp_path, chromium_path):
    playwright = pytest.importorskip("playwright.sync_api")
    with Lab(tmp_path, notebook) as lab, playwright.sync_playwright() as driver:
        page, requests = lab.open(driver, chromium_path)
        lab.run_all(page)
        root = page.locator(".fmtutor-slices")
        page.wait_for_selector(".fmtutor-slices[data-ready=true]", timeout=60_000)
        axial = root.locator("canvas[data-plane=axial]")
        coronal = root.locator("canvas[data-plane=coronal]")
        axial.scroll_into_view_if_needed()
        axial.hover()
        page.mouse.wheel(0, -100)
        page.mouse.wheel(0, -100)
        page.wait_for_function(
            "document.querySelector('.fmtutor-slices').dataset.voxel.endsWith(',12')"
        )
        lab.wait_for(page, "view.voxel == (20, 15, 12)")
        box = axial.bounding_box()
        axial.click(position=_place(box, 12, 8, 30))
        lab.wait_for(page, "len(view.clicks) == 1")
        axial.click(position=_place(box, 31, 20, 30), button="right")
        lab.wait_for(page, "len(view.clicks) == 2")
        coronal.click(position=_place(coronal.bounding_box(), 5, 17, 20), modifiers=["Shift"])
        lab.wait_for(page, "len(view.clicks) == 3")
        page.screenshot(path=str(tmp_path / "lab.png"))
        clicks = lab.evaluate("[(c.voxel, c.button, c.shift) for c in view.clicks]")
        readout = root.inner_text()
    assert ast.literal_eval(clicks) == [
        ((12, 8, 12), "left", False),
        ((31, 20, 12), "right", False),
        ((5, 20, 17), "left", True),
    ]
    assert "voxel (5, 20, 17)" in readout
    assert "RAS (10.0, 60.0, 68.0) mm" in readout
    hosts = {urlsplit(url).hostname for url in requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}
