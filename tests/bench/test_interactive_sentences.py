"""Sentences say what the rows say."""

import pandas as pd
import pytest

from fmtutor.bench import interactive_sentences as say
from fmtutor.bench.interactive_results import COLUMNS
from tests.bench.test_interactive_results import ABOUT, RISING, curve

SAID = {
    "curves3d": (say.click_sentences, say.baseline_sentences, say.oracle_sentences),
    "points": (say.point_sentences,),
    "prompts": (say.automatic_sentences,),
}


@pytest.mark.parametrize("name", sorted(SAID))
def test_without_a_result_the_sentence_names_the_command(name):
    for sentences in SAID[name]:
        assert sentences(pd.DataFrame(columns=list(COLUMNS[name]))) == [say.MISSING]
    assert "benchmarks/interaction_scores/run.py" in say.MISSING


def test_clicks_are_said_seen_and_unseen_apart():
    rows = [
        curve("sam_med3d", RISING),
        curve("sam_med3d", [0.0] + [0.5] * 10, structure="spleen"),
        curve("sam_med3d", [0.0] + [0.25] * 10, structure="hip_left", seen=False),
        curve("sam_med3d", [1.0] * 11, oracle=True),
        curve("sam_med3d", [1.0] * 11, simulator="uniform"),
    ]
    seen, unseen = say.click_sentences(pd.DataFrame(rows))
    assert seen.startswith("SAM-Med3D, seen: 0.30 after 1, 0.40 after 3")
    assert seen.endswith("0.8 reached by 1 of 2")
    assert unseen.startswith("SAM-Med3D, unseen: 0.25 after 1")
    assert say.click_sentences(pd.DataFrame(rows), volume="thorax_ct") == [say.MISSING]


def test_a_rival_is_compared_on_the_structures_that_both_have():
    rows = [
        curve("sam_med3d", [0.0] + [0.5] * 10),
        curve("sam_med3d", [0.0] + [0.9] * 10, structure="spleen"),
        curve("sphere", [0.0] + [0.2] * 10),
        curve("box", [0.6] * 11, simulator="none", seconds=[], first_s=None),
    ]
    said = say.baseline_sentences(pd.DataFrame(rows))
    assert said[0].startswith("SAM-Med3D after 1: above the ball at each click on 1 of 1")
    assert "+0.30" in said[0]
    assert "above the box, filled on 0 of 1" in said[2]


def test_the_oracles_crop_is_compared_with_the_clicks_own():
    rows = [curve("sam_med3d", RISING), curve("sam_med3d", [0.0] + [1.0] * 10, oracle=True)]
    one, ten = say.oracle_sentences(pd.DataFrame(rows))
    assert "SAM-Med3D after 1: crop on the label less crop on the click +0.90" in one
    assert "+0.00" in ten


def test_points_of_the_volume_and_of_slices_are_compared_with_their_price():
    def point(system, dims, per, points, dice):
        about = {"system": system, "dims": dims, "slices": 30, "per": per, "points": points}
        return {**ABOUT, **about, "dice": dice, "seconds": float(points)}

    rows = [point("sam_med3d", 3, 1, 1, 0.6), point("sam_med2d", 2, 1, 30, 0.5)]
    rows.append(point("sam_med3d", 3, 3, 3, 0.9))
    (said,) = say.point_sentences(pd.DataFrame(rows))
    assert "(median 30): Dice +0.10" in said
    assert said.endswith("1.0 against 30.0 s")


def test_a_network_of_fixed_classes_is_compared_where_it_has_the_class():
    def row(system, prompt, dice, structure="liver"):
        about = {"system": system, "prompt": prompt, "boxes": 0, "dice": dice, "seconds": 1.0}
        return {**ABOUT, **about, "structure": structure}

    rows = [row("organs", "automatic", 0.8), row("organs", "automatic", None, "hip_left")]
    rows += [row("sam_med3d", "10 points", 0.7), row("sam_med3d", "10 points", 0.9, "hip_left")]
    (said,) = say.automatic_sentences(pd.DataFrame(rows))
    assert "SAM-Med3D, 10 points: less the network of fixed classes -0.10" in said
    assert said.endswith("lower on 1 of 1 structures")
