"""Voxel grids in the patient's world: orientation, spacing, resampling, and the way back.

World is RAS+ in millimetres; an affine maps voxel indices ``(h, w, d)`` to it.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an array lie."""

    shape: tuple[int, int, int]
    """Voxels along each axis of the array as stored."""
    affine: np.ndarray
    """4x4, voxel indices to RAS+ mm."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along the array's own axes."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(round(length, 6)) for length in lengths)  # type: ignore[return-value]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0
