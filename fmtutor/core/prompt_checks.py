"""What clicks, boxes and strokes of `fmtutor.core.ask` must be; each error says the way out."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MOST_CLICKS = 1000
"""More points than anybody clicks: whoever sends more means a scribble or a mask."""
AXES = 3
"""Parts point into volumes (h, w, d); a slice is a volume of depth 1."""


def clicked_voxels(points: Iterable[Any]) -> tuple[tuple[int, ...], ...]:
    """Return points as tuples of plain integers (h, w, d)."""
    points = list(points)
    if not 1 <= len(points) <= MOST_CLICKS:
        raise ValueError(
            f"clicks hold 1 to {MOST_CLICKS} points, got {len(points)}; "
            + ("click somewhere." if not points else "draw a scribble or give a mask instead.")
        )
    return tuple(
        _integers(point, AXES, f"point {at} of the clicks") for at, point in enumerate(points)
    )


def check_signs(points: Sequence[tuple[int, ...]], positive: Iterable[Any]) -> tuple[bool, ...]:
    """Return the signs of clicks as plain booleans, after checking them against the points."""
    signs = list(positive)
    if len(signs) != len(points):
        raise ValueError(
            f"clicks hold one sign a point, got {len(points)} points and {len(signs)} signs; "
            "say True (inside) or False (outside) for each."
        )
    if odd := [sign for sign in signs if sign not in (True, False)]:
        raise ValueError(f"a sign is True or False, got {odd[0]!r}; True is inside.")
    said: dict[tuple[int, ...], bool] = {}
    for point, sign in zip(points, signs, strict=True):
        if said.setdefault(point, bool(sign)) != bool(sign):
            raise ValueError(
                f"a voxel is inside or outside, got {point} clicked positive and negative; "
                "take one of the two clicks back."
            )
    return tuple(bool(sign) for sign in signs)


def corners(boxes: Iterable[Any]) -> tuple[tuple[int, ...], ...]:
    """Return boxes as tuples of plain integers: starts, then ends that are not included."""
    boxes = list(boxes)
    if not boxes:
        raise ValueError("boxes hold at least one box, got 0; draw one.")
    found = tuple(_integers(box, 2 * AXES, f"box {at}") for at, box in enumerate(boxes))
    for at, box in enumerate(found):
        if any(end <= start for start, end in zip(box[:AXES], box[AXES:], strict=True)):
            raise ValueError(
                f"a box (h0, w0, d0, h1, w1, d1) ends after it starts along each axis, got {box} "
                f"for box {at}; the end is not included: a box of one voxel ends one further."
            )
    return found


def strokes(inside: np.ndarray, outside: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return drawn strokes as bool, after checking that they can be followed."""
    inside = boolean_volume(inside, "a scribble inside")
    if outside is not None:
        outside = boolean_volume(outside, "a scribble outside")
        if inside.shape != outside.shape:
            raise ValueError(
                f"scribbles inside and outside share a grid, got {inside.shape} and "
                f"{outside.shape}; draw both on the volume."
            )
        if both := int((inside & outside).sum()):
            raise ValueError(
                f"a voxel is drawn as inside or as outside, got {both} voxels that are both; "
                "erase one of the strokes where they cross."
            )
    if not inside.any() and (outside is None or not outside.any()):
        raise ValueError("scribbles hold at least one stroke, got none; draw one.")
    return inside, outside


def boolean_volume(array: np.ndarray, what: str) -> np.ndarray:
    """Return a binary volume (H, W, D) as bool.

    Args:
        array: Bool, or numbers that are all 0 or 1.
        what: Its name in an error.
    """
    array = np.asarray(array)
    if array.ndim != AXES:
        raise ValueError(
            f"{what} is a volume (H, W, D), got shape {array.shape}; drop batch and channel axes, "
            "give a slice a depth of 1."
        )
    if array.dtype != bool and not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"{what} holds True and False (or 0 and 1), got other values of type {array.dtype}; "
            "pick one structure (mask == value) or threshold it (mask > 0.5)."
        )
    return array.astype(bool, copy=False)


def check_within(points: Iterable[Sequence[int]], shape: Sequence[int], what: str) -> None:
    """Check that voxels lie in a volume of this shape."""
    sides = tuple(int(side) for side in shape)
    for point in points:
        if len(point) != len(sides) or not all(
            0 <= at < side for at, side in zip(point, sides, strict=True)
        ):
            raise ValueError(
                f"{what} lies in the volume, 0 to {tuple(side - 1 for side in sides)}, got "
                f"{tuple(point)}; give voxel indices (h, w, d) from 0, not millimetres."
            )


def _integers(values: Any, count: int, what: str) -> tuple[int, ...]:
    try:
        given = [float(value) for value in values]
    except (TypeError, ValueError):
        given = []
    if len(given) != count or not all(value.is_integer() for value in given):
        raise ValueError(
            f"{what} is {count} whole numbers (voxel indices), got {values!r}; "
            "round to the voxel, and leave out what is NaN or infinite."
        )
    return tuple(int(value) for value in given)
