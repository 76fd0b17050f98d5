"""Numbers of annotators' masks, on balls whose borders are moved by known amounts."""

import numpy as np
import pytest
from scipy import ndimage

from fmtutor.bench import annotation_quality as quality
from fmtutor.core.seeds import rng as rng_of
from fmtutor.engine.metrics import dice

SPACING = (3.0, 3.0, 3.0)
GRID = np.indices((24, 24, 24)) - 11.5
BALL = (GRID**2).sum(0) < 7**2


def test_equal_masks_have_moved_nowhere():
    assert np.all(quality.border_shift_mm(BALL, BALL, SPACING) == 0)


def test_a_mask_grown_by_a_voxel_has_moved_outwards_by_about_a_voxel():
    grown = ndimage.binary_dilation(BALL)
    shift = quality.border_shift_mm(grown, BALL, SPACING).mean()
    assert 1.5 < shift < 4.0
    assert quality.border_shift_mm(ndimage.binary_erosion(BALL), BALL, SPACING).mean() < -1.5


def test_what_is_missed_here_and_added_there_cancels():
    moved = np.roll(BALL, 4, axis=0)
    assert quality.border_bias_mm(moved, BALL, SPACING) == pytest.approx(0, abs=0.3)
    assert quality.border_shift_mm(moved, BALL, SPACING).mean() < -0.5  # one side alone is unfair
    assert quality.border_bias_mm(ndimage.binary_dilation(BALL), BALL, SPACING) > 1.5
    assert quality.border_bias_mm(ndimage.binary_erosion(BALL), BALL, SPACING) < -1.5


def test_an_empty_mask_has_no_border():
    with pytest.raises(ValueError, match="hold something"):
        quality.border_shift_mm(np.zeros_like(BALL), BALL, SPACING)


def test_what_all_annotators_do_is_shared_and_survives_their_vote():
    crowd = [quality.moved(BALL, 0.8, SPACING)] * 3
    found = quality.borders(crowd, BALL, SPACING)
    assert found.individual_mm == 0
    assert found.shared_mm > 1
    assert found.bias_mm > 1
    vote = quality.majority(crowd)
    assert dice(vote, BALL) == dice(crowd[0], BALL)


def test_chance_is_individual_and_a_vote_removes_much_of_it():
    rng = rng_of("test", "individual")
    crowd = [
        quality.moved(
            BALL, 0.85, SPACING, keep_volume=True,
            direction=quality.smooth_noise(BALL.shape, rng, sigma_mm=9.0, spacing_mm=SPACING),
        )
        for _ in range(9)
    ]  # fmt: skip
    found = quality.borders(crowd, BALL, SPACING)
    assert found.individual_mm > 2 * found.shared_mm
    assert dice(quality.majority(crowd), BALL) > max(dice(one, BALL) for one in crowd)


@pytest.mark.parametrize("wanted", [0.7, 0.9])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_border_is_moved_until_dice_is_as_wanted(wanted, direction):
    mask = quality.moved(BALL, wanted, SPACING, direction=direction)
    assert dice(mask, BALL) == pytest.approx(wanted, abs=0.1)
    assert (mask.sum() > BALL.sum()) == (direction > 0)


def test_one_annotator_shares_everything_and_nobody_is_refused():
    alone = quality.borders([quality.moved(BALL, 0.8, SPACING)], BALL, SPACING)
    assert np.isnan(alone.individual_mm)
    assert alone.shared_mm > 0
    with pytest.raises(ValueError, match="leave this one out"):
        quality.borders([np.zeros_like(BALL)], BALL, SPACING)


def test_a_vote_has_an_odd_number_of_voices():
    with pytest.raises(ValueError, match="odd"):
        quality.majority([BALL, BALL])


def test_numbers_of_one_mask_and_of_pairs():
    half = BALL & (GRID[0] > 0)
    row = quality.quality(half, BALL, SPACING)
    assert row["volume_ratio"] == pytest.approx(0.5, abs=0.01)
    assert row["bias_mm"] < 0
    assert quality.quality(np.zeros_like(BALL), BALL, SPACING)["bias_mm"] is None
    assert quality.agreement({"a": BALL, "b": BALL, "c": half}) == pytest.approx(
        (1 + 2 * dice(BALL, half)) / 3
    )


def test_a_border_moved_both_ways_keeps_its_volume_if_that_is_wanted():
    noise = quality.smooth_noise(BALL.shape, rng_of("both"), sigma_mm=9.0, spacing_mm=SPACING)
    free, kept = (
        quality.moved(BALL, 0.75, SPACING, direction=noise, keep_volume=keep)
        for keep in (False, True)
    )
    assert kept.sum() == BALL.sum()
    assert free.sum() != BALL.sum()
    assert dice(kept, BALL) == pytest.approx(0.75, abs=0.05)
