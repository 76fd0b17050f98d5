"""Moving arrays between grids in millimetres, along axes or at any angle.

Linear for images and probabilities, nearest for label maps. A voxel is a box: points up to half a
voxel beyond the outermost centres take the edge value, points further out take ``fill``.
Between grids with parallel axes the work is done axis by axis, which is what makes sixteen
channels on a full CT grid a matter of a second; other grids go through `grid_sample` in blocks.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import grid_sample

from fmtutor.core.geometry import SPATIAL_AXES, Grid
from fmtutor.data.cases import Case

ALIGNED_TOLERANCE_VOX = 1e-3
"""Grids whose axes part by less than this over the whole target count as parallel."""
BLOCK_VOXELS = 2**20
"""Target voxels that the oblique path handles at a time."""


def resample_case(
    case: Case, spacing_mm: tuple[float, float, float], *, antialias: bool = True
) -> Case:
    """Return the case at another spacing, with the same axes, centre and ``native`` grid.

    The image is interpolated linearly; along an axis that gets coarser the linear hat is widened
    to the new spacing (``antialias``), so that noise is averaged instead of sampled. Labels take
    the nearest voxel. At its own spacing the very same case comes back.

    Args:
        case: Any case.
        spacing_mm: Wanted voxel edges along H, W, D.
        antialias: Average when an axis gets coarser.
    """
    source, target = case.grid, case.grid.with_spacing(spacing_mm)
    if _is_identity(source, target):
        return case
    image = torch.from_numpy(np.ascontiguousarray(case.image, dtype=np.float32))
    image = _separable(image, source, target, fill=0.0, antialias=antialias).numpy()
    labels = None if case.labels is None else to_grid(case.labels, source, target, mode="nearest")
    return replace(case, image=image, labels=labels, affine=target.affine)


def to_grid(
    array: np.ndarray, source: Grid, target: Grid, *, mode: str = "linear", fill: int | float = 0.0
) -> np.ndarray:
    """Resample an array from one grid to another.

    Args:
        array: (..., *source.shape), with or without leading channel axes.
        source: Its grid.
        target: The wanted grid; any affine, any overlap.
        mode: "linear" gives float32; "nearest" keeps the dtype.
        fill: Value outside the source.

    Returns:
        (..., *target.shape). Equal grids, flips and shifts by whole voxels are voxel-exact.

    Raises:
        ValueError: The array is not on ``source``, or the mode is unknown.
    """
    if mode not in ("linear", "nearest"):
        raise ValueError(f'mode must be "linear" or "nearest", got {mode!r}.')
    if tuple(array.shape[-SPATIAL_AXES:]) != tuple(source.shape):
        raise ValueError(f"the array's last axes must be {source.shape}, got {array.shape}.")
    if _is_identity(source, target):
        return array.astype(np.float32) if mode == "linear" else array.copy()
    if mode == "nearest":
        return _nearest(array, source, target, fill)
    values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if _axis_order(source, target) is not None:
        return _separable(values, source, target, fill=fill).numpy()
    return _oblique_linear(values, source, target, fill).numpy()


def _between(source: Grid, target: Grid) -> np.ndarray:
    """Return the 4x4 matrix from target voxels to source voxels."""
    return np.linalg.solve(source.affine, target.affine)


def _is_identity(source: Grid, target: Grid) -> bool:
    if tuple(source.shape) != tuple(target.shape):
        return False
    reach = np.array([*source.shape, 1.0])
    drift = np.abs(_between(source, target) - np.eye(4)) * reach
    return bool(drift.max() < ALIGNED_TOLERANCE_VOX)


def _axis_order(source: Grid, target: Grid) -> tuple[int, ...] | None:
    """Return for each target axis the source axis parallel to it; None where grids are oblique."""
    steps = np.abs(_between(source, target)[:3, :3])
    order = steps.argmax(axis=0)
    drift = steps * np.array(target.shape)
    drift[order, range(SPATIAL_AXES)] = 0.0
    aligned = len(set(order.tolist())) == SPATIAL_AXES and drift.max() < ALIGNED_TOLERANCE_VOX
    return tuple(int(axis) for axis in order) if aligned else None


def _positions(source: Grid, target: Grid, order: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield for each target axis the coordinates of its voxels on source axis ``order[i]``."""
    matrix = _between(source, target)
    for axis, source_axis in enumerate(order):
        at = matrix[source_axis, axis] * np.arange(target.shape[axis]) + matrix[source_axis, 3]
        yield np.round(at, 4)  # whole voxels stay whole, so flips and shifts are exact


def _separable(
    values: torch.Tensor, source: Grid, target: Grid, *, fill: int | float, antialias: bool = False
) -> torch.Tensor:
    """Interpolate (..., *source.shape) linearly, one axis after the other.

    One channel at a time, so that what lies between the passes stays small and is used again.
    """
    order = _axis_order(source, target)
    if order is None:
        raise ValueError("axis by axis resampling needs parallel grids; use to_grid.")
    lead = values.shape[:-SPATIAL_AXES]
    channels = values.reshape(-1, *source.shape).permute(0, *(1 + axis for axis in order))
    positions = list(_positions(source, target, order))
    out = torch.empty((len(channels), *target.shape))
    for channel, result in zip(channels, out, strict=True):
        for axis in (2, 1, 0):  # H last: its voxels lie apart in whole slabs, the cheapest to copy
            channel = _along_axis(channel, axis, positions[axis], antialias=antialias)
        result.copy_(channel)
    for axis, at in enumerate(positions):
        outside = (at < -0.5) | (at > source.shape[order[axis]] - 0.5)
        out.index_fill_(1 + axis, torch.from_numpy(outside.nonzero()[0]), fill)
    return out.reshape(*lead, *target.shape)


def _along_axis(
    values: torch.Tensor, axis: int, at: np.ndarray, *, antialias: bool
) -> torch.Tensor:
    """Interpolate along one axis at the coordinates ``at``, clamped to the edge values."""
    size = values.shape[axis]
    step = abs(float(at[1] - at[0])) if len(at) > 1 else 1.0
    if antialias and step > 1.0:
        return _averaged(values, axis, at, step)
    at = np.clip(at, 0, size - 1)
    low = np.floor(at).astype(np.int64)
    weight = torch.from_numpy((at - low).astype(np.float32))
    weight = weight.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    below = values.index_select(axis, torch.from_numpy(low))
    above = values.index_select(axis, torch.from_numpy(np.minimum(low + 1, size - 1)))
    return above.sub_(below).mul_(weight).add_(below)


def _averaged(values: torch.Tensor, axis: int, at: np.ndarray, step: float) -> torch.Tensor:
    """Average along one axis with a hat of half-width ``step`` source voxels around ``at``."""
    distance = np.abs(np.arange(values.shape[axis])[None, :] - at[:, None]) / step
    hat = np.clip(1.0 - distance, 0.0, None)
    matrix = torch.from_numpy((hat / hat.sum(axis=1, keepdims=True)).astype(np.float32))
    return torch.movedim(torch.movedim(values, axis, -1) @ matrix.T, -1, axis)


def _nearest(array: np.ndarray, source: Grid, target: Grid, fill: int | float) -> np.ndarray:
    """Take the voxel that each target centre falls into; keeps the dtype."""
    order = _axis_order(source, target)
    if order is None:
        return _oblique_nearest(array, source, target, fill)
    lead = array.ndim - SPATIAL_AXES
    out = array.transpose(*range(lead), *(lead + axis for axis in order))
    for axis, at in enumerate(_positions(source, target, order)):
        size = out.shape[lead + axis]
        index = np.floor(at + 0.5).astype(np.int64)
        out = np.take(out, np.clip(index, 0, size - 1), axis=lead + axis)
        out[(slice(None),) * (lead + axis) + ((index < 0) | (index >= size),)] = fill
    return np.ascontiguousarray(out)


def _blocks(source: Grid, target: Grid) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slabs of the target along H, each with its source coordinates (h, W, D, 3)."""
    matrix = _between(source, target)
    rows = max(1, BLOCK_VOXELS // (target.shape[1] * target.shape[2]))
    _, w, d = (np.arange(size, dtype=float) for size in target.shape)
    for start in range(0, target.shape[0], rows):
        h = np.arange(start, min(start + rows, target.shape[0]), dtype=float)
        parts = (h[:, None, None], w[None, :, None], d[None, None, :])
        at = [sum(matrix[row, i] * parts[i] for i in range(3)) + matrix[row, 3] for row in range(3)]
        yield slice(start, start + len(h)), np.stack(at, axis=-1)


def _oblique_nearest(
    array: np.ndarray, source: Grid, target: Grid, fill: int | float
) -> np.ndarray:
    out = np.full((*array.shape[:-SPATIAL_AXES], *target.shape), fill, dtype=array.dtype)
    for rows, at in _blocks(source, target):
        index = np.floor(at + 0.5).astype(np.int64)
        inside = ((index >= 0) & (index < source.shape)).all(axis=-1)
        h, w, d = index[inside].T
        out[..., rows, :, :][..., inside] = array[..., h, w, d]
    return out


def _oblique_linear(
    values: torch.Tensor, source: Grid, target: Grid, fill: int | float
) -> torch.Tensor:
    lead = values.shape[:-SPATIAL_AXES]
    flat = values.reshape(1, -1, *source.shape)
    out = torch.empty((flat.shape[1], *target.shape))
    size = np.array(source.shape)
    for rows, at in _blocks(source, target):
        outside = ((at < -0.5) | (at > size - 0.5)).any(axis=-1)
        scaled = (2.0 * at + 1.0) / size - 1.0  # grid_sample counts its last axis first
        points = torch.from_numpy(scaled[None, ..., ::-1].astype(np.float32).copy())
        block = grid_sample(flat, points, padding_mode="border", align_corners=False)[0]
        out[:, rows] = block.masked_fill_(torch.from_numpy(outside), fill)
    return out.reshape(*lead, *target.shape)
