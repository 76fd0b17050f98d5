import numpy as np
import pytest

from fmtutor.core.ask import Clicks
from fmtutor.core.seeds import rng
from fmtutor.data.balls import ball
from fmtutor.data.boxes import asked, bare_dice, tight
from fmtutor.engine.interaction import Protocol, run_clicks
from fmtutor.engine.interaction_baselines import bare_box, best_radius_mm, sphere_at_click

SHAPE, SPACING = (20, 20, 10), (1.0, 1.0, 2.0)
TRUTH = ball((10, 10, 5), SHAPE, radius=5.0, spacing_mm=SPACING) > 0
QUICK = Protocol(clicks=3)


def test_a_ball_of_the_right_radius_answers_a_ball_with_one_click():
    painter = sphere_at_click(SHAPE, radius_mm=5.0, spacing_mm=SPACING)
    done = run_clicks(painter, TRUTH, QUICK, rng(0), spacing_mm=SPACING)
    assert done.dice == (0.0, 1.0, 1.0, 1.0)


def test_the_newest_click_wins_where_balls_overlap():
    painter = sphere_at_click(SHAPE, radius_mm=3.0, spacing_mm=SPACING)
    inside, outside = (8, 10, 5), (10, 10, 5)
    added, removed = (
        ball(point, SHAPE, radius=3.0, spacing_mm=SPACING) > 0 for point in (inside, outside)
    )
    np.testing.assert_array_equal(
        painter(Clicks((inside, outside), (True, False))), added & ~removed
    )
    np.testing.assert_array_equal(painter(Clicks((outside, inside), (False, True))), added)


def test_the_best_radius_is_that_of_the_balls_to_be_found():
    truths = [ball((10, 9 + at, 5), SHAPE, radius=4.0, spacing_mm=SPACING) > 0 for at in range(3)]
    radii = [2.0, 6.0, 4.0]
    assert best_radius_mm(truths, QUICK, radii, spacing_mm=SPACING) == 4.0
    with pytest.raises(ValueError, match="got 0 masks and 3 radii"):
        best_radius_mm([], QUICK, radii, spacing_mm=SPACING)


def test_a_bare_box_has_a_flat_curve_at_its_own_dice():
    box = bare_box(asked(tight(TRUTH)), SHAPE)
    done = run_clicks(box, TRUTH, QUICK, rng(0), start=box())
    assert done.dice == (pytest.approx(bare_dice(TRUTH)),) * 4
    assert len(done.clicks) == 3
