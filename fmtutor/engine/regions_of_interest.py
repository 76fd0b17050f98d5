"""Regions of interest: the part of a volume that a promptable network sees, and the way back.

A network answers on a fixed number of voxels. Which part of the patient they cover is a rule, not
a detail: a crop centred on the label already gives most of the answer away. Rules here use the
prompts alone, except for one that says so:

- "whole": the volume, made coarser until it fits; proportions stay.
- "first_click": the working spacing around the first click or box.
- "auto_zoom": the same, and zoomed out while the answer touches the border, for what lies beyond
  (nnInteractive's idea).
- "oracle": centred on the label, as SAM-Med3D was evaluated; for comparisons only.

A region is parallel to the case's voxel axes, so oblique volumes need nothing of their own.
Sources: Isensee et al., "nnInteractive", CVPR 2025; Wang et al., "SAM-Med3D", ECCV 2024 workshops.
Taught in: 10
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

POLICIES = ("whole", "first_click", "auto_zoom", "oracle")
ZOOM_STEP, ZOOM_LIMIT = 1.5, 4.0
TOUCH_SHARE = 0.0025
"""An answer touches the border where it covers this share of a face: at 96 x 96 voxels of 3 mm,
23 of them or 2 cm², the section of an aorta, and more than a speck."""
SAME_SPACING = 0.01
"""A working spacing within 1 % of the case's is the case's: voxels are taken, not interpolated."""

Voxel = tuple[float | int, float | int, float | int]
Box = tuple[slice, slice, slice]
Numbers = Sequence[Any] | np.ndarray
"""Three numbers of any kind, or rows of three."""

Frame = tuple[Sequence[int], Sequence[float]]
"""A case's shape and its voxel edges in mm."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A lattice of voxels in the frame of a case, parallel to its axes; equal regions hash alike.

    The case itself is the region of start 0 and step 1.
    """

    start: Voxel
    """Case coordinates of the centre of voxel (0, 0, 0)."""
    step: Voxel
    """Case voxels from one voxel to the next."""
    shape: tuple[int, int, int]
    """Voxels along H, W, D."""

    def from_case(self, points_vox: Numbers) -> np.ndarray:
        """Map case coordinates (..., 3) to coordinates of the region."""
        return (np.asarray(points_vox, float) - self.start) / self.step

    def to_case(self, points: Numbers) -> np.ndarray:
        """Map coordinates of the region (..., 3) to case coordinates."""
        return np.asarray(points, float) * self.step + self.start

    def holds(self, points_vox: Numbers) -> Any:
        """Return which case coordinates (..., 3) lie in the region's field of view."""
        at = self.from_case(points_vox)
        return np.all((at >= -0.5) & (at <= np.array(self.shape) - 0.5), axis=-1)

    def field(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the case coordinates (3,) of the outer edges of the first and last voxels."""
        return self.to_case([-0.5] * 3), self.to_case(np.array(self.shape) - 0.5)

    def box(self, shape: Sequence[int]) -> Box:
        """Return the voxels of a case of this shape whose centres lie in the field of view."""
        low, high = self.field()
        first = np.clip(np.ceil(np.round(low, 6)), 0, shape).astype(int)
        end = np.clip(np.floor(np.round(high, 6)) + 1, first, shape).astype(int)
        return cast(Box, tuple(slice(int(a), int(b)) for a, b in zip(first, end, strict=True)))

    def covers(self, other: "Region") -> bool:
        """Whether the other region's field of view lies in this one's."""
        (low, high), (first, last) = self.field(), other.field()
        return bool((low <= first + 1e-6).all() and (high >= last - 1e-6).all())

    def overlaps(self, other: "Region") -> bool:
        """Whether the fields of view share more than a border."""
        (low, high), (first, last) = self.field(), other.field()
        return bool((np.minimum(high, last) - np.maximum(low, first) > 1e-6).all())

    def with_shape(self, shape: Sequence[int]) -> "Region":
        """Return the lattice of other voxels that fills the same field of view."""
        factor = np.array(self.shape) / np.array(shape)
        start = np.array(self.start) + (factor - 1) / 2 * self.step
        return lattice(start, factor * self.step, shape)

    def within(self, box: Box) -> "Region":
        """Return the lattice of a box of this one's voxels."""
        start = self.to_case([part.start for part in box])
        return lattice(start, self.step, [part.stop - part.start for part in box])


def case_region(shape: Sequence[int]) -> Region:
    """Return the lattice of a case's own voxels."""
    return lattice((0, 0, 0), (1, 1, 1), shape)


def around(
    centre: Numbers,
    *,
    case: Frame,
    size: Sequence[int],
    spacing_mm: float,
    zoom: float = 1.0,
) -> Region:
    """Return the region around a point of a case.

    Along an axis where the volume fits, the region is centred on the volume; along the others on
    the point, but moved no further than the volume's edge, so nothing is spent on air.

    Args:
        centre: Case coordinates.
        case: Its shape, and its voxel edges in mm.
        size: Voxels of the region.
        spacing_mm: Edge of its voxels, before zooming.
        zoom: Above 1 sees more, coarser.
    """
    shape = np.array(case[0])
    step = spacing_mm * zoom / np.array(case[1])
    step = np.where(np.abs(step - 1) <= SAME_SPACING, 1.0, step)
    half = step * np.array(size) / 2
    middle = np.clip(centre, half - 0.5, np.maximum(shape - 0.5 - half, half - 0.5))
    middle = np.where(2 * half >= shape, (shape - 1) / 2, middle)
    start = middle - step * (np.array(size) - 1) / 2
    return lattice(np.where(step == 1, np.ceil(start - 1e-6), start), step, size)


def whole(*, case: Frame, size: Sequence[int], spacing_mm: float) -> Region:
    """Return the region that holds the whole case, at the working spacing or coarser."""
    extent_mm = np.array(case[0]) * np.array(case[1])
    zoom = max(1.0, float((extent_mm / (np.array(size) * spacing_mm)).max()))
    centre = (np.array(case[0]) - 1) / 2
    return around(list(centre), case=case, size=size, spacing_mm=spacing_mm, zoom=zoom)


def label_centre(mask: Bool[np.ndarray, "H W D"]) -> Voxel:
    """Return the centre of a mask's bounding box, for the "oracle" rule alone.

    Raises:
        ValueError: The mask is empty.
    """
    at = np.argwhere(mask)
    if not len(at):
        raise ValueError("an oracle needs a label, got an empty mask; leave this structure out.")
    return cast(Voxel, tuple(float(value) for value in (at.min(0) + at.max(0)) / 2))


def resample(
    values: Float[Tensor, "h w d"], source: Region, target: Region, *, fill: float
) -> Float[Tensor, "x y z"]:
    """Bring values from one lattice to another: linear, averaged where an axis gets coarser.

    The same hat as `fmtutor.data.resampling.resample_case`. Half a voxel beyond the outermost
    centres takes the edge value, further out ``fill``; a lattice's own voxels come back exactly.
    """
    beyond = {}
    shrinks = np.prod(target.shape) < values.numel()
    for axis in (0, 1, 2) if shrinks else (2, 1, 0):  # H, whose slabs lie whole, where most is done
        matrix, outside = _weights(source, target, axis)
        beyond[axis] = torch.from_numpy(outside.nonzero()[0])
        used = np.flatnonzero(matrix.any(0))
        first, last = (used[0], used[-1] + 1) if len(used) else (0, 1)
        part = values.narrow(axis, int(first), int(last - first)).movedim(axis, 0)
        weights = torch.from_numpy(matrix[:, first:last])
        out = (weights @ part.reshape(len(part), -1)).reshape(-1, *part.shape[1:])
        values = out.movedim(0, axis)
    for axis, rows in beyond.items():
        values.index_fill_(axis, rows, fill)
    return values.contiguous()


def inside_case(
    logits: Float[Tensor, "h w d"], region: Region, shape: Sequence[int], *, threshold: float = 0.0
) -> tuple[Box, Bool[np.ndarray, "x y z"]]:
    """Bring an answer to the case's voxels: logits are interpolated, then compared.

    Interpolation never exceeds its neighbours, so only the surroundings of what is inside are
    worked on; the rest of the region's box is outside.

    Returns:
        The region's box in the case, and the mask in it.
    """
    box = region.box(shape)
    mask = np.zeros([part.stop - part.start for part in box], bool)
    above = torch.nonzero(logits > threshold)
    if not len(above) or not mask.size:
        return box, mask
    low = (above.amin(0) - 1).clamp_min(0).tolist()
    high = torch.minimum(above.amax(0) + 2, torch.tensor(logits.shape)).tolist()
    near = cast(Box, tuple(slice(a, b) for a, b in zip(low, high, strict=True)))
    part = region.within(near)
    inner = part.box(shape)
    if any(span.stop <= span.start for span in inner):  # all of it lies where the case has ended
        return box, mask
    found = resample(logits[near], part, case_region(shape).within(inner), fill=threshold)
    offset = (slice(i.start - b.start, i.stop - b.start) for i, b in zip(inner, box, strict=True))
    mask[tuple(offset)] = (found > threshold).numpy()
    return box, mask


def touches_border(
    logits: Float[Tensor, "h w d"], region: Region, shape: Sequence[int], *, threshold: float = 0.0
) -> bool:
    """Whether an answer reaches a face of the region beyond which the volume goes on."""
    (low, high), inside = region.field(), logits > threshold
    for axis in range(3):
        faces = ((0, low[axis] > 0), (-1, high[axis] < shape[axis] - 1))
        for index, goes_on in faces:
            if goes_on and inside.select(axis, index).float().mean() > TOUCH_SHARE:
                return True
    return False


def _weights(source: Region, target: Region, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (target, source) along one axis, and which targets lie outside."""
    count, ratio = source.shape[axis], target.step[axis] / source.step[axis]
    first = (target.start[axis] - source.start[axis]) / source.step[axis]
    at = np.round(first + ratio * np.arange(target.shape[axis]), 5)  # whole voxels stay whole
    outside = (at < -0.5) | (at > count - 0.5)
    width = max(1.0, ratio)
    centre = at if width > 1 else np.clip(at, 0, count - 1)
    hat = np.clip(1 - np.abs(np.arange(count) - centre[:, None]) / width, 0, None)
    hat[outside] = 0
    return (hat / np.maximum(hat.sum(1, keepdims=True), 1e-9)).astype(np.float32), outside


def lattice(start: Numbers, step: Numbers, shape: Numbers) -> Region:
    """Return a region of plain numbers, rounded so that equal ones are equal."""
    starts = cast(Voxel, tuple(round(float(value), 6) for value in start))
    steps = cast(Voxel, tuple(round(float(value), 9) for value in step))
    return Region(start=starts, step=steps, shape=tuple(int(n) for n in shape))  # type: ignore
