import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fmtutor.core.geometry import Grid
from fmtutor.data.cases import Case
from fmtutor.data.regions import Region
from fmtutor.engine.metrics import bootstrap_mean, dice, json_rows, score_case, score_mask
from fmtutor.engine.prediction import Prediction

SPACING = (0.8, 2.0, 3.5)


def _mask(shape, *box):
    mask = np.zeros(shape, bool)
    mask[box] = True
    return mask


def _brute_force(one, other, spacing_mm, tolerance_mm):
    """All pairs of surface voxels, by the definitions."""

    def surface(mask):
        inner = ndimage.binary_erosion(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
        return np.argwhere(mask & ~inner) * np.array(spacing_mm)

    points = surface(one), surface(other)
    pairs = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    agree = (there <= tolerance_mm).sum() + (back <= tolerance_mm).sum()
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return agree / (len(there) + len(back)), hd95


def test_dice_of_two_overlapping_boxes_by_hand():
    one = _mask((4, 4, 4), slice(0, 2), slice(0, 2), slice(0, 3))  # 12 voxels
    other = _mask((4, 4, 4), slice(0, 2), slice(0, 2), slice(2, 4))  # 8 voxels, 4 shared
    assert dice(one, other) == pytest.approx(8 / 20)
    assert score_mask(one, other, spacing_mm=SPACING).dice_plus_one == pytest.approx(8 / 21)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_distances_are_in_millimetres_along_each_axis(axis):
    one, other = np.zeros((2, 9, 9, 9), bool)
    one[4, 4, 4] = True
    place = [4, 4, 4]
    place[axis] += 3
    other[tuple(place)] = True
    expected = 3 * SPACING[axis]
    near = score_mask(one, other, spacing_mm=SPACING, tolerance_mm=expected - 0.01)
    assert near.hd95_mm == pytest.approx(expected, rel=1e-5)
    assert near.nsd == 0.0
    assert score_mask(one, other, spacing_mm=SPACING, tolerance_mm=expected + 0.01).nsd == 1.0


def test_a_plate_shifted_by_one_slice_scores_by_hand():
    one = _mask((6, 6, 8), slice(None), slice(None), slice(3, 4))
    other = _mask((6, 6, 8), slice(None), slice(None), slice(4, 5))
    scores = score_mask(one, other, spacing_mm=SPACING, tolerance_mm=3.0)
    assert scores.dice == 0.0
    assert scores.hd95_mm == pytest.approx(3.5)
    assert scores.nsd == 0.0
    assert score_mask(one, other, spacing_mm=SPACING, tolerance_mm=4.0).nsd == 1.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), tolerance_mm=st.floats(0.1, 8.0))
def test_surface_scores_equal_brute_force_on_an_anisotropic_grid(seed, tolerance_mm):
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(2, 9, 8, 7))
    one, other = (ndimage.gaussian_filter(volume, 1.0) > 0.02 for volume in noise)
    scores = score_mask(one, other, spacing_mm=SPACING, tolerance_mm=tolerance_mm)
    nsd, hd95 = _brute_force(one, other, SPACING, tolerance_mm)
    assert scores.nsd == pytest.approx(nsd, abs=1e-6)
    assert scores.hd95_mm == pytest.approx(hd95, rel=1e-5)


def test_a_perfect_mask_scores_one_and_zero_millimetres():
    mask = _mask((5, 5, 5), slice(0, 3))
    scores = score_mask(mask, mask, spacing_mm=SPACING)
    assert (scores.dice, scores.nsd, scores.hd95_mm) == (1.0, 1.0, 0.0)
    assert scores.dice_plus_one == pytest.approx(150 / 151)


def test_both_empty_is_undefined():
    empty = np.zeros((3, 3, 3), bool)
    scores = score_mask(empty, empty, spacing_mm=SPACING)
    assert all(math.isnan(value) for value in vars(scores).values())


@pytest.mark.parametrize("swap", [False, True])
def test_one_empty_mask_scores_zero_and_is_infinitely_far(swap):
    masks = [np.zeros((3, 3, 3), bool), _mask((3, 3, 3), 1, 1, 1)]
    scores = score_mask(*(masks[::-1] if swap else masks), spacing_mm=SPACING)
    assert (scores.dice, scores.dice_plus_one, scores.nsd) == (0.0, 0.0, 0.0)
    assert scores.hd95_mm == math.inf


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="share a grid"):
        score_mask(np.zeros((3, 3, 3), bool), np.zeros((3, 3, 4), bool), spacing_mm=SPACING)


@pytest.fixture
def case():
    """Liver with a lesion, an absent but annotated spleen; stored as LIA with three spacings."""
    affine = np.array([[-1.0, 0, 0, 50], [0, 0, 2.5, 3], [0, -1.2, 0, 7], [0, 0, 0, 1]])
    grid = Grid((12, 10, 6), affine).to_ras()
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:8, 1:5, 2:8], labels[4:6, 2:4, 4:6] = 1, 2
    return Case(
        name="a",
        image=np.zeros(grid.shape, np.float32),
        affine=grid.affine,
        labels=labels,
        table={1: "liver", 2: "liver_lesion", 3: "spleen"},
        known=frozenset({"liver", "liver_lesion", "spleen"}),
    )


def test_a_case_is_scored_by_region_with_volumes_in_millilitres(case):
    whole = Region.of("liver", "liver", "liver_lesion")
    prediction = Prediction.from_masks(
        {"liver": case.labels > 0, "spleen": np.zeros(case.image.shape, bool)}, case
    )
    frame = score_case(prediction, case, [whole, Region.of("spleen")]).set_index("region")
    assert frame.loc["liver", "dice"] == 1.0
    assert frame.loc["liver", "reference_ml"] == pytest.approx(6 * 4 * 6 * 3.0 / 1000)
    assert math.isnan(frame.loc["spleen", "dice"])
    assert frame.loc["spleen", "reference_ml"] == 0.0
    assert frame["known"].all()
    strict = score_case(prediction, case, [Region.of("liver")])
    assert strict["dice"][0] == pytest.approx(2 * (144 - 8) / (144 + 144 - 8))


def test_a_region_that_the_case_does_not_annotate_has_no_score(case):
    prediction = Prediction.from_masks({"pancreas": case.labels > 0}, case)
    row = score_case(prediction, case).iloc[0]
    assert not row["known"]
    assert np.isnan([row["dice"], row["nsd"], row["hd95_mm"], row["reference_ml"]]).all()
    assert row["predicted_ml"] > 0


def test_json_has_null_for_undefined_and_infinite(case):
    masks = {"spleen": case.labels > 0, "liver": case.labels == 9}
    rows = json_rows(score_case(Prediction.from_masks(masks, case), case))
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["dice"] for row in rows] == [0.0, 0.0]
    assert [row["hd95_mm"] for row in rows] == [None, None]
    assert rows[0]["known"] is True


def test_a_prediction_of_another_grid_is_refused(case):
    prediction = Prediction.from_masks({"liver": case.labels > 0}, case)
    moved = replace(case, affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="on the grid of case 'a'"):
        score_case(prediction, moved)


def test_the_bootstrap_is_seeded_and_covers_the_mean_as_often_as_it_says():
    values = [0.2, float("nan"), 0.8, 0.5]
    interval = bootstrap_mean(values, 1)
    assert interval == bootstrap_mean(values, 1)
    assert interval != bootstrap_mean(values, 2, resamples=50)
    assert (interval.mean, interval.count) == (0.5, 3)
    generator = np.random.default_rng(0)
    intervals = [bootstrap_mean(generator.normal(size=40), 0, resamples=400) for _ in range(200)]
    covered = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.88 < covered < 0.99


def test_a_mean_of_nothing_or_of_infinities_is_refused():
    for values in ([], [float("nan")], [1.0, float("inf")]):
        with pytest.raises(ValueError, match="mean needs"):
            bootstrap_mean(values, 0)
