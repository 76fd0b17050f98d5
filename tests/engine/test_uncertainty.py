"""Scores of several candidates against several right answers, beside loops over pairs."""

from itertools import permutations

import numpy as np
import pytest

from fmtutor.engine.uncertainty import (
    best_candidate_dice,
    brier,
    expected_calibration_error,
    generalised_energy_distance,
    matched_iou,
    mean_dice,
    pairwise_distance,
    reliability,
    sample_diversity,
)

SHAPE = (9, 7)
RNG = np.random.default_rng(0)
CANDIDATES = RNG.random((6, *SHAPE)) > RNG.uniform(0.3, 0.9, (6, 1, 1))
ANSWERS = RNG.random((4, *SHAPE)) > RNG.uniform(0.3, 0.9, (4, 1, 1))
EMPTY = np.zeros(SHAPE, bool)


def bars(*heights: int) -> np.ndarray:
    """Return masks of the first rows: their overlaps are known by counting."""
    return np.stack([np.arange(10)[:, None] < height * np.ones((1, 5)) for height in heights])


def apart(one: np.ndarray, other: np.ndarray, distance: str) -> float:
    both, either = (one & other).sum(), (one | other).sum()
    if either == 0:
        return 0.0
    return 1 - (both / either if distance == "iou" else 2 * both / (one.sum() + other.sum()))


def table(first: np.ndarray, second: np.ndarray, distance: str) -> np.ndarray:
    return np.array([[apart(one, other, distance) for other in second] for one in first])


@pytest.mark.parametrize("distance", ["iou", "dice"])
def test_distances_equal_those_of_each_pair_taken_alone(distance):
    first, second = np.stack([*CANDIDATES, EMPTY]), np.stack([*ANSWERS, EMPTY])
    found = pairwise_distance(first, second, distance)
    np.testing.assert_allclose(found, table(first, second, distance), atol=1e-12)
    assert found[-1, -1] == 0, "two empty masks agree"
    assert (found[-1, :-1] == 1).all(), "an empty mask and another are as far as can be"


def test_volumes_and_probabilities_are_scored_as_their_masks():
    volumes = np.repeat(CANDIDATES[..., None], 3, axis=3)
    np.testing.assert_allclose(
        pairwise_distance(volumes, volumes), pairwise_distance(CANDIDATES, CANDIDATES)
    )
    probability = np.where(CANDIDATES, 0.7, 0.3)
    assert mean_dice(probability, ANSWERS) == mean_dice(CANDIDATES, ANSWERS)


def test_the_best_candidate_covers_each_answer_and_the_mean_does_not_forgive_the_rest():
    answers, candidates = bars(4, 8), bars(4, 8, 2)
    assert best_candidate_dice(candidates, answers) == pytest.approx(1.0)
    dice = [[1, 2 / 3], [2 / 3, 1], [4 / 6, 4 / 10]]
    assert mean_dice(candidates, answers) == pytest.approx(np.mean(dice))
    assert best_candidate_dice(bars(4, 4), answers) == pytest.approx((1 + 2 / 3) / 2)


def test_diversity_is_the_mean_over_pairs_of_different_candidates():
    assert sample_diversity(bars(4, 8, 4)) == pytest.approx((1 / 3 + 0 + 1 / 3) / 3)
    assert sample_diversity(bars(4, 8, 4), "iou") == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert sample_diversity(bars(4, 4)) == 0


@pytest.mark.parametrize("distance", ["iou", "dice"])
@pytest.mark.parametrize("unbiased", [False, True])
def test_the_energy_distance_is_its_three_means(distance, unbiased):
    def within(masks):
        values = table(masks, masks, distance)
        return values[~np.eye(len(masks), dtype=bool)].mean() if unbiased else values.mean()

    expected = 2 * table(CANDIDATES, ANSWERS, distance).mean() - within(CANDIDATES)
    found = generalised_energy_distance(CANDIDATES, ANSWERS, distance, unbiased=unbiased)
    assert found == pytest.approx(expected - within(ANSWERS))


def test_the_energy_distance_is_zero_for_equal_sets_and_falls_as_answers_are_covered():
    answers = bars(4, 8)
    assert generalised_energy_distance(bars(8, 4), answers) == pytest.approx(0)
    one_sided = generalised_energy_distance(bars(4, 4), answers)
    wrong = generalised_energy_distance(bars(1, 1), answers)
    assert 0 < one_sided < wrong


def test_few_draws_make_the_energy_distance_too_large_unless_the_diagonal_is_left_out():
    rng = np.random.default_rng(5)
    heights = bars(2, 4, 6, 8)
    sets = heights[rng.integers(4, size=(1500, 2, 3))]  # both sides drawn from one distribution
    biased = np.mean([generalised_energy_distance(*pair) for pair in sets])
    unbiased = np.mean([generalised_energy_distance(*pair, unbiased=True) for pair in sets])
    between = pairwise_distance(heights, heights).mean()
    assert unbiased == pytest.approx(0, abs=0.02)
    assert biased == pytest.approx(2 / 3 * between, abs=0.02), "each diagonal is a third of pairs"


def test_matching_gives_each_answer_its_share_of_the_candidates():
    answers = bars(4, 8)
    assert matched_iou(bars(8, 4), answers) == pytest.approx(1)
    assert matched_iou(bars(4, 4), answers) == pytest.approx((1 + 1 / 2) / 2)
    assert matched_iou(bars(4, 4, 8, 4), answers) == pytest.approx((1 + 1 + 1 + 1 / 2) / 4)


def test_matching_equals_the_best_of_all_permutations_also_for_a_common_multiple():
    candidates, answers = CANDIDATES[:3], ANSWERS[:2]
    iou = 1 - table(np.repeat(candidates, 2, axis=0), np.repeat(answers, 3, axis=0), "iou")
    best = max(iou[range(6), order].mean() for order in permutations(range(6)))
    assert matched_iou(candidates, answers) == pytest.approx(best)


def test_reliability_bins_by_probability_and_keeps_empty_bins():
    probability = np.array([[0.0, 0.1, 0.6], [0.5, 1.0, 0.9]])
    truth = np.array([[False, True, False], [True, True, True]])
    rows = reliability(probability, truth, bins=4)
    assert list(rows.columns) == ["confidence", "frequency", "count"]
    assert rows["count"].tolist() == [2, 0, 2, 2]
    np.testing.assert_allclose(rows["confidence"], [0.05, np.nan, 0.55, 0.95])
    np.testing.assert_allclose(rows["frequency"], [0.5, np.nan, 0.5, 1.0])
    error = (2 * 0.45 + 2 * 0.05 + 2 * 0.05) / 6
    assert expected_calibration_error(probability, truth, bins=4) == pytest.approx(error)
    assert brier(probability, truth) == pytest.approx((0 + 0.81 + 0.36 + 0.25 + 0 + 0.01) / 6)


def test_a_system_that_means_its_probabilities_is_calibrated_and_a_boastful_one_is_not():
    rng = np.random.default_rng(1)
    probability = rng.random((200, 200))
    truth = rng.random((200, 200)) < probability
    boastful = np.where(probability > 0.5, 0.99, 0.01)
    assert expected_calibration_error(probability, truth) < 0.02
    assert expected_calibration_error(boastful, truth) > 0.2
    assert brier(probability, truth) < brier(boastful, truth)


def test_the_share_of_right_answers_may_stand_for_the_truth():
    share = bars(4, 8).mean(axis=0)
    assert expected_calibration_error(share, share) == 0
    assert brier(np.full(share.shape, 0.5), share) == pytest.approx(0.25 * 0.6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_dice(CANDIDATES, ANSWERS[:, :-1]), r"share a grid, got \(9, 7\) and \(8, 7"),
        (lambda: mean_dice(CANDIDATES * 3.0, ANSWERS), r"in \[0, 1\], got 0 to 3; pass logits"),
        (lambda: mean_dice(CANDIDATES * np.nan, ANSWERS), r"in \[0, 1\], got nan"),
        (lambda: mean_dice(CANDIDATES[:0], ANSWERS), r"at least one mask, got shape \(0, 9, 7\)"),
        (lambda: sample_diversity(CANDIDATES[:1]), "needs two masks or more, got 1"),
        (
            lambda: generalised_energy_distance(CANDIDATES, ANSWERS[:1], unbiased=True),
            "needs two masks or more, got 1; draw more, or take the biased distance",
        ),
        (lambda: brier(EMPTY * 1.0, ANSWERS), "several answers are right pass their mean"),
        (lambda: reliability(EMPTY - 0.5, EMPTY), r"a probability lies in \[0, 1\], got -0.5"),
        (lambda: reliability(EMPTY * 1.0, EMPTY, bins=0), "bins must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()
