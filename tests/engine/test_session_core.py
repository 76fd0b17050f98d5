import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.engine import volume_asker
from fmtutor.engine.regions_of_interest import label_centre
from fmtutor.engine.session import Session
from tests.engine.promptable_network import EYE, NearAndAlike, ball_case


def _truth(case):
    return case.image > 0


@pytest.fixture
def network():
    return NearAndAlike()


@pytest.fixture
def session(network):
    return Session(
        network, ball_case(), structures=("ball", "other"), roi="first_click", spacing_mm=3.0
    )


def test_a_click_is_answered_on_the_cases_grid(session):
    step = session.click((10, 10, 6))
    assert np.array_equal(session.mask("ball"), _truth(session.case))
    assert step.structure == "ball"
    assert step.box == (slice(6, 15), slice(6, 15), slice(2, 11))
    assert "ml" in step.message
    assert not session.mask("other").any()


def test_the_image_is_embedded_once_a_region(session, network):
    session.click((10, 10, 6))
    session.click((11, 10, 6))
    session.click((14, 14, 6), positive=False)
    assert len(network.embedded) == 1
    assert [several for _, several in network.decoded] == [True, False, False]
    assert network.decoded[-1][0].points.shape == (1, 3, 3)
    assert network.decoded[-1][0].mask is not None
    session.click((30, 30, 6))
    assert len(network.embedded) == 2
    session.click((10, 9, 6))
    assert len(network.embedded) == 2


def test_a_click_outside_of_the_region_extends_the_answer_and_keeps_the_rest(session):
    session.click((10, 10, 6))
    before = session.mask("ball")
    session.click((33, 33, 6))
    after = session.mask("ball")
    assert (after & before).sum() == before.sum()
    assert after[33, 33, 6]


def test_structures_have_masks_and_prompts_of_their_own(session):
    session.click((10, 10, 6))
    session.click((12, 10, 6), structure="other")
    session.active = "other"
    session.box((20, 20, 4), (23, 23, 7))
    assert len(session.prompts("ball").clicks) == 1
    assert session.prompts("other").box == ((20, 20, 4), (23, 23, 7))
    assert session.mask("other")[20:24, 20:24, 4:8].all()
    labels, table = session.label_map()
    overlap = session.mask("ball") & session.mask("other")
    assert overlap.any()
    assert table == {1: "ball", 2: "other"}
    assert (labels[overlap] == 2).all()
    assert (session.label_map(("other", "ball"))[0][overlap] == 1).all()
    session.add("third")
    assert session.structures == ("ball", "other", "third")
    assert session.active == "third"


def test_undo_and_redo_put_back_exactly_what_was_there(session, network):
    masks, lows = [session.mask("ball")], []
    for voxel, positive in [((10, 10, 6), True), ((16, 10, 6), True), ((13, 10, 6), False)]:
        session.click(voxel, positive)
        masks.append(session.mask("ball"))
        lows.append(session.prompts("ball"))
    decoded = len(network.decoded)
    for expected in masks[-2::-1]:
        step = session.undo()
        assert np.array_equal(session.mask("ball"), expected)
    assert step.box is not None
    assert session.undo().message == "nothing to undo"
    for mask, asked in zip(masks[1:], lows, strict=True):
        session.redo()
        assert np.array_equal(session.mask("ball"), mask)
        assert session.prompts("ball") is asked
    assert session.redo().message == "nothing to redo"
    assert len(network.decoded) == decoded
    session.undo()
    session.click((5, 5, 5))
    assert session.redo().message == "nothing to redo"


def test_clearing_all_can_be_undone(session):
    session.click((10, 10, 6))
    session.click((30, 30, 6), structure="other")
    masks = [session.mask(name) for name in session.structures]
    session.clear()
    assert not any(session.mask(name).any() for name in session.structures)
    assert session.prompts("ball").clicks == ()
    session.undo()
    for name, mask in zip(session.structures, masks, strict=True):
        assert np.array_equal(session.mask(name), mask)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.click((40, 0, 0)), "inside|within|lies"),
        (lambda s: s.click((-1, 0, 0)), "inside|within|lies"),
        (lambda s: s.click((float("nan"), 0, 0)), "integer|whole"),
        (lambda s: s.click((1, 2)), "3|three"),
        (lambda s: s.click((10, 10, 6), positive=False), "inside or outside"),
        (lambda s: s.click((1, 1, 1), False, "other"), "starts with something inside"),
        (lambda s: s.click((1, 1, 1), True, "livr"), "unknown structure"),
        (lambda s: s.box((5, 5, 5), (3, 9, 9)), "ends after it starts"),
        (lambda s: s.box((5, 5, 5), (9, 9, 12)), "inside|within|lies"),
        (lambda s: s.scribble(np.zeros((40, 40, 12), bool)), "at least one stroke"),
        (lambda s: s.scribble(np.ones((4, 4, 4), bool)), "own grid"),
        (lambda s: s.start_from(np.ones((4, 4, 4), bool)), "own grid"),
        (lambda s: s.refine("other"), "mask to refine"),
        (lambda s: s.add("ball"), "names of their own"),
        (lambda s: s.text("liver"), "text"),
    ],
)
def test_a_malformed_prompt_is_refused_and_nothing_is_lost(session, ask, message):
    session.click((10, 10, 6))
    state, mask, log = session.prompts("ball"), session.mask("ball"), len(session.log)
    with pytest.raises(ValueError, match=message):
        ask(session)
    assert session.prompts("ball") is state
    assert session.mask("ball") is mask
    assert len(session.log) == log
    assert session.undo().message.startswith("ball")


def test_a_network_that_fails_changes_nothing(session, network, monkeypatch):
    session.click((10, 10, 6))
    state = session.prompts("ball")
    monkeypatch.setattr(network, "decode", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.click((11, 10, 6))
    assert session.prompts("ball") is state


def test_thousands_of_clicks_are_refused(session, monkeypatch):
    monkeypatch.setattr("fmtutor.core.prompt_checks.MOST_CLICKS", 3)
    for w in range(3):
        session.click((10, w, 6))
    state = session.prompts("ball")
    with pytest.raises(ValueError, match="got 4"):
        session.click((10, 5, 6))
    assert session.prompts("ball") is state


def test_auto_zoom_widens_until_the_answer_fits(network):
    case = ball_case((60, 60, 60), ball=(30, 30, 30), radius=13.0)
    wide = NearAndAlike(reach=14.0)
    narrow = Session(wide, case, roi="first_click", spacing_mm=3.0)
    narrow.click((30, 30, 30))
    assert narrow.mask().sum() < 0.6 * _truth(case).sum()
    zoomed = Session(wide, case, roi="auto_zoom", spacing_mm=3.0)
    step = zoomed.click((30, 30, 30))
    assert "beyond the border seen at 6.8 mm, refine" in step.message
    assert zoomed.mask().sum() > 0.85 * _truth(case).sum()
    near = narrow.mask()
    assert (zoomed.mask() & near).sum() == near.sum()  # finer voxels stay where both look
    embedded = len(wide.embedded)
    zoomed.click((31, 30, 30))
    assert len(wide.embedded) == embedded
    before = zoomed.mask()
    assert "regions" in zoomed.refine().message
    assert (zoomed.mask() != before).any()
    zoomed.undo()
    assert np.array_equal(zoomed.mask(), before)


def test_a_wider_look_that_disagrees_is_not_taken(network, monkeypatch):
    case = ball_case((60, 60, 60), ball=(30, 30, 30), radius=13.0)
    near = Session(NearAndAlike(reach=14.0), case, roi="first_click", spacing_mm=3.0)
    near.click((30, 30, 30))
    monkeypatch.setattr(volume_asker, "AGREE", 1.01)
    zoomed = Session(NearAndAlike(reach=14.0), case, roi="auto_zoom", spacing_mm=3.0)
    step = zoomed.click((30, 30, 30))
    assert np.array_equal(zoomed.mask(), near.mask())
    assert volume_asker.BORDER in step.message


def test_agreement_is_the_dice_in_the_box_of_the_finer_painting():
    near = (slice(2, 4), slice(0, 2), slice(0, 2)), np.ones((2, 2, 2), bool)
    far = (slice(3, 8), slice(0, 2), slice(0, 2)), np.ones((5, 2, 2), bool)
    assert volume_asker.agreement(near, near) == 1
    assert volume_asker.agreement(near, far) == pytest.approx(2 * 4 / (8 + 4))
    away = (slice(6, 8), slice(0, 2), slice(0, 2)), np.ones((2, 2, 2), bool)
    assert volume_asker.agreement(near, away) == 0


def test_a_box_larger_than_the_region_zooms_out(session, network):
    session.box((2, 2, 1), (37, 37, 10))
    assert session.mask("ball")[5:35, 5:35, 3:9].all()
    assert network.decoded[-1][0].boxes[0, 1, 0] < 16


def test_the_oracle_has_to_be_asked_for_and_is_logged(network):
    case = ball_case()
    with pytest.raises(ValueError, match="go together"):
        Session(network, case, roi="oracle")
    centre = label_centre(_truth(case))
    with pytest.raises(ValueError, match="go together"):
        Session(network, case, oracle_centres={"structure": centre})
    session = Session(network, case, roi="oracle", oracle_centres={"structure": centre})
    session.click((12, 12, 6))
    assert np.abs(network.decoded[-1][0].points[0, 0].numpy() - 9.5).max() <= 3
    assert session.log.as_dict()["settings"]["oracle_centres"] == {"structure": list(centre)}


@pytest.mark.parametrize("roi", ["whole", "first_click", "auto_zoom"])
@pytest.mark.parametrize("shape", [(5, 4, 3), (40, 40, 2), (1, 1, 1)])
def test_small_volumes_and_thin_slabs_are_answered_within(network, roi, shape):
    case = Case(
        name="s", image=np.random.default_rng(0).normal(0, 50, shape).astype("f4"), affine=EYE
    )
    session = Session(network, case, roi=roi)
    session.click((0, 0, 0))
    assert session.mask().shape == shape
    assert session.mask()[0, 0, 0]


def test_a_constant_volume_works_and_says_so(network):
    case = Case(name="c", image=np.zeros((20, 20, 20), np.float32), affine=EYE)
    session = Session(network, case)
    step = session.click((10, 10, 10))
    assert "constant" in step.message
    assert session.mask().any()


def test_an_image_of_nan_is_refused(network):
    image = np.full((8, 8, 8), np.nan, np.float32)
    with pytest.raises(ValueError, match="finite"):
        Session(network, Case(name="n", image=image, affine=EYE))


def test_scribbles_reach_the_network_and_add_up(session, network):
    stroke = np.zeros((40, 40, 12), bool)
    stroke[8:13, 10, 6] = True
    session.scribble(stroke)
    assert network.decoded[-1][0].scribbles[0, 0].sum() == 5
    other = np.zeros_like(stroke)
    other[8, 12:15, 6] = True
    session.scribble(None, other)
    drawn = network.decoded[-1][0].scribbles[0]
    assert drawn[0].sum() == 5
    assert drawn[1].sum() == 3
    with pytest.raises(ValueError, match="both"):
        session.scribble(None, stroke)


def test_a_mask_to_correct_is_what_the_network_sees_first(session, network):
    mask = np.zeros((40, 40, 12), bool)
    mask[20:28, 20:28, 3:9] = True
    session.start_from(mask)
    assert np.array_equal(session.mask("ball"), mask)
    assert not network.decoded
    session.click((21, 21, 4), positive=False)
    assert not session.mask("ball")[21, 21, 4]
    assert session.mask("ball")[26, 26, 6]
    assert network.decoded[-1][0].mask.shape[2:] == (8, 8, 8)


def test_the_last_answer_returns_as_the_network_gave_it(session, network):
    session.click((10, 10, 6))
    session.click((12, 10, 6))
    low = session.prompts("ball").answers[-1].low
    session.click((13, 10, 6))
    assert (network.decoded[-1][0].mask[0, 0] == low.float()).all()


def test_watchers_are_told_of_each_step_and_cannot_stop_it(session):
    seen = []
    end = session.on_change(seen.append)
    session.on_change(lambda step: 1 / 0)
    with pytest.warns(UserWarning, match="watcher"):
        step = session.click((10, 10, 6))
    assert seen == [step]
    end()
    with pytest.warns(UserWarning, match="watcher"):
        session.undo()
    assert len(seen) == 1


def test_masks_cannot_be_changed_from_outside(session):
    session.click((10, 10, 6))
    with pytest.raises(ValueError, match="read-only"):
        session.mask("ball")[:] = True


def test_a_clinical_spacing_is_mapped_there_and_back():
    case = ball_case(
        (128, 128, 20), ball=(60, 60, 10), radius=24, affine=np.diag([0.98, 0.98, 2, 1])
    )
    session = Session(NearAndAlike(reach=12.0, size=32), case, roi="first_click")
    session.click((60, 60, 10))
    mask, truth = session.mask(), _truth(case)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.95


def test_options_are_checked(network):
    case = ball_case()
    with pytest.raises(ValueError, match="roi must be one of"):
        Session(network, case, roi="everywhere")
    with pytest.raises(ValueError, match="name one"):
        Session(network, case, structures=())
    with pytest.raises(ValueError, match="spacing_mm"):
        Session(network, case, spacing_mm=-1.0)
    with pytest.raises(ValueError, match="propagate"):
        Session(network, case, propagate="box")
