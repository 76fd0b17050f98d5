"""`browse` without a browser: the picture, the scripted clicks, and what is sent to the page."""

import base64

import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.widgets.browser import Click, browse

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(autouse=True)
def _batch(monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "0")


def _case(modality: str = "CT") -> Case:
    labels = np.zeros((12, 20, 8), dtype=np.uint8)
    labels[2:6, 3:9, 1:5] = 5
    labels[8:10, 3:6, 1:3] = 1
    return Case(
        name="blocks",
        image=np.arange(labels.size, dtype=np.float32).reshape(labels.shape) / 3 - 300,
        affine=np.diag([2.0, 1.0, 4.0, 1.0]),
        modality=modality,
        labels=labels,
        table={1: "spleen", 5: "liver"},
        known=frozenset({"spleen", "liver"}),
    )


def _sent(monkeypatch, browser):
    """Return what the front end is sent when it says that it is ready."""
    sent = []
    view = browser.view()
    monkeypatch.setattr(view, "send", lambda content, buffers: sent.append((content, buffers)))
    browser._message(view, {"kind": "ready"}, [])
    return sent[0]


def test_batch_shows_a_picture_and_no_widget():
    bundle = browse(_case())._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png"}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_live_shows_a_widget_and_keeps_the_picture_for_the_saved_page(monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "1")
    assert {VIEW, "text/plain", "image/png"} <= set(browse(_case())._repr_mimebundle_())


def test_the_widget_state_holds_no_voxels():
    state = browse(_case()).view().get_state()
    own = {name: value for name, value in state.items() if name not in ("_esm", "_css")}
    assert len(repr(own)) < 3000
    assert not any(isinstance(value, bytes | bytearray | memoryview) for value in state.values())


def test_the_page_gets_the_case_voxel_for_voxel(monkeypatch):
    case = _case()
    content, (image, labels) = _sent(monkeypatch, browse(case, labels=["spleen"]))
    assert content == {"kind": "volume", "image": "i2", "labels": "u2"}
    shape = case.image.shape
    assert np.array_equal(np.frombuffer(image, "<i2").reshape(shape), np.round(case.image))
    assert np.array_equal(np.frombuffer(labels, "<u2").reshape(shape) == 1, case.mask("spleen"))


def test_mr_keeps_its_fractions(monkeypatch):
    case = _case("MR")
    content, (image, _) = _sent(monkeypatch, browse(case))
    assert content["image"] == "f4"
    assert np.array_equal(np.frombuffer(image, "<f4").reshape(case.image.shape), case.image)


def test_a_click_from_the_page_and_one_from_a_script_do_the_same():
    browser, heard = browse(_case()), []
    browser.on_click(heard.append)
    message = {"kind": "click", "voxel": [3, 4, 2], "button": "right", "shift": True}
    browser._message(browser.view(), message, [])
    browser.click((5, 6, 1))
    assert heard == browser.clicks == [Click((3, 4, 2), "right", True), Click((5, 6, 1))]
    assert browser.voxel == (5, 6, 1)
    assert browser.view().voxel == [5, 6, 1]


def test_scrolling_in_the_page_moves_the_voxel():
    browser = browse(_case(), at=(1, 2, 3))
    assert browser.voxel == (1, 2, 3)
    browser.view().voxel = [1, 2, 4]
    assert browser.voxel == (1, 2, 4)


@pytest.mark.parametrize("voxel", [(12, 0, 0), (0, -1, 0), (0, 0)])
def test_a_click_outside_is_refused(voxel):
    with pytest.raises(ValueError, match="inside the volume"):
        browse(_case()).click(voxel)


def test_an_unknown_button_is_refused():
    with pytest.raises(ValueError, match="mouse button"):
        browse(_case()).click((0, 0, 0), button="wheel")


def test_without_labels_there_are_no_structures():
    view = browse(_case(), labels=False).view()
    assert view.structures == []
    assert view.voxel == [6, 10, 4]
