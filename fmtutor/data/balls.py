"""Balls drawn at clicks: how a point becomes voxels that a convolution can see.

nnInteractive draws balls of radius 4 into a channel, softened by the distance to their border, and
lets older ones fade by 0.98 a click (Isensee et al., nnInteractive, 2025).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from fmtutor.data.clicks import Click


def ball(
    point: Sequence[int],
    shape: Sequence[int],
    *,
    radius: float,
    soft: bool = False,
    spacing_mm: Sequence[float] | None = None,
) -> Float32[np.ndarray, "..."]:
    """Return a ball around a voxel, 1 inside and 0 outside; cut where the image ends.

    Args:
        point: Its middle; it may lie outside of the image.
        shape: Of the image, any dimension.
        radius: In voxels, or in mm where the spacing is given; 0 is the one voxel.
        soft: Fall linearly from 1 in the middle to 0 one voxel (or mm) beyond the radius.
        spacing_mm: Edge lengths of a voxel.
    """
    if not 0 <= radius < float("inf"):
        raise ValueError(f"a ball has a radius of 0 or more, got {radius}; 0 is one voxel.")
    out = np.zeros(tuple(shape), dtype=np.float32)
    edges = [1.0] * out.ndim if spacing_mm is None else list(spacing_mm)
    box, squares = [], []
    for at, side, edge in zip(point, out.shape, edges, strict=True):
        reach = int((radius + soft) / edge)
        line = np.arange(max(at - reach, 0), min(at + reach + 1, side))
        if not len(line):
            return out
        box.append(slice(int(line[0]), int(line[-1]) + 1))
        squares.append(((line - at) * edge) ** 2)
    distance = np.sqrt(sum(np.ix_(*squares)))  # broadcast to the box
    out[tuple(box)] = np.maximum(1 - distance / (radius + 1), 0) if soft else distance <= radius
    return out


def drawn_clicks(
    clicks: Sequence[Click],
    shape: Sequence[int],
    *,
    radius: float,
    soft: bool = False,
    fade: float = 1.0,
) -> Float32[np.ndarray, "2 ..."]:
    """Return two channels of balls: at clicks inside, and at clicks outside.

    Args:
        clicks: In order of time.
        shape: Of the image.
        radius: In voxels.
        soft: As in `ball`.
        fade: What a ball keeps of its height with each later click, in (0, 1].
    """
    if not 0 < fade <= 1:
        raise ValueError(f"fade lies in (0, 1], got {fade}; 1 keeps every click equally bright.")
    out = np.zeros((2, *shape), dtype=np.float32)
    for age, click in enumerate(reversed(clicks)):
        one = ball(click.point, shape, radius=radius, soft=soft) * np.float32(fade**age)
        channel = out[0 if click.positive else 1]
        np.maximum(channel, one, out=channel)
    return out
