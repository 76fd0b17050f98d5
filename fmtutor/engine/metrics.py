"""How good a mask is: Dice, surface Dice and HD95 in millimetres, with stated empty rules.

==================  ==========  ========================================================
reference           prediction  scores
==================  ==========  ========================================================
empty               empty       undefined: NaN everywhere, left out of every mean
empty               voxels      Dice 0, surface Dice 0, HD95 infinite
voxels              empty       Dice 0, surface Dice 0, HD95 infinite
not annotated       any         NaN everywhere and ``known`` False
==================  ==========  ========================================================

JSON has neither NaN nor infinity: `json_rows` writes both as null, and the volumes tell which.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from fmtutor.core.geometry import same_grid
from fmtutor.core.seeds import rng
from fmtutor.data.cases import Case
from fmtutor.data.regions import Region
from fmtutor.engine.prediction import Prediction

UNDEFINED = float("nan")


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one mask scores against another."""

    dice: float
    """2 TP / (P + G), in [0, 1]."""
    dice_plus_one: float
    """2 TP / (P + G + 1), as FSEFT computes it: a little lower, above all for small structures."""
    nsd: float
    """Normalised surface Dice: share of both surfaces within the tolerance of the other."""
    hd95_mm: float
    """The larger of the two directed 95th percentiles of surface distances."""


def dice(prediction: np.ndarray, reference: np.ndarray, *, plus: float = 0.0) -> float:
    """Return 2 TP / (P + G + plus) of two boolean masks; NaN where that is 0 / 0."""
    total = float(prediction.sum()) + float(reference.sum()) + plus
    return 2.0 * float((prediction & reference).sum()) / total if total else UNDEFINED


def surface_distances_mm(
    prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances from each surface voxel of one mask to the surface of the other.

    A surface voxel has a face neighbour outside the mask (or outside the volume); distances run
    between voxel centres. Neither mask may be empty.

    Returns:
        Prediction to reference, then reference to prediction, each 1D in mm.
    """
    from monai.metrics.utils import get_edge_surface_distance

    box = _bounding_box(prediction | reference)  # exact: nothing lies outside of it
    masks = [torch.from_numpy(np.ascontiguousarray(mask[box])) for mask in (prediction, reference)]
    with warnings.catch_warnings():  # MONAI warns of an argument that it passes itself
        warnings.simplefilter("ignore", FutureWarning)
        _, distances, _ = get_edge_surface_distance(
            *masks, distance_metric="euclidean", spacing=list(spacing_mm), symmetric=True
        )
    return distances[0].numpy(), distances[1].numpy()


def score_mask(
    prediction: np.ndarray,
    reference: np.ndarray,
    *,
    spacing_mm: Sequence[float],
    tolerance_mm: float = 3.0,
) -> Scores:
    """Score a boolean mask (H, W, D) against another by the rules of this module.

    Args:
        prediction: The mask to judge.
        reference: The truth, of equal shape.
        spacing_mm: Voxel edges along H, W, D.
        tolerance_mm: Distance within which two surfaces agree.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(
            f"masks must share a grid, got {prediction.shape} and {reference.shape}; resample one."
        )
    plain, plus_one = dice(prediction, reference), dice(prediction, reference, plus=1.0)
    if np.isnan(plain):
        return Scores(dice=plain, dice_plus_one=UNDEFINED, nsd=UNDEFINED, hd95_mm=UNDEFINED)
    if not prediction.any() or not reference.any():
        return Scores(dice=plain, dice_plus_one=plus_one, nsd=0.0, hd95_mm=float("inf"))
    there, back = surface_distances_mm(prediction, reference, spacing_mm)
    agree = int((there <= tolerance_mm).sum()) + int((back <= tolerance_mm).sum())
    return Scores(
        dice=plain,
        dice_plus_one=plus_one,
        nsd=agree / (len(there) + len(back)),
        hd95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
    )


def score_case(
    prediction: Prediction,
    case: Case,
    regions: Sequence[Region] | None = None,
    *,
    tolerance_mm: float = 3.0,
) -> pd.DataFrame:
    """Score a prediction against the labels of its case, one row a region.

    A region is scored where the case annotates every structure of it; otherwise its row says
    ``known`` False and holds no score.

    Args:
        prediction: On the grid of the case; it has a class of each region's name.
        case: With labels.
        regions: What to score; None is each class of the prediction as its own structure.
        tolerance_mm: Tolerance of the surface Dice.

    Returns:
        Columns case, region, known, reference_ml, predicted_ml and the fields of `Scores`.

    Raises:
        ValueError: The grids differ, or the prediction lacks a region.
    """
    if not same_grid(prediction.grid, case.grid):
        raise ValueError(
            f"the prediction must be on the grid of case {case.name!r}, {case.grid.shape}, "
            f"got {prediction.grid.shape}; predict on this very case."
        )
    regions = [Region.of(name) for name in prediction.classes] if regions is None else regions
    rows = [_row(prediction, case, region, tolerance_mm) for region in regions]
    return pd.DataFrame(rows)


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain values for JSON: NaN (undefined) and infinity become None."""
    plain = frame.astype(object).to_dict("records")
    return [{str(key): _plain(value) for key, value in row.items()} for row in plain]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over cases with its bootstrap interval."""

    mean: float
    low: float
    high: float
    count: int
    """Cases with a defined value."""


def bootstrap_mean(
    values: Iterable[float], seed: int, *, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Return the mean and its percentile bootstrap interval over cases.

    Args:
        values: One value a case; NaN (undefined) is left out.
        seed: Of the resampling.
        resamples: Number of resamples with replacement.
        level: Coverage aimed at, in (0, 1).

    Raises:
        ValueError: No value is defined, or one is infinite.
    """
    given = np.array(list(values), dtype=float)
    kept = given[~np.isnan(given)]
    if not len(kept) or np.isinf(kept).any():
        raise ValueError(
            f"a mean needs at least one value and only finite ones, got {given.tolist()}; "
            "for HD95 with missed organs report the median and the number of misses."
        )
    drawn = rng("bootstrap", seed).integers(len(kept), size=(resamples, len(kept)))
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(kept[drawn].mean(axis=1), tails)
    return Interval(mean=float(kept.mean()), low=float(low), high=float(high), count=len(kept))


def _row(prediction: Prediction, case: Case, region: Region, tolerance_mm: float) -> dict[str, Any]:
    predicted = prediction.mask(region.name)
    voxel_ml = case.grid.voxel_ml
    row = {"case": case.name, "region": region.name, "known": region.structures <= case.known}
    row["predicted_ml"] = float(predicted.sum()) * voxel_ml
    scores = Scores(dice=UNDEFINED, dice_plus_one=UNDEFINED, nsd=UNDEFINED, hd95_mm=UNDEFINED)
    row["reference_ml"] = UNDEFINED
    if row["known"]:
        reference = case.mask(*region.structures)
        row["reference_ml"] = float(reference.sum()) * voxel_ml
        scores = score_mask(
            predicted, reference, spacing_mm=case.spacing_mm, tolerance_mm=tolerance_mm
        )
    return row | vars(scores)


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    axes = range(mask.ndim)
    lines = [np.flatnonzero(mask.any(axis=tuple(set(axes) - {axis}))) for axis in axes]
    return tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)


def _plain(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
