"""Volumes as square 2D slices of one size, and the way back.

In-context networks see a fixed square. A `SquareFrame` knows how a stack of slices fits into it:
scaled so that pixels stay square in millimetres and the longer side fits, then centred on air.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

AXES = ("sagittal", "coronal", "axial")
"""What a slice across voxel axis 0 (H), 1 (W) or 2 (D) of a RAS volume is called."""


def slices_of(volume: np.ndarray, axis: int) -> np.ndarray:
    """Return the slices across a voxel axis, (n, rows, columns); a view, not a copy.

    Raises:
        ValueError: The volume is not 3D, or it has no such axis.
    """
    if volume.ndim != 3 or axis not in (0, 1, 2):
        raise ValueError(f"slices need a 3D volume and axis 0, 1 or 2, got {volume.ndim}D, {axis}.")
    return np.moveaxis(volume, axis, 0)


@dataclass(frozen=True, kw_only=True)
class SquareFrame:
    """Where slices of one shape lie in a square of ``size`` pixels."""

    shape: tuple[int, int]
    """Rows and columns of a slice."""
    spacing_mm: tuple[float, float] = (1.0, 1.0)
    """Their edge lengths."""
    size: int = 128
    """Pixels along each side of the square."""

    @property
    def inner(self) -> tuple[int, int]:
        """Rows and columns that the slice fills in the square."""
        extent = [n * mm for n, mm in zip(self.shape, self.spacing_mm, strict=True)]
        longest = max(extent)
        rows, columns = (max(1, round(self.size * side / longest)) for side in extent)
        return rows, columns

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column of the slice in the square."""
        rows, columns = self.inner
        return (self.size - rows) // 2, (self.size - columns) // 2

    def image(self, slices: np.ndarray | Tensor) -> Tensor:
        """Bring images (n, rows, columns) into the square: (n, 1, size, size), 0 around them."""
        return self._placed(_resized(_maps(slices), self.inner, mode="bilinear"))

    def mask(self, slices: np.ndarray | Tensor) -> Tensor:
        """Bring masks into the square as 0 and 1: a pixel that is at least half covered counts."""
        share = _resized(_maps(slices), self.inner, mode="bilinear")
        return self._placed((share >= 0.5).float())

    def labels(self, slices: np.ndarray | Tensor) -> Tensor:
        """Bring label maps into the square by nearest pixel: (n, 1, size, size) float."""
        return self._placed(_resized(_maps(slices), self.inner, mode="nearest-exact"))

    def back(self, maps: Tensor) -> Tensor:
        """Bring maps (n, 1, size, size) back to the slices: (n, rows, columns), interpolated."""
        (top, left), (rows, columns) = self.corner, self.inner
        cut = maps[:, :, top : top + rows, left : left + columns].float()
        return _resized(cut, self.shape, mode="bilinear")[:, 0]

    def _placed(self, maps: Tensor) -> Tensor:
        (top, left), (rows, columns) = self.corner, self.inner
        room = (left, self.size - left - columns, top, self.size - top - rows)
        return functional.pad(maps, room)


def _maps(slices: np.ndarray | Tensor) -> Tensor:
    if isinstance(slices, np.ndarray):
        slices = torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))
    return slices.float()[:, None]


def _resized(maps: Tensor, shape: tuple[int, int], *, mode: str) -> Tensor:
    if tuple(maps.shape[2:]) == tuple(shape):
        return maps
    smooth = mode == "bilinear"
    options = {"align_corners": False, "antialias": True} if smooth else {}
    return functional.interpolate(maps, size=tuple(shape), mode=mode, **options)
