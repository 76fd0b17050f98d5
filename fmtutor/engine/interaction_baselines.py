"""What no learning reaches: a ball at each click, a box filled. Any system has to beat these.

Each is an `Answerer` of `fmtutor.engine.interaction`.
"""

from collections.abc import Callable, Sequence

import numpy as np

from fmtutor.core.ask import Boxes, Clicks
from fmtutor.core.seeds import rng
from fmtutor.data.balls import ball
from fmtutor.data.boxes import boxes_of, filled
from fmtutor.engine.interaction import Answerer, Protocol, run_clicks
from fmtutor.engine.interaction_summary import area


def sphere_at_click(
    shape: Sequence[int], *, radius_mm: float, spacing_mm: Sequence[float]
) -> Answerer:
    """Return a system that paints a ball at each click and never looks at the image.

    Positive clicks add, negative ones remove, in order of time.

    Args:
        shape: Of the volume.
        radius_mm: Of every ball; see `best_radius_mm`.
        spacing_mm: Voxel edges along H, W, D.
    """

    def answer(clicks: Clicks) -> np.ndarray:
        mask = np.zeros(tuple(shape), dtype=bool)
        for point, positive in zip(clicks.points_vox, clicks.positive, strict=True):
            painted = ball(point, shape, radius=radius_mm, spacing_mm=spacing_mm) > 0
            mask = mask | painted if positive else mask & ~painted
        return mask

    return answer


def best_radius_mm(
    truths: Sequence[np.ndarray],
    protocol: Protocol,
    radii_mm: Sequence[float],
    *,
    spacing_mm: Sequence[float],
    seed: int = 0,
) -> float:
    """Return the radius whose curves have the largest mean `area`; the smallest of equals.

    On test masks this is the best that any fixed radius could do, chosen with the truth: stated
    so, it is an upper bound of the baseline. Chosen on training masks, it is a fair baseline.

    Args:
        truths: Masks, each with a voxel at least.
        protocol: Who clicks how often.
        radii_mm: To choose from.
        spacing_mm: Voxel edges along H, W, D, of all masks.
        seed: Of the clicks.

    Raises:
        ValueError: There is no mask or no radius.
    """
    if not truths or not radii_mm:
        raise ValueError(
            f"a radius is chosen by masks, got {len(truths)} masks and {len(radii_mm)} radii; "
            "give one of each at least."
        )

    def mean_area(radius: float) -> float:
        areas = []
        for at, truth in enumerate(truths):
            painter = sphere_at_click(truth.shape, radius_mm=radius, spacing_mm=spacing_mm)
            draw = rng("best radius", seed, at)
            areas.append(area(run_clicks(painter, truth, protocol, draw, spacing_mm=spacing_mm)))
        return float(np.mean(areas))

    return max(sorted(radii_mm), key=mean_area)


def bare_box(box: Boxes, shape: Sequence[int]) -> Callable[..., np.ndarray]:
    """Return a system that fills the boxes it is given, whatever is clicked.

    As ``run_clicks(..., start=answer())`` its curve is flat: the Dice of the box itself.

    Args:
        box: One box, or one a slice.
        shape: Of the volume.
    """
    mask = np.zeros(tuple(shape), dtype=bool)
    for one in boxes_of(box):
        mask |= filled(one, shape)

    def answer(clicks: Clicks | None = None) -> np.ndarray:
        return mask.copy()

    return answer
