"""Volumes in a cube of one size, and the way back: what `fmtutor.data.slices` is for slices.

A 3D in-context network sees a fixed cube. Volumes are scaled so that voxels become cubes in
millimetres and the longest side fits, then centred on air.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class CubeFrame:
    """Where volumes of one shape lie in a cube of ``size`` voxels."""

    shape: tuple[int, int, int]
    """Voxels of a volume along H, W, D."""
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Their edge lengths."""
    size: int = 64
    """Voxels along each side of the cube."""

    @property
    def inner(self) -> tuple[int, int, int]:
        """Voxels along H, W, D that the volume fills in the cube."""
        extent = [n * mm for n, mm in zip(self.shape, self.spacing_mm, strict=True)]
        h, w, d = (max(1, round(self.size * side / max(extent))) for side in extent)
        return h, w, d

    @property
    def corner(self) -> tuple[int, int, int]:
        """First voxel of the volume in the cube."""
        h, w, d = ((self.size - side) // 2 for side in self.inner)
        return h, w, d

    def image(self, volumes: np.ndarray | Tensor) -> Tensor:
        """Bring images (n, H, W, D) into the cube: (n, 1, size, size, size), smoothed, 0 around."""
        return self._placed(_resized(_maps(volumes), self.inner))

    def mask(self, volumes: np.ndarray | Tensor) -> Tensor:
        """Bring masks into the cube as 0 and 1: a voxel that is at least half covered counts."""
        return self._placed((_resized(_maps(volumes), self.inner) >= 0.5).float())

    def back(self, maps: Tensor) -> Tensor:
        """Bring maps (n, 1, size, size, size) back to the volumes: (n, H, W, D), interpolated."""
        h, w, d = (slice(a, a + n) for a, n in zip(self.corner, self.inner, strict=True))
        return _resized(maps[:, 0, h, w, d].float(), self.shape)

    def _placed(self, volumes: Tensor) -> Tensor:
        room: list[int] = []
        for start, side in zip(self.corner[::-1], self.inner[::-1], strict=True):
            room += [start, self.size - start - side]
        return functional.pad(volumes[:, None], room)


def _maps(volumes: np.ndarray | Tensor) -> Tensor:
    if isinstance(volumes, np.ndarray):
        volumes = torch.from_numpy(np.ascontiguousarray(volumes, dtype=np.float32))
    return volumes.float()


def _resized(volumes: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Interpolate (n, H, W, D), averaging where an axis gets coarser.

    Torch averages in 2D only, so H and W go first, slice by slice, and then D, line by line.
    """
    if tuple(volumes.shape[1:]) == tuple(shape):
        return volumes
    h, w, d = shape
    options: dict[str, Any] = {"mode": "bilinear", "align_corners": False, "antialias": True}
    planes = functional.interpolate(volumes.movedim(3, 1), size=(h, w), **options)  # (n, D, h, w)
    lines = planes.movedim(1, 3).flatten(1, 2)[:, None]  # (n, 1, h * w, D)
    lines = functional.interpolate(lines, size=(h * w, d), **options)
    return lines[:, 0].unflatten(1, (h, w))
