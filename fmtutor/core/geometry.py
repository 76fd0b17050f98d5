"""Voxel grids in the patient's world: orientation, spacing, and the way between grids.

World is RAS+ in millimetres; an affine maps voxel indices ``(h, w, d)`` to it, and integer indices
are the centres of voxels. Reorientation only permutes and flips axes, so it is exact both ways;
an oblique affine is kept as it is, and its axes are brought as close to RAS as that allows.
"""

from dataclasses import dataclass
from itertools import product

import nibabel as nib
import numpy as np

SPATIAL_AXES = 3
"""Every function that moves arrays works on the last three axes; channels come before them."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an array lie.

    Raises:
        ValueError: The shape is not three positive sizes, or the affine is not an invertible
            4x4 matrix of finite numbers (a spacing of zero is one way not to be).
    """

    shape: tuple[int, int, int]
    """Voxels along each axis of the array as stored."""
    affine: np.ndarray
    """4x4, voxel indices to RAS+ mm."""

    def __post_init__(self) -> None:
        check_shape(self.shape)
        check_affine(self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along the array's own axes."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return tuple(float(round(length, 6)) for length in lengths)  # type: ignore[return-value]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def orientation(self) -> str:
        """Where each axis points, in three letters such as "LPS" ("RAS" after reading)."""
        return "".join(nib.aff2axcodes(self.affine))

    @property
    def tilt_degrees(self) -> float:
        """Largest angle between an axis and the patient axis it stands for; 0 if not oblique."""
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        patient_axes = _orientation(self)[:, 0].astype(int)
        along = np.abs(directions[patient_axes, range(SPATIAL_AXES)])
        return float(np.degrees(np.arccos(np.clip(along, 0.0, 1.0))).max())

    @property
    def is_oblique(self) -> bool:
        """Whether an axis leaves its patient axis by more than rounding (0.01 degrees)."""
        return self.tilt_degrees > 0.01

    def to_ras(self) -> "Grid":
        """Return the grid of the same voxels after `array_to_ras`."""
        orientation = _orientation(self)
        shape = [0, 0, 0]
        for axis, (patient_axis, _) in enumerate(orientation.astype(int)):
            shape[patient_axis] = self.shape[axis]
        affine = self.affine @ nib.orientations.inv_ornt_aff(orientation, self.shape)
        return Grid(tuple(shape), affine)  # type: ignore[arg-type]

    def array_to_ras(self, array: np.ndarray) -> np.ndarray:
        """Permute and flip an array stored on this grid so that its axes run R, A, S.

        Args:
            array: (..., *shape); leading axes are left alone.

        Returns:
            The same voxels on ``self.to_ras()``, contiguous, same dtype.
        """
        _check_stored(array, self.shape)
        patient_axes, signs = _orientation(self).astype(int).T
        lead = array.ndim - SPATIAL_AXES
        flipped = np.flip(
            array, tuple(lead + axis for axis in range(SPATIAL_AXES) if signs[axis] < 0)
        )
        order = [lead + int(axis) for axis in np.argsort(patient_axes)]
        return np.ascontiguousarray(flipped.transpose(*range(lead), *order))

    def array_from_ras(self, array: np.ndarray) -> np.ndarray:
        """Undo `array_to_ras`: bring an array on ``self.to_ras()`` back to this grid's storage."""
        _check_stored(array, self.to_ras().shape)
        patient_axes, signs = _orientation(self).astype(int).T
        lead = array.ndim - SPATIAL_AXES
        stored = array.transpose(*range(lead), *(lead + int(axis) for axis in patient_axes))
        flips = tuple(lead + axis for axis in range(SPATIAL_AXES) if signs[axis] < 0)
        return np.ascontiguousarray(np.flip(stored, flips))

    def with_spacing(self, spacing_mm: tuple[float, float, float]) -> "Grid":
        """Return a grid of other spacing with the same axes and centre that covers this one.

        The size is rounded up, so each new voxel centre lies in the old field of view and each
        old centre in the new one: neither way needs an invented value.

        Raises:
            ValueError: A spacing is not positive.
        """
        wanted = np.asarray(spacing_mm, dtype=float)
        if wanted.shape != (SPATIAL_AXES,) or not (np.isfinite(wanted) & (wanted > 0)).all():
            raise ValueError(f"spacing_mm must be three positive numbers, got {spacing_mm}.")
        old = np.linalg.norm(self.affine[:3, :3], axis=0)
        scale = np.where(np.isclose(wanted, old, rtol=1e-5, atol=0.0), 1.0, wanted / old)
        shape = np.maximum(1, np.ceil(np.array(self.shape) / scale - 1e-3)).astype(int)
        affine = np.array(self.affine, dtype=float)
        affine[:3, :3] *= scale
        old_centre = self.affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        affine[:3, 3] = self.affine[:3, 3] + old_centre - affine[:3, :3] @ ((shape - 1) / 2)
        return Grid(tuple(int(size) for size in shape), affine)  # type: ignore[arg-type]


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise ValueError unless ``shape`` is three positive sizes."""
    if len(shape) != SPATIAL_AXES or min(shape) < 1:
        raise ValueError(f"a grid has three axes of at least one voxel, got shape {tuple(shape)}.")


def check_affine(affine: np.ndarray) -> None:
    """Raise ValueError unless ``affine`` is an invertible 4x4 matrix of finite numbers."""
    if np.shape(affine) != (4, 4):
        raise ValueError(f"an affine is 4x4, got shape {np.shape(affine)}.")
    if not np.isfinite(affine).all() or not np.array_equal(affine[3], [0, 0, 0, 1]):
        raise ValueError(
            f"an affine is finite with last row 0 0 0 1, got {np.asarray(affine).tolist()}."
        )
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing.min() < 1e-6:
        raise ValueError(
            f"voxel spacing must be positive, got {spacing.tolist()} mm; fix the header."
        )
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        raise ValueError(
            f"an affine must be invertible, got {np.asarray(affine).tolist()}: two axes point the "
            "same way; fix the file's orientation."
        )


def voxel_to_world(points_vox: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Map voxel coordinates (..., 3), real or integer, to RAS+ mm (..., 3)."""
    return np.asarray(points_vox, dtype=float) @ affine[:3, :3].T + affine[:3, 3]


def world_to_voxel(points_mm: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Map RAS+ mm (..., 3) to real voxel coordinates (..., 3); round for the nearest voxel."""
    check_affine(affine)
    return np.linalg.solve(
        affine[:3, :3], (np.asarray(points_mm, float) - affine[:3, 3])[..., None]
    )[..., 0]


def corners_mm(grid: Grid) -> np.ndarray:
    """Return the world positions (8, 3) of the corner voxels' centres."""
    ends = list(product(*((0, size - 1) for size in grid.shape)))
    return voxel_to_world(np.array(ends), grid.affine)


def same_grid(one: Grid, other: Grid, *, tolerance_mm: float = 0.01) -> bool:
    """Whether two grids hold the same voxels: equal shape, corners within ``tolerance_mm``."""
    if tuple(one.shape) != tuple(other.shape):
        return False
    return bool(np.abs(corners_mm(one) - corners_mm(other)).max() <= tolerance_mm)


def _orientation(grid: Grid) -> np.ndarray:
    """Return nibabel's (3, 2) table: for each stored axis its patient axis and direction."""
    return nib.io_orientation(grid.affine)


def _check_stored(array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.ndim < SPATIAL_AXES or tuple(array.shape[-SPATIAL_AXES:]) != tuple(shape):
        raise ValueError(f"the array's last axes must be {tuple(shape)}, got {array.shape}.")
