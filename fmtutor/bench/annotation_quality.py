"""How masks of annotators differ from the truth and from each other, beyond one Dice.

Dice counts wrong voxels and does not ask where they are. Two sets of masks with equal Dice can
teach quite different things: errors that point outwards here and inwards there average out over
many examples, errors that always point outwards are learnt. So the border is looked at: at each
point x of the truth's border, annotator r has moved it by d_r(x) millimetres, outwards positive.

===============  ================================================================================
number           from d_r(x)
===============  ================================================================================
`bias_mm`        its mean: the whole mask is too generous, or too tight (`border_bias_mm`)
`shared_mm`      root mean square over x of the annotators' mean: what they all do at that place
`individual_mm`  root mean square of what is left: differs from one annotator to the next
===============  ================================================================================

A vote of many removes what is individual and keeps what is shared.

Source: Kulkarni et al., "Anytime, Anywhere, Anyone", MIDL 2024 (masks of high mean Dice, networks
trained on them significantly worse). The split into shared and individual is an analysis of
variance with places for groups. Taught in: 11
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from fmtutor.engine.metrics import dice

Mask = Bool[np.ndarray, "H W D"]
Part = tuple[Bool[np.ndarray, "h w d"], Float[np.ndarray, "h w d"]]
"""A mask and its signed distances in mm, in a box."""
MARGIN = 8
"""Voxels kept around the masks: a border that moved further counts as moved by about so much."""


@dataclass(frozen=True, kw_only=True)
class Borders:
    """What became of the truth's border, over all annotators of one structure."""

    bias_mm: float
    """Mean over annotators of `border_bias_mm`."""
    shared_mm: float
    """Root mean square of what all annotators have in common at a point, the bias included."""
    individual_mm: float
    """Root mean square of what differs between annotators; NaN for one alone."""


def border_shift_mm(
    mask: Mask, truth: Mask, spacing_mm: Sequence[float]
) -> Float[np.ndarray, " X"]:
    """Return how far the border has moved at each voxel of the truth's surface, outwards positive.

    Measured by signed distances to the two masks' borders (a voxel deep inside is +, outside -),
    so that equal masks give exactly 0, and a mask grown by a voxel about a voxel.

    Args:
        mask: What an annotator made; an empty one has no border.
        truth: Boolean, of equal shape, neither empty nor everything.
        spacing_mm: Voxel edges along H, W, D.

    Raises:
        ValueError: A mask is empty, or the shapes differ.
    """
    (_, at_mask), (truth, at_truth) = _depths(mask, truth, spacing_mm)
    return (at_mask - at_truth)[_surface(truth)]


def border_bias_mm(mask: Mask, truth: Mask, spacing_mm: Sequence[float]) -> float:
    """Return the mean shift of a border, outwards positive, seen from both surfaces in equal parts.

    From the truth's surface alone a part that was missed would count by its depth, and a part that
    was added far away not at all.
    """
    (mask, at_mask), (truth, at_truth) = _depths(mask, truth, spacing_mm)
    shift = at_mask - at_truth
    return float(shift[_surface(truth)].mean() + shift[_surface(mask)].mean()) / 2


def borders(masks: Sequence[Mask], truth: Mask, spacing_mm: Sequence[float]) -> Borders:
    """Split what happened to a border into what annotators share and what is each one's own.

    Args:
        masks: One for each annotator; empty ones are left out.
        truth: The structure.
        spacing_mm: Voxel edges along H, W, D.

    Raises:
        ValueError: No annotator drew anything.
    """
    drawn = [mask for mask in masks if mask.any()]
    if not drawn:
        raise ValueError("borders need a mask that holds a voxel, got none; leave this one out.")
    shift = np.stack([border_shift_mm(mask, truth, spacing_mm) for mask in drawn])  # (R, X)
    count = len(drawn)
    within = float(shift.var(0, ddof=1).mean()) if count > 1 else float("nan")
    # The mean over annotators still holds 1/R of what is individual: that share is taken off.
    shared = float((shift.mean(0) ** 2).mean()) - (within / count if count > 1 else 0.0)
    return Borders(
        bias_mm=float(np.mean([border_bias_mm(mask, truth, spacing_mm) for mask in drawn])),
        shared_mm=float(np.sqrt(max(shared, 0.0))),
        individual_mm=float(np.sqrt(within)),
    )


def pairwise_dice(masks: Sequence[Mask]) -> list[float]:
    """Return Dice of each pair of annotators; NaN where both drew nothing."""
    return [dice(one, other) for one, other in combinations(masks, 2)]


def majority(masks: Sequence[Mask]) -> Mask:
    """Return the voxels that more than half of the annotators took.

    Raises:
        ValueError: There is none, or an even number, whose ties no vote can break.
    """
    if len(masks) % 2 == 0:
        raise ValueError(f"a vote needs an odd number of masks, got {len(masks)}; leave one out.")
    return np.sum(masks, 0) * 2 > len(masks)


def quality(mask: Mask, truth: Mask, spacing_mm: Sequence[float]) -> dict[str, float | None]:
    """Return the numbers of one mask: Dice, volume over the truth's, mean shift of its border.

    Returns:
        "dice", "volume_ratio", and "bias_mm", which is None where nothing was drawn.
    """
    return {
        "dice": dice(mask, truth),
        "volume_ratio": float(mask.sum() / truth.sum()),
        "bias_mm": border_bias_mm(mask, truth, spacing_mm) if mask.any() else None,
    }


def moved(
    truth: Mask,
    dice_wanted: float,
    spacing_mm: Sequence[float],
    *,
    direction: Float[np.ndarray, "H W D"] | float = 1.0,
    keep_volume: bool = False,
    most_mm: float = 40.0,
) -> Mask:
    """Return the truth with its border moved until Dice is about ``dice_wanted``.

    A border is moved by ``amount * direction(x)`` millimetres, and the amount found by halving.
    A direction of 1 makes the mask too large everywhere, -1 too small; smooth noise of mean 0 makes
    it wrong by chance.

    Args:
        truth: The structure, with a voxel at least.
        dice_wanted: In (0, 1).
        spacing_mm: Voxel edges along H, W, D.
        direction: One number, or one a voxel.
        keep_volume: Keep the number of voxels: where a border moves both ways, what is gained
            outside is more than what is lost inside, as spheres grow.
        most_mm: The largest amount tried.
    """
    depth, size = _signed(truth, spacing_mm), int(truth.sum())
    # Whole layers of voxels lie at one distance; what their neighbours say puts them in an order,
    # so that the border moves by less than a layer.
    order = ndimage.gaussian_filter(truth.astype(float), 1.0) - 0.5
    depth = depth + float(np.mean(spacing_mm)) * order

    def by(amount: float) -> Mask:
        value = depth + amount * direction
        if not keep_volume:
            return value > 0
        return value >= np.partition(value.ravel(), -size)[-size]

    low, high = 0.0, most_mm
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if dice(by(middle), truth) > dice_wanted else (low, middle)
    return by((low + high) / 2)


def smooth_noise(
    shape: Sequence[int], rng: np.random.Generator, *, sigma_mm: float, spacing_mm: Sequence[float]
) -> Float[np.ndarray, "H W D"]:
    """Return Gaussian noise of mean 0 and standard deviation 1, smoothed over ``sigma_mm``."""
    sigmas = [sigma_mm / edge for edge in spacing_mm]
    noise = ndimage.gaussian_filter(rng.normal(size=tuple(shape)), sigmas, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def agreement(masks: Mapping[str, Mask]) -> float:
    """Return the mean pairwise Dice of annotators by name."""
    return float(np.nanmean(pairwise_dice(list(masks.values()))))


def _depths(mask: Mask, truth: Mask, spacing_mm: Sequence[float]) -> tuple[Part, Part]:
    """Return both masks in the box round them, each with its signed distances."""
    if mask.shape != truth.shape or not mask.any() or not truth.any():
        raise ValueError(
            f"a border moves between masks on one grid that hold something, got {mask.shape} with "
            f"{int(mask.sum())} and {truth.shape} with {int(truth.sum())} voxels; leave it out."
        )
    box = _box_round(mask | truth)
    mask, truth = mask[box], truth[box]
    return (mask, _signed(mask, spacing_mm)), (truth, _signed(truth, spacing_mm))


def _surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that touch what is outside of it."""
    return mask & ~ndimage.binary_erosion(mask, border_value=1)


def _signed(mask: Mask, spacing_mm: Sequence[float]) -> Float[np.ndarray, "H W D"]:
    """Return the distance to the border in mm, inside positive; half a voxel at either side."""
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_mm)
    half = float(np.mean(spacing_mm)) / 2
    return np.where(mask, inside - half, half - outside)


def _box_round(mask: Mask) -> tuple[slice, ...]:
    """Return the box of a mask with a margin, so that distances are measured on few voxels."""
    at = np.argwhere(mask)
    low, high = at.min(0) - MARGIN, at.max(0) + 1 + MARGIN
    return tuple(slice(max(0, int(a)), int(b)) for a, b in zip(low, high, strict=True))
