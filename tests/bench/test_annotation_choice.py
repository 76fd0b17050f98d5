import numpy as np
import pytest
from torch import nn

from fmtutor.bench import annotation_choice as choice
from fmtutor.bench.annotation_training import Training
from fmtutor.core.seeds import rng as rng_of
from fmtutor.engine.session import Session
from tests.bench.annotators import ByIntensity, bright_ball

POOL = [bright_ball(0), bright_ball(1), bright_ball(2), bright_ball(3, inverted=True)]
TINY = Training(patch=(16, 16, 16), channels=(4, 8), steps=4, structures=("liver", "spleen"))


def _open(case):
    return Session(ByIntensity(), case, size=24, spacing_mm=3.0, roi="auto_zoom")


def test_the_diverse_choice_takes_the_odd_one_out():
    found = choice.next_volumes("diverse", nn.Identity(), POOL, [0], 1, rng_of(0))
    assert found == [3]


def test_the_uncertain_choice_takes_what_the_network_doubts(monkeypatch):
    doubt = {case.name: number for number, case in enumerate(POOL)}
    monkeypatch.setattr(choice, "entropy", lambda model, case: doubt[case.name])
    assert choice.next_volumes("uncertain", nn.Identity(), POOL, [3], 2, rng_of(0)) == [2, 1]


def test_the_random_choice_leaves_out_what_is_annotated():
    draws = [
        choice.next_volumes("random", nn.Identity(), POOL, [1], 2, rng_of(n)) for n in range(9)
    ]
    assert all(1 not in found and len(set(found)) == 2 for found in draws)
    assert len({tuple(found) for found in draws}) > 1
    with pytest.raises(ValueError, match="choice of volumes"):
        choice.next_volumes("best", nn.Identity(), POOL, [], 1, rng_of(0))


def test_all_choices_start_from_one_network_and_grow():
    rows = choice.growing_sets(POOL, {"here": [bright_ball(8)]}, TINY, seed=0, rounds=1, add=1)
    begin = [row for row in rows if row["round"] == 0]
    assert {row["choice"] for row in begin} == set(choice.VOLUME_CHOICES)
    assert len({row["dice"] for row in begin}) == 1
    assert {row["volumes"] for row in rows if row["round"] == 1} == {3}
    assert all(set(begin[0]["names"]) <= set(row["names"]) for row in rows)


def test_the_model_asks_where_its_doubt_is_and_not_twice():
    logits = np.full((20, 20, 20), -9.0)
    logits[12:16, 4:8, 10:14] = 0.0
    first = choice.doubtful_voxel(logits, [], (3.0,) * 3)
    assert 12 <= first[0] < 16
    assert 4 <= first[1] < 8
    second = choice.doubtful_voxel(logits, [first], (3.0,) * 3)
    assert np.linalg.norm(np.subtract(first, second)) * 3 >= choice.APART_MM


def test_what_the_network_said_is_brought_to_the_case():
    session = _open(POOL[0])
    assert (choice.logits_of(session) == choice.UNSEEN_LOGIT).all()
    session.click((12, 12, 12))
    agreement = (choice.logits_of(session) > 0) == session.mask()
    assert agreement.mean() > 0.99


def test_every_choice_of_clicks_gives_a_curve_from_one_first_click():
    rows = choice.click_rows(_open, POOL[:1], ("liver",), clicks=3)
    assert [row["choice"] for row in rows] == list(choice.CLICK_CHOICES)
    assert all(len(row["dice"]) == 3 for row in rows)
    assert len({row["dice"][0] for row in rows}) == 1
    assert rows[0]["dice"][0] > 0.9  # the stand-in takes what is bright
