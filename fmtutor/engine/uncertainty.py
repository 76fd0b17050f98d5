"""How good several answers are where several are right: coverage, diversity, GED, calibration.

Candidates are what a stochastic system proposes, answers what is right (raters, protocols). Both
are masks, or probabilities that count as a mask where they exceed one half. All scores rest on a
table of distances between masks, made by one matrix product: the intersection of two masks is the
scalar product of their flattened pixels.

Two empty masks agree: their distance is 0 and their Dice and IoU are 1. (`metrics` calls that case
undefined and leaves it out of means over patients; here a right answer may well be "nothing".)
"""

from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

Distance = Literal["iou", "dice"]
"""1 - IoU, or 1 - Dice."""

EXACT_IN_FLOAT32 = 2**24
"""Counts of pixels below this are exact in float32, whose products are twice as fast."""


def pairwise_distance(
    first: np.ndarray, second: np.ndarray, distance: Distance = "iou"
) -> np.ndarray:
    """Return the distance of each mask to each other mask, in [0, 1].

    Args:
        first: (M, *grid), bool or probabilities.
        second: (R, *grid).
        distance: "iou" is 1 - IoU (a metric), "dice" is 1 - Dice.

    Returns:
        (M, R); 0 where both masks are empty.

    Raises:
        ValueError: The grids differ, there are no masks, a value is no probability, or the
            distance is another one.
    """
    one, other = _flat(first), _flat(second)
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f"masks must share a grid, got {first.shape[1:]} and {second.shape[1:]}; resample one."
        )
    both = (one @ other.T).astype(float)  # (M, R)
    total = one.sum(axis=1, dtype=float)[:, None] + other.sum(axis=1, dtype=float)[None]
    if distance == "iou":
        apart, whole = total - 2 * both, total - both
    elif distance == "dice":
        apart, whole = total - 2 * both, total
    else:
        raise ValueError(f"distance must be 'iou' or 'dice', got {distance!r}.")
    return apart / np.maximum(whole, 1.0)


def best_candidate_dice(candidates: np.ndarray, answers: np.ndarray) -> float:
    """Return the Dice of the best candidate for an answer, averaged over the answers.

    1 says that each right answer is among the candidates, whatever else is.

    Args:
        candidates: (M, *grid), bool or probabilities.
        answers: (R, *grid).

    Source: Rakic et al. 2024 (Tyche), best candidate Dice.
    """
    return float((1 - pairwise_distance(candidates, answers, "dice")).max(axis=0).mean())


def mean_dice(candidates: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean Dice over all pairs of a candidate (M, *grid) and an answer (R, *grid)."""
    return float((1 - pairwise_distance(candidates, answers, "dice")).mean())


def sample_diversity(candidates: np.ndarray, distance: Distance = "dice") -> float:
    """Return the mean distance (1 - Dice unless said) over pairs of different candidates.

    Args:
        candidates: (M, *grid), at least two.
        distance: "dice" or "iou".

    Raises:
        ValueError: There are fewer than two candidates.

    Source: Rakic et al. 2024 (Tyche), sample diversity.
    """
    return _mean_within(candidates, distance, unbiased=True)


def generalised_energy_distance(
    candidates: np.ndarray,
    answers: np.ndarray,
    distance: Distance = "iou",
    *,
    unbiased: bool = False,
) -> float:
    """Return the squared distance GED^2 = 2 E[d(x, y)] - E[d(x, x')] - E[d(y, y')].

    x and x' are candidates, y and y' answers. With expectations over all pairs, a mask with itself
    included, it is at least 0 for d = 1 - IoU, and few samples make it larger. Unbiased leaves
    the pairs of a mask with itself out; it may fall below 0.

    Args:
        candidates: (M, *grid), bool or probabilities.
        answers: (R, *grid).
        distance: "iou" (as Kohl et al. and Tyche) or "dice".
        unbiased: Leave the diagonals out; needs two candidates and two answers.

    Raises:
        ValueError: The grids differ, or there are too few masks.

    Source: Kohl et al. 2018 (Probabilistic U-Net), GED; Rakic et al. 2024 (Tyche).
    """
    between = float(pairwise_distance(candidates, answers, distance).mean())
    within = (_mean_within(masks, distance, unbiased=unbiased) for masks in (candidates, answers))
    return 2 * between - sum(within)


def matched_iou(candidates: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean IoU of the best one-to-one matching of candidates and answers.

    Where their numbers differ both are repeated to the least common multiple, so each answer gets
    an equal share of the candidates: all of them close to one answer is no success.

    Args:
        candidates: (M, *grid), bool or probabilities.
        answers: (R, *grid).

    Source: Kohl et al. 2019 (hierarchical Probabilistic U-Net), Hungarian-matched IoU.
    """
    apart = pairwise_distance(candidates, answers, "iou")
    common = int(np.lcm(*apart.shape))
    apart = apart.repeat(common // apart.shape[0], axis=0).repeat(common // apart.shape[1], axis=1)
    return float(1 - apart[linear_sum_assignment(apart)].mean())


def reliability(probability: np.ndarray, truth: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Return how often pixels of a given probability are foreground, for a calibration plot.

    Bins are of equal width over [0, 1] and hold their lower edge; the last one holds 1 too. Guo et
    al. bin the confidence in the chosen class; here it is the probability of foreground itself, so
    that a plot tells too much of a structure from too little.

    Args:
        probability: Foreground probability in [0, 1], any shape.
        truth: Bool, or where several answers are right their mean in [0, 1]; of the same shape.
        bins: Number of bins.

    Returns:
        One row a bin: confidence (mean probability), frequency (mean truth), count (pixels).
        Confidence and frequency of an empty bin are NaN.

    Raises:
        ValueError: The shapes differ or a value is outside [0, 1].

    Source: Guo et al. 2017, reliability diagrams.
    """
    probability, truth = _probabilities(probability, truth)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}.")
    which = np.minimum((probability * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 of an empty bin is the NaN that is promised
        confidence = np.bincount(which, probability, bins) / count
        frequency = np.bincount(which, truth, bins) / count
    return pd.DataFrame({"confidence": confidence, "frequency": frequency, "count": count})


def expected_calibration_error(probability: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    """Return the gap between confidence and frequency, averaged over pixels: 0 is calibrated.

    Background that is easy fills most of an image and flatters this number; give it the pixels
    in question (``probability[region]``) where that matters.

    Args:
        probability: Foreground probability in [0, 1], any shape.
        truth: Bool, or the mean of several right answers; of the same shape.
        bins: Number of bins of equal width.

    Source: Guo et al. 2017, equation 3, on the foreground probability (see `reliability`).
    """
    rows = reliability(probability, truth, bins)
    gaps = (rows["confidence"] - rows["frequency"]).abs()  # NaN of empty bins is left out by sum
    return float((gaps * rows["count"]).sum() / rows["count"].sum())


def brier(probability: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared difference of probability and truth: 0 is best, 0.25 is "half".

    Args:
        probability: Foreground probability in [0, 1], any shape.
        truth: Bool, or the mean of several right answers; of the same shape.
    """
    probability, truth = _probabilities(probability, truth)
    return float(np.square(probability - truth).mean())


def _mean_within(masks: np.ndarray, distance: Distance, *, unbiased: bool) -> float:
    """Return the mean distance between masks of one set, without the diagonal if unbiased."""
    apart = pairwise_distance(masks, masks, distance)
    count = len(apart)
    if unbiased and count < 2:
        raise ValueError(
            f"a distance within a set needs two masks or more, got {count}; draw more, or take "
            "the biased distance."
        )
    return float(apart.sum()) / (count * (count - 1) if unbiased else count**2)


def _flat(masks: np.ndarray) -> np.ndarray:
    """Return masks as 0 and 1, (M, pixels), in a type that counts them exactly."""
    masks = np.asarray(masks)
    if masks.ndim < 2 or not masks.size:
        raise ValueError(
            f"masks are (M, *grid) with at least one mask, got shape {masks.shape}; add the axis "
            "of the candidates with mask[None]."
        )
    _check_range(masks, "a mask")
    flat = masks.reshape(len(masks), -1) > 0.5
    return flat.astype(np.float32 if flat.shape[1] < EXACT_IN_FLOAT32 else np.float64)


def _probabilities(probability: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as flat floats, checked."""
    if probability.shape != truth.shape or not probability.size:
        raise ValueError(
            f"probability and truth must have one shape and a pixel, got {probability.shape} and "
            f"{truth.shape}; where several answers are right pass their mean over answers."
        )
    _check_range(probability, "a probability")
    _check_range(truth, "a truth")
    return probability.ravel().astype(float), truth.ravel().astype(float)


def _check_range(values: np.ndarray, what: str) -> None:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # NaN fails this too
        raise ValueError(
            f"{what} lies in [0, 1], got {low:g} to {high:g}; pass logits through a sigmoid first, "
            "divide a mask of 255 by 255."
        )
