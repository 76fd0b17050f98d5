import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fmtutor.core.files import read_json, write_json
from fmtutor.data.cases import Case
from fmtutor.engine.prompt_log import fingerprint_of, from_runs, read_log, to_runs
from fmtutor.engine.session import Session, replay
from tests.engine.promptable_network import NearAndAlike


@pytest.fixture
def case():
    image = np.random.default_rng(3).normal(0, 60, (30, 28, 14)).astype(np.float32)
    return Case(name="noise", image=image, affine=np.diag([2.0, 2.0, 4.0, 1.0]))


def _session(case, **options):
    given = {"roi": "auto_zoom", "structures": ("one", "two"), **options}
    return Session(NearAndAlike(alike=2.0), case, **given)


def _long_dialogue(session):
    session.click((14, 14, 7))
    session.click((20, 14, 7))
    session.click((17, 14, 7), positive=False)
    session.undo()
    session.box((3, 3, 3), (9, 9, 6), structure="two")
    stroke = np.zeros(session.case.image.shape, bool)
    stroke[5, 4:20, 5] = True
    session.scribble(stroke, structure="two")
    session.add("three")
    session.start_from(np.roll(stroke, 3, axis=0))
    session.click(np.array([8, 10, 5]))
    session.clear("one")
    session.undo()
    session.redo()
    session.undo()
    session.refine("one")


def test_a_replayed_log_gives_the_same_masks(case, tmp_path):
    session = _session(case, weights={"name": "none"})
    _long_dialogue(session)
    assert all(session.mask(name).any() for name in session.structures)
    session.log.save(tmp_path / "log.json")
    again = replay(tmp_path / "log.json", NearAndAlike(alike=2.0), case)
    assert again.structures == session.structures
    for name in session.structures:
        assert np.array_equal(again.mask(name), session.mask(name))
        assert again.prompts(name).clicks == session.prompts(name).clicks
    plain = [
        {k: v for k, v in e.items() if k not in ("at_s", "seconds")} for e in session.log.events
    ]
    assert plain == [
        {k: v for k, v in e.items() if k not in ("at_s", "seconds")} for e in again.log.events
    ]
    assert again.log.weights == {"name": "none"}


def test_the_log_states_what_the_answers_depend_on(case):
    session = _session(case, roi="first_click", spacing_mm=2.0)
    session.click((14, 14, 7))
    log = session.log.as_dict()
    assert {"fmtutor", "torch", "numpy"} <= set(log["versions"])
    assert log["case"]["sha256"] == fingerprint_of(case)
    assert log["settings"]["roi"] == "first_click"
    assert log["settings"]["size"] == [16, 16, 16]
    event = log["events"][0]
    assert event["do"] == "click"
    assert event["voxel"] == [14, 14, 7]
    assert event["positive"] is True
    assert event["seconds"] > 0


def test_each_step_is_saved_where_that_is_wanted(case, tmp_path):
    path = tmp_path / "auto.json"
    session = _session(case, autosave=path)
    session.click((14, 14, 7))
    session.click((16, 14, 7))
    lost = session.mask().copy()
    del session
    assert np.array_equal(replay(path, NearAndAlike(alike=2.0), case).mask(), lost)


def test_a_log_of_another_case_is_refused(case):
    session = _session(case)
    session.click((14, 14, 7))
    other = case.with_image(case.image + 1)
    with pytest.raises(ValueError, match="its own case"):
        replay(session.log, NearAndAlike(), other)


def test_what_is_no_log_is_refused(case, tmp_path):
    (tmp_path / "no.json").write_text("{")
    with pytest.raises(ValueError, match="no JSON"):
        read_log(tmp_path / "no.json")
    write_json(tmp_path / "other.json", {"a": 1})
    with pytest.raises(ValueError, match="holds case"):
        read_log(tmp_path / "other.json")
    session = _session(case)
    session.log.save(tmp_path / "old.json")
    write_json(tmp_path / "old.json", {**read_json(tmp_path / "old.json"), "format": 0})
    with pytest.raises(ValueError, match="format"):
        read_log(tmp_path / "old.json")
    session.log.add("explode")
    with pytest.raises(ValueError, match="explode"):
        replay(session.log, NearAndAlike(), case)


@settings(max_examples=40, deadline=None)
@given(arrays(bool, st.tuples(*[st.integers(1, 5)] * 3)))
def test_masks_survive_as_runs(mask):
    assert np.array_equal(from_runs(to_runs(mask)), mask)
