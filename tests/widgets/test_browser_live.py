"""`browse` in JupyterLab in Chromium: scroll, click, and nothing leaves this machine."""

import ast
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from tests.widgets.lab import Lab, Planes

pytestmark = pytest.mark.browser

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


def test_scrolling_and_clicking_reach_the_kernel(notebook, tmp_path, chromium_path):
    with Lab(tmp_path, notebook) as lab, sync_playwright() as driver:
        page, requests = lab.open(driver, chromium_path)
        lab.run_all(page)
        planes = Planes(page, ".fmtutor-slices")
        planes.scroll_to("axial", (0, 0, 12))
        lab.wait_for(page, "view.voxel == (20, 15, 12)")
        planes.click("axial", (12, 8, 12))
        lab.wait_for(page, "len(view.clicks) == 1")
        planes.click("axial", (31, 20, 12), button="right")
        lab.wait_for(page, "len(view.clicks) == 2")
        planes.click("coronal", (5, 20, 17), modifiers=["Shift"])
        lab.wait_for(page, "len(view.clicks) == 3")
        page.screenshot(path=str(tmp_path / "lab.png"))
        clicks = lab.evaluate("[(c.voxel, c.button, c.shift) for c in view.clicks]")
        readout = planes.root.inner_text()
    assert ast.literal_eval(clicks) == [
        ((12, 8, 12), "left", False),
        ((31, 20, 12), "right", False),
        ((5, 20, 17), "left", True),
    ]
    assert "voxel (5, 20, 17)" in readout
    assert "RAS (10.0, 60.0, 68.0) mm" in readout
    hosts = {urlsplit(url).hostname for url in requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}
