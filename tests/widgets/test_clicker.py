"""`annotate` without a browser: what the page is sent, what its messages do, and the picture."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from fmtutor.data.cases import Case
from fmtutor.engine.session import Session
from fmtutor.widgets.clicker import COLOURS, MAX_STRUCTURES, annotate
from tests.engine.promptable_network import NearAndAlike
from tests.widgets.fake_session import FakeSession, Point

VIEW = "application/vnd.jupyter.widget-view+json"
SHAPE = (30, 40, 12)


@pytest.fixture(autouse=True)
def _batch(monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "0")


@pytest.fixture
def case() -> Case:
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE) / 40 - 200
    return Case(name="ramp", image=image, affine=np.diag([2.0, 1.0, 5.0, 1.0]))


class Page:
    """Stands in for the front end: keeps the masks that the messages describe."""

    def __init__(self, clicker, monkeypatch):
        self.sent: list[dict] = []
        self.sizes: list[int] = []
        self.masks: dict[int, np.ndarray] = {}
        self._view, self._clicker = clicker.view(), clicker
        monkeypatch.setattr(self._view, "send", self._receive)

    def ask(self, kind, **details):
        """Send a message and return the error that the kernel answers with."""
        message = {"kind": kind, "id": f"page-{len(self.sent)}", **details}
        self._clicker._message(self._view, message, [])
        last = self.sent[-1]
        assert (last["kind"], last["id"]) == ("done", message["id"])
        return last["error"]

    def click(self, voxel, positive=True, structure="liver"):
        return self.ask("click", voxel=voxel, positive=positive, structure=structure)

    @property
    def state(self):
        return next(content for content in reversed(self.sent) if content["kind"] == "change")

    def _receive(self, content, buffers=()):
        self.sent.append(content)
        self.sizes.append(sum(map(len, buffers)))
        if content["kind"] == "volume":
            self.masks.clear()
        if patch := content.get("patch"):
            box = tuple(map(slice, patch["low"], patch["high"]))
            mask = self.masks.setdefault(patch["number"], np.zeros(SHAPE, dtype=bool))
            bits = np.unpackbits(np.frombuffer(buffers[0], np.uint8), count=mask[box].size)
            mask[box] = bits.reshape(mask[box].shape)


@pytest.fixture
def session(case):
    return FakeSession(case, ("liver", "my lesion"))


@pytest.fixture
def page(session, monkeypatch):
    made = Page(annotate(session), monkeypatch)
    made.ask("ready")
    return made


def test_a_batch_shows_a_picture_and_no_widget(session):
    bundle = annotate(session)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "image/png"}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert "liver 0.0 ml" in bundle["text/plain"]


def test_live_shows_a_widget_and_keeps_the_picture(session, monkeypatch):
    monkeypatch.setenv("FMTUTOR_INTERACTIVE", "1")
    assert {VIEW, "text/plain", "image/png"} <= set(annotate(session)._repr_mimebundle_())


def test_the_picture_shows_masks_and_prompts(session):
    def pixels():
        return np.asarray(Image.open(io.BytesIO(annotate(session, at=(15, 20, 6)).picture())))

    def painted(hex_colour):
        rgb = np.array([int(hex_colour[at : at + 2], 16) for at in (1, 3, 5)])
        return int((np.abs(pixels()[..., :3].astype(int) - rgb).max(-1) < 40).sum())

    empty = painted(COLOURS[1])
    session.click((15, 20, 6), structure="my lesion")
    assert painted(COLOURS[1]) > empty + 100


def test_the_widget_state_holds_no_voxels_and_no_prompts(page, session):
    page.click([15, 20, 6])
    state = annotate(session).view().get_state()
    own = {name: value for name, value in state.items() if name not in ("_esm", "_css")}
    assert len(repr(own)) < 3000
    assert not any(isinstance(value, bytes | bytearray | memoryview) for value in state.values())


def test_a_ready_page_gets_image_and_masks_as_they_are(session, case, monkeypatch):
    session.click((15, 20, 6))
    session.click((5, 9, 2), structure="my lesion")
    page = Page(annotate(session), monkeypatch)
    sent = []
    monkeypatch.setattr(page._view, "send", lambda c, buffers=(): sent.append((c, buffers)))
    page._clicker._message(page._view, {"kind": "ready", "id": "a"}, [])
    (image,) = next(buffers for content, buffers in sent if content["kind"] == "volume")
    assert np.array_equal(np.frombuffer(image, "<i2").reshape(SHAPE), np.round(case.image))
    for content, buffers in sent:
        page._receive(content, buffers)
    assert np.array_equal(page.masks[1], session.mask("liver"))
    assert np.array_equal(page.masks[2], session.mask("my lesion"))


def test_a_click_reaches_the_session_and_only_the_changed_box_comes_back(page, session):
    assert page.click([15, 20, 6]) == ""
    assert session.prompts("liver").clicks == (Point((15, 20, 6), True),)
    assert page.sent[-3]["kind"] == "working"
    assert page.state["prompts"] == [[1, "point", [15, 20, 6], True]]
    assert np.array_equal(page.masks[1], session.mask("liver"))
    assert 0 < page.sizes[-2] < np.prod(SHAPE) / 8


def test_signs_boxes_undo_redo_and_clear_do_what_the_session_does(page, session):
    page.click([15, 20, 6])
    first = session.mask("liver").copy()
    page.click([15, 22, 6], positive=False)
    assert not page.masks[1][15, 22, 6]
    page.ask("undo")
    assert np.array_equal(page.masks[1], first)
    page.ask("redo")
    assert not page.masks[1][15, 22, 6]
    page.ask("box", low=[1, 2, 3], high=[4, 6, 3], structure="my lesion")
    assert session.prompts("my lesion").box == ((1, 2, 3), (4, 6, 3))
    assert page.masks[2].sum() == 4 * 5 * 1
    page.ask("clear", structure="liver")
    assert not page.masks[1].any()
    assert page.state["prompts"] == [[2, "box", [1, 2, 3], [4, 6, 3]]]


def test_clearing_everything_repaints_every_structure(page, session):
    page.click([15, 20, 6])
    page.click([5, 9, 2], structure="my lesion")
    session.clear()
    assert not page.masks[1].any()
    assert not page.masks[2].any()
    assert [entry[3] for entry in page.state["structures"]] == [0, 0]


def test_what_there_is_to_know_about_a_step_is_told_once(page):
    page.ask("undo")
    assert page.sent[-1]["note"] == "nothing to undo"
    page.ask("clear", structure="liver")
    assert page.state["note"] == page.sent[-1]["note"] == "cleared"


def test_the_state_counts_voxels_and_millilitres(page, session):
    page.ask("box", low=[1, 2, 3], high=[4, 6, 3], structure="liver")
    assert page.state["structures"] == [
        [1, "liver", COLOURS[0], 20, pytest.approx(0.2)],
        [2, "my lesion", COLOURS[1], 0, 0.0],
    ]


def test_structures_are_added_and_chosen(page, session):
    assert page.ask("add", name="spleen") == ""
    assert session.structures == ("liver", "my lesion", "spleen")
    assert session.active == page.state["active"] == "spleen"
    page.ask("choose", name="my lesion")
    assert session.active == page.state["active"] == "my lesion"
    page.click([3, 4, 5], structure="spleen")
    assert np.array_equal(page.masks[3], session.mask("spleen"))


def test_a_refused_prompt_is_told_and_changes_nothing(case, monkeypatch):
    session = FakeSession(case, boxes=False)
    page = Page(annotate(session), monkeypatch)
    page.ask("ready")
    error = page.ask("box", low=[1, 2, 3], high=[4, 6, 3], structure="liver")
    assert error == "this system takes no boxes; click instead."
    assert "inside the volume" in page.click([30, 0, 0])
    assert session.log == []


def test_a_broken_session_is_told_to_the_page_and_to_the_log(page, session, monkeypatch):
    monkeypatch.setattr(session, "undo", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.ask("undo")
    assert page.sent[-1]["error"] == "ZeroDivisionError: division by zero"


def test_a_click_from_a_script_repaints_and_moves_the_cross_hair(page, session):
    session.click((3, 4, 5))
    assert np.array_equal(page.masks[1], session.mask("liver"))
    assert page._clicker.voxel == (3, 4, 5)
    session.box((10, 10, 2), (20, 20, 4))
    assert page._clicker.voxel == (15, 15, 3)
    session.undo()
    assert page._clicker.voxel == (15, 15, 3)


def test_a_click_in_the_page_leaves_the_cross_hair_to_the_page(page):
    before = page._clicker.voxel
    page.click([3, 4, 5])
    assert page._clicker.voxel == before


def test_two_clickers_of_one_session_both_repaint(session, page, monkeypatch):
    other = Page(annotate(session), monkeypatch)
    other.ask("ready")
    page.click([15, 20, 6])
    other.click([5, 9, 2], structure="my lesion")
    for number, name in enumerate(session.structures, 1):
        assert np.array_equal(page.masks[number], session.mask(name))
        assert np.array_equal(other.masks[number], session.mask(name))


def test_a_page_that_is_not_ready_is_sent_nothing(session, monkeypatch):
    page = Page(annotate(session), monkeypatch)
    session.click((3, 4, 5))
    assert page.sent == []


def test_the_first_voxel_is_where_masks_are_and_must_lie_inside(session):
    assert annotate(session).voxel == (15, 20, 6)
    session.click((10, 15, 5))
    assert annotate(session).voxel == (10, 15, 5)
    with pytest.raises(ValueError, match="inside the volume"):
        annotate(session, at=(30, 0, 0))


def test_more_structures_than_the_page_can_show_are_refused(case, monkeypatch):
    names = [f"lesion {number}" for number in range(MAX_STRUCTURES)]
    page = Page(annotate(FakeSession(case, names)), monkeypatch)
    assert "at most 31 structures" in page.ask("add", name="one more")
    with pytest.raises(ValueError, match="at most 31 structures"):
        annotate(FakeSession(case, [*names, "one more"]))


def test_a_session_of_a_network_is_shown_and_driven(monkeypatch):
    image = np.full(SHAPE, -100.0, np.float32)
    image[8:14, 8:14, 4:9] = 150.0
    case = Case(name="block", image=image, affine=np.diag([3.0, 3.0, 3.0, 1.0]))
    session = Session(
        NearAndAlike(), case, structures=("a", "b"), roi="first_click", spacing_mm=3.0
    )
    page = Page(annotate(session), monkeypatch)
    page.ask("ready")
    assert page.click([10, 10, 6], structure="a") == ""
    page.ask("box", low=[8, 8, 4], high=[13, 13, 8], structure="b")
    assert page.masks[1].any()
    for number, name in enumerate("ab", 1):
        assert np.array_equal(page.masks[number], session.mask(name))
    session.clear()
    assert not page.masks[1].any()
    page.ask("undo")
    for number, name in enumerate("ab", 1):
        assert np.array_equal(page.masks[number], session.mask(name))
    assert [kind for _, kind, *_ in page.state["prompts"]] == ["point", "box"]
    assert "inside the volume" in page.click([99, 0, 0], structure="a")
    assert page.ask("add", name="c") == ""
    assert session.active == "c"
    assert annotate(session).picture().startswith(b"\x89PNG")
