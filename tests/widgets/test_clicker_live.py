"""`annotate` in JupyterLab in Chromium: every way to prompt, what is painted, and how soon."""

import ast
import json
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from fmtutor.widgets.clicker import COLOURS
from tests.widgets.lab import Lab, Planes, keep_times

pytestmark = pytest.mark.browser

TILTED = """
import nibabel as nib
import numpy as np
from fmtutor.data.nifti import read_nifti
from fmtutor.widgets.clicker import annotate
from tests.widgets.fake_session import FakeSession

stored = np.full((40, 30, 20), 40, "i2")  # to the left, to the back, to the head
stored[33:36, 4:7, 14:17] = 1000  # at the patient's left, at the front, near the head
tilt = np.deg2rad(10)
affine = np.eye(4)
affine[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
affine = affine @ np.diag([-2.0, -3.0, 4.0, 1.0])
nib.save(nib.Nifti1Image(stored, affine), "tilted.nii.gz")
case = read_nifti("tilted.nii.gz")
session = FakeSession(case, ("liver", "my lesion"))
clicker = annotate(session)
told = lambda: [(c.voxel, c.positive) for c in session.prompts("liver").clicks]
"""
LARGE = """
import numpy as np
from fmtutor.data.cases import Case
from fmtutor.widgets.clicker import annotate
from tests.widgets.fake_session import FakeSession

image = np.full((192, 256, 256), 40, "f4")
case = Case(name="large", image=image, affine=np.diag([1.6, 1.4, 1.5, 1.0]))
session = FakeSession(case)
clicker = annotate(session)
"""
GREY = (40 + 160) / 400 * 255
"""What 40 HU look like in the soft tissue window."""


@pytest.fixture
def notebook(tmp_path):
    def write(*cells: str) -> Path:
        made = [nbformat.v4.new_code_cell(cell) for cell in cells]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = tmp_path / "work" / "clicks.ipynb"
        path.parent.mkdir()
        nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}), path)
        return path

    return write


def _painted(pixel, structure: int = 0) -> bool:
    """Tell whether a pixel is grey tissue under the paint of the active structure."""
    colour = [int(COLOURS[structure][at : at + 2], 16) for at in (1, 3, 5)]
    wanted = [0.6 * GREY + 0.4 * part for part in colour]
    return all(abs(a - b) <= 2 for a, b in zip(pixel, wanted, strict=True))


def _bare(pixel) -> bool:
    return all(abs(part - GREY) <= 2 for part in pixel)


def test_prompts_of_mouse_and_keyboard_are_answered_in_place(notebook, tmp_path, chromium_path):
    cells = notebook(TILTED, "clicker", "annotate(session)")
    with Lab(tmp_path, cells) as lab, sync_playwright() as driver:
        page, requests = lab.open(driver, chromium_path)
        lab.run_all(page)
        planes = Planes(page)
        _look_at_the_landmark(planes)
        _click_with_every_button(lab, planes)
        _move_the_cross_hair(lab, planes)
        _draw_a_box(lab, planes)
        _work_by_keyboard_alone(lab, planes)
        _use_the_buttons(lab, planes)
        other = Planes(page, ".fmtutor-clicker >> nth=1")
        assert lab.evaluate("bool(session.mask('spleen').any())") == "True"
        assert other.root.locator("[data-structure=spleen]").count() == 1
        assert other.status().startswith("spleen: ")
    hosts = {urlsplit(url).hostname for url in requests if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def _look_at_the_landmark(planes: Planes) -> None:
    """A tilted file stored to the left and back is shown upright, in millimetres."""
    assert planes.shape == (40, 30, 20)
    sizes = {name: planes.canvas(name).bounding_box() for name in Planes.AXES}
    assert sizes["axial"]["width"] / sizes["axial"]["height"] == pytest.approx(80 / 90, rel=0.01)
    assert sizes["coronal"]["width"] / sizes["coronal"]["height"] == pytest.approx(1, rel=0.01)
    assert sizes["sagittal"]["width"] == pytest.approx(sizes["axial"]["height"], rel=0.01)
    landmark = (5, 24, 15)  # in RAS: the file's (34, 5, 15)
    at = planes.place("axial", landmark)
    assert at["x"] > 0.8 * sizes["axial"]["width"]  # the patient's left is at the right
    assert at["y"] < 0.2 * sizes["axial"]["height"]  # the front is at the top
    planes.scroll_to("axial", landmark)
    assert planes.pixel("axial", landmark) == (255, 255, 255)
    assert _bare(planes.pixel("axial", (34, 5, 15)))


def _click_with_every_button(lab: Lab, planes: Planes) -> None:
    assert planes.prompt(lambda: planes.click("axial", (20, 12, 8))) > 0
    assert planes.prompt(lambda: planes.click("axial", (20, 14, 8), button="right")) > 0
    planes.prompt(lambda: planes.click("coronal", (29, 14, 3), modifiers=["Shift"]))
    told = ast.literal_eval(lab.evaluate("told()"))
    assert told == [((20, 12, 8), True), ((20, 14, 8), False), ((29, 14, 3), False)]
    planes.scroll_to("axial", (0, 0, 8))
    held = ast.literal_eval(lab.evaluate("session.mask('liver')[15:27, 10, 8].tolist()"))
    assert True in held
    assert False in held
    for h, inside in enumerate(held, 15):
        pixel = planes.pixel("axial", (h, 10, 8))
        assert _painted(pixel) if inside else _bare(pixel)
    assert planes.status().startswith("liver: ")
    assert "3 clicks" in planes.status()


def _move_the_cross_hair(lab: Lab, planes: Planes) -> None:
    for voxel, how in (
        ((9, 21, 8), {"modifiers": ["Control"]}),
        ((30, 9, 8), {"button": "middle"}),
    ):
        planes.click("axial", voxel, **how)
        planes.wait(lambda at=voxel: planes.data("voxel") == "{},{},{}".format(*at), "the move")
    assert planes.data("waiting") == "0"
    assert lab.evaluate("len(told())") == "3"


def _draw_a_box(lab: Lab, planes: Planes) -> None:
    before = planes.data("voxel")
    planes.root.locator("input[type=number]").fill("2")
    planes.prompt(lambda: planes.drag("sagittal", (29, 20, 6), (29, 25, 12)))
    assert lab.evaluate("session.prompts('liver').box") == "((27, 20, 6), (31, 25, 12))"
    assert planes.data("voxel").split(",")[1:] == before.split(",")[1:]
    assert _painted(planes.pixel("sagittal", (29, 22, 9)))
    assert _bare(planes.pixel("sagittal", (29, 27, 9)))


def _work_by_keyboard_alone(lab: Lab, planes: Planes) -> None:
    keys = planes.page.keyboard
    planes.canvas("axial").focus()
    start = tuple(map(int, planes.data("voxel").split(",")))
    for key in ("ArrowLeft", "ArrowLeft", "ArrowDown", "PageUp"):
        keys.press(key)
    h, w, d = start[0] + 2, start[1] - 1, start[2] + 1
    planes.wait(lambda: planes.data("voxel") == f"{h},{w},{d}", "the walk")
    planes.prompt(lambda: keys.press("2"))
    planes.prompt(lambda: keys.press("Enter"))
    keys.press("PageDown")
    planes.prompt(lambda: keys.press("Shift+Enter"))
    planes.prompt(lambda: keys.press("-"))
    found = lab.evaluate("[(c.voxel, c.positive) for c in session.prompts('my lesion').clicks]")
    assert ast.literal_eval(found) == [
        ((h, w, d), True),
        ((h, w, d - 1), False),
        ((h, w, d - 1), False),
    ]
    planes.prompt(lambda: keys.press("Control+z"))
    assert lab.evaluate("len(session.prompts('my lesion').clicks)") == "2"
    planes.prompt(lambda: keys.press("Control+y"))
    assert lab.evaluate("len(session.prompts('my lesion').clicks)") == "3"
    keys.press("b")
    for key in ("ArrowRight", "ArrowUp", "PageUp"):
        keys.press(key)
    planes.prompt(lambda: keys.press("b"))
    wanted = f"(({h - 1}, {w}, {d - 1}), ({h}, {w + 1}, {d}))"
    assert lab.evaluate("session.prompts('my lesion').box") == wanted


def _use_the_buttons(lab: Lab, planes: Planes) -> None:
    def press(name: str) -> None:
        planes.prompt(lambda: planes.root.get_by_text(name, exact=True).click())

    press("clear")
    assert lab.evaluate("int(session.mask('my lesion').sum())") == "0"
    press("undo")
    press("undo")
    press("undo")
    press("undo")
    press("undo")
    assert "nothing to undo" in planes.status()
    press("redo")
    planes.root.get_by_placeholder("new structure").fill("spleen")
    press("add")
    assert lab.evaluate("session.active") == "'spleen'"
    planes.root.get_by_placeholder("new structure").fill("spleen")
    press("add")
    assert planes.status() == "refused: there is a spleen already."
    planes.prompt(lambda: planes.click("axial", (30, 6, 4)))
    assert _painted(planes.pixel("axial", (32, 8, 4)), structure=2)


def test_a_saved_notebook_opens_again_and_a_lost_kernel_is_told(notebook, tmp_path, chromium_path):
    path = notebook(LARGE, "clicker")
    with Lab(tmp_path, path) as lab, sync_playwright() as driver:
        page, _ = lab.open(driver, chromium_path, scale=2)
        lab.run_all(page)
        planes = Planes(page)
        voxels = [(60 + 15 * n, 200 - 31 * n, 128 + n % 2) for n in range(5)]
        times = [planes.prompt(lambda at=at: planes.click("axial", at)) for at in voxels]
        told = "[c.voxel for c in session.prompts('liver').clicks]"
        assert lab.evaluate(f"{told} == {voxels}") == "True"
        keep_times(times, "click_to_mask_ms", "192 x 256 x 256 voxels")
        assert median(times) < 300  # ms; the whole mask in place of its changed box takes more
        lab.save(page)
        assert _size_without_pictures(path) < 20_000
        lab.visit(page)
        planes = Planes(page)
        assert "5 clicks" in planes.status()
        planes.scroll_to("axial", voxels[0])
        h, w, d = voxels[0]
        assert _painted(planes.pixel("axial", (h + 4, w + 4, d)))
        assert _bare(planes.pixel("axial", (h + 12, w, d)))
        planes.prompt(lambda: planes.click("axial", (100, 30, d)))
        lab.evaluate("setattr(clicker.view(), 'patience_s', 0.5)")
        page.wait_for_timeout(300)
        lab.end_kernel()
        planes.click("axial", (90, 90, d))
        lost = "no answer from the kernel"
        planes.wait(lambda: planes.status().startswith(lost), "the plain message")


def _size_without_pictures(path: Path) -> int:
    """Return the characters of a saved notebook, the PNG pictures left out."""
    saved = json.loads(path.read_text(encoding="utf-8"))
    for cell in saved["cells"]:
        for output in cell["outputs"]:
            output.get("data", {}).pop("image/png", None)
    return len(json.dumps(saved))
