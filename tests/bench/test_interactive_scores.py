"""The curves of tiny networks on a made-up patient."""

import numpy as np
import pytest
import torch

from fmtutor.bench import interactive_questions as asking
from fmtutor.bench import interactive_scores as scores
from fmtutor.bench.interactive_questions import Extent, Question
from fmtutor.bench.interactive_scores import Clicking, balls, curve_rows
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.clicks import Click
from fmtutor.engine.interaction import Protocol, as_asked, run_clicks
from fmtutor.engine.interaction_baselines import sphere_at_click
from fmtutor.paradigms.interactive import early_prompt, sam_med3d


def patient(name: str = "p") -> Case:
    """Return a case with a liver of 27 ml and a hip of 17 ml; voxels of 3 mm."""
    labels = np.zeros((24, 20, 16), np.uint8)
    labels[4:14, 4:14, 3:13] = 1
    labels[16:22, 8:18, 2:13] = 2
    noise = rng_of("patient", name).normal(0, 20, labels.shape)
    return Case(
        name=name, image=(noise + 100 * labels).astype(np.float32), labels=labels,
        affine=np.diag((3.0, 3.0, 3.0, 1.0)), table={1: "liver", 2: "hip_left"},
        known=frozenset({"spleen"}),
    )  # fmt: skip


def question(structure: str = "liver") -> Question:
    return Question(volume="target", case=patient(), structure=structure)


@pytest.fixture(scope="module")
def rows():
    torch.manual_seed(0)
    models = {
        "sam_med3d": sam_med3d.build(sam_med3d.Config.tiny()),
        "early_prompt": early_prompt.build(early_prompt.Config.tiny()),
    }
    return curve_rows(models, question(), Clicking(clicks=3, draws=2))


def test_each_system_has_a_curve_a_simulator_and_draw_and_the_oracle_says_so(rows):
    count = {
        name: sum(row["system"] == name and not row["oracle"] for row in rows)
        for name in ("sam_med3d", "early_prompt", "sphere", "box")
    }
    assert count == {"sam_med3d": 3, "early_prompt": 3, "sphere": 3, "box": 1}
    oracle = [row for row in rows if row["oracle"]]
    assert [(row["system"], row["roi"]) for row in oracle] == [("sam_med3d", "oracle")]
    assert {row["roi"] for row in rows} == {"auto_zoom", "none", "oracle"}


def test_a_row_holds_the_dice_before_and_after_each_click_and_the_first_clicks_seconds(rows):
    for row in rows:
        assert len(row["dice"]) == 4
        assert all(0 <= value <= 1 for value in row["dice"])
        if row["system"] != "box":
            assert row["dice"][0] == 0
            assert row["first_s"] == row["seconds"][0]
            assert len(row["seconds"]) <= 3
    assert all(row["seen"] and row["ml"] == 27.0 for row in rows)


def test_the_bare_box_of_a_cube_is_the_cube(rows):
    (box,) = (row for row in rows if row["system"] == "box")
    assert box["dice"] == [1.0] * 4


def test_painting_the_newest_ball_alone_is_painting_all_of_them():
    q = question()
    options = {"radius_mm": 10.0, "spacing_mm": q.case.spacing_mm}
    plain, fast = sphere_at_click(q.mask.shape, **options), balls(q.mask.shape, **options)
    made = [Click((8, 8, 8), True), Click((20, 10, 5), True), Click((19, 11, 5), False)]
    for count in range(1, 4):
        clicks = as_asked(made[:count])
        np.testing.assert_array_equal(fast(clicks), plain(clicks))


def test_the_fair_radius_gives_the_highest_curves_of_training(monkeypatch):
    monkeypatch.setattr(scores, "virtual_case", lambda centre, index: patient())
    radii = (3.0, 15.0, 60.0)
    chosen = scores.fair_radius_mm(radii, ("liver",))
    q, protocol = question(), Protocol(simulator="centre")
    last = {}
    for radius in radii:
        painter = balls(q.mask.shape, radius_mm=radius, spacing_mm=q.case.spacing_mm)
        curve = run_clicks(painter, q.mask, protocol, rng_of("x"), spacing_mm=q.case.spacing_mm)
        last[radius] = float(np.trapezoid(curve.dice))
    assert chosen == max(last, key=last.__getitem__)


def test_structures_are_asked_where_they_are_large_enough_and_patients_take_turns(monkeypatch):
    asked = []
    monkeypatch.setattr(
        asking, "virtual_case", lambda centre, index: (asked.append(index), patient(f"p{index}"))[1]
    )
    found = list(asking.questions(Extent(patients=3, volumes=("target",))))
    assert {q.structure for q in found} == {"liver", "hip_left"}
    assert [q.about()["seen"] for q in found] == [True, False]
    firsts = [asking.VOLUMES["target"].index(q.structure) % 3 for q in found]
    assert [q.case.name for q in found] == [f"p{index}" for index in firsts]
    assert not list(asking.questions(Extent(volumes=("target",), least_ml=100.0)))


def test_more_patients_a_structure_than_there_are_is_refused():
    with pytest.raises(ValueError, match="1 to 2 patients, got 3"):
        Extent(patients=2, per_structure=3)


def test_a_lesion_belongs_to_its_organ_and_an_absent_structure_is_empty():
    case = patient()
    with_lesion = Case(**{**vars(case), "table": {1: "liver", 2: "liver_lesion"}})
    assert asking.truth_of(with_lesion, "liver").sum() == (case.labels > 0).sum()
    assert not asking.truth_of(case, "stomach").any()


def test_random_clicks_are_made_on_the_target_centre_alone():
    clicking = Clicking(draws=2)
    assert list(clicking.curves("target")) == [("centre", 0), ("uniform", 0), ("uniform", 1)]
    assert list(clicking.curves("abdomen_mr")) == [("centre", 0)]
