import numpy as np
import pytest

from fmtutor.bench import annotation_crowd as people
from fmtutor.core.seeds import rng as rng_of
from tests.bench.annotators import Painter, bright_ball

CASE = bright_ball()
TRUTH = people.truth_of(CASE, "liver")


def _made(skill: str, number: int, clicks: int = 6) -> people.Annotation:
    return people.annotate(
        Painter(CASE), TRUTH, people.SKILLS[skill], clicks=clicks,
        rng=rng_of("test", skill, number), spacing_mm=CASE.spacing_mm,
    )  # fmt: skip


def test_the_steadier_hand_makes_the_better_mask():
    means = {
        skill: np.mean([_made(skill, number).dice[-1] for number in range(12)])
        for skill in people.SKILLS
    }
    assert min(means["expert"], means["trained"]) > means["novice"]


def test_the_budget_is_kept_and_the_first_click_is_positive():
    for number in range(20):
        session = Painter(CASE)
        made = people.annotate(
            session, TRUTH, people.SKILLS["novice"], clicks=5, rng=rng_of(number),
            spacing_mm=CASE.spacing_mm,
        )  # fmt: skip
        assert session.clicks[0][1]
        assert made.clicks == len(made.dice) == 5
        assert len(session.clicks) == 5 - made.refused


def test_a_voxel_is_never_clicked_with_both_signs():
    session = Painter(CASE, radius=1.0)
    rng = rng_of("both signs")
    wild = people.Clicker(jitter_mm=0.0, slip=0.5, lazy=0.0, second=0.0)
    made = people.annotate(session, TRUTH, wild, clicks=30, rng=rng, spacing_mm=CASE.spacing_mm)
    assert made.refused > 0
    assert len(dict(session.clicks)) == len(set(session.clicks))


def test_nobody_clicks_where_nothing_is_wrong():
    session = Painter(CASE)
    session.painted = TRUTH.copy()
    made = people.annotate(
        session, TRUTH, people.SKILLS["novice"], clicks=5, rng=rng_of(0), spacing_mm=(3.0,) * 3
    )
    assert made.clicks == 0
    assert np.array_equal(made.mask, TRUTH)


def test_everyone_has_clicks_of_their_own_and_keeps_them():
    many = {"expert": 1, "novice": 3}
    runs = [
        next(iter(people.crowd(Painter, CASE, people=many, clicks=4, structures=("liver",))))
        for _ in range(2)
    ]
    structure, found, truth = runs[0]
    assert structure == "liver"
    assert np.array_equal(truth, TRUTH)
    assert list(found) == ["expert-0", "novice-0", "novice-1", "novice-2"]
    assert not np.array_equal(found["novice-0"].mask, found["novice-1"].mask)
    assert all(np.array_equal(found[name].mask, runs[1][1][name].mask) for name in found)


def test_what_is_hardly_seen_is_not_annotated():
    small = bright_ball(radius=2.0)
    assert not list(people.crowd(Painter, small, people={"expert": 1}, clicks=1))


def test_rows_hold_quality_and_costs_and_a_vote():
    case, structure, found, truth = CASE, "liver", {}, TRUTH
    for number in range(3):
        found[f"novice-{number}"] = _made("novice", number)
    rows = people.annotation_rows(case, structure, found, truth, people.Costs())
    assert [row["person"] for row in rows] == ["novice-0", "novice-1", "novice-2", "vote"]
    assert rows[-1]["clicks"] == sum(row["clicks"] for row in rows[:-1])
    assert rows[-1]["seconds"] == pytest.approx(sum(row["seconds"] for row in rows[:-1]))
    assert {"dice", "bias_mm", "volume_ratio"} <= set(rows[0])


def test_agreement_is_told_for_those_who_are_several():
    found = {f"novice-{n}": _made("novice", n) for n in range(3)}
    rows = people.agreement_rows(CASE, "liver", {**found, "expert-0": _made("expert", 0)}, TRUTH)
    assert [row["skill"] for row in rows] == ["novice"]
    assert 0 < rows[0]["pairwise_dice"] < 1
    assert rows[0]["individual_mm"] > 0


def test_costs_meet_where_a_click_takes_as_long_as_is_said():
    costs = people.Costs()
    even = costs.break_even_s(6, TRUTH, CASE.spacing_mm)
    dear = people.Costs(click_s=even)
    assert dear.clicked(6) == pytest.approx(costs.outlined(TRUTH, CASE.spacing_mm))
    assert costs.clicked(6) == costs.look_s + 6 * costs.click_s
    slices = int(TRUTH.any((0, 1)).sum())
    assert costs.outlined(TRUTH, (3.0, 3.0, 5.0)) == costs.look_s + slices * costs.slice_s
