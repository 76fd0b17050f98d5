"""Rigid alignment of two patients by their spine and skin, and the overlap that then remains.

The transform x -> R (x - c) + c + t has six parameters, found by least squares over two kinds of
residual: distances between the centres of equal vertebrae (they fix height, position and tilt) and
differences of the blurred body masks (they fix the turn about the spine and share in the rest).
No organ takes part, so organs keep the differences that the alignment cannot explain.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from fmtutor.core.geometry import voxel_to_world, world_to_voxel
from fmtutor.data.anatomy import expand
from fmtutor.data.cases import Case
from fmtutor.data.domains import region_of

BODY_HU = -300.0
COARSE_VOX = 4
"""The body mask is compared on every fourth voxel along each axis."""
LANDMARK_MM = 15.0
"""Distance between two vertebra centres that weighs as much as body masks that differ wholly."""
STEPS = np.array([0.005] * 3 + [0.5] * 3)
"""Steps of the difference quotients: radians and mm."""
VERTEBRAE = frozenset(expand("vertebrae"))


@dataclass(frozen=True, eq=False)
class Patient:
    """What the alignment needs of a case, worked out once."""

    case: Case

    @cached_property
    def vertebrae_mm(self) -> dict[str, np.ndarray]:
        """World centre of every vertebra that is wholly in view."""
        found = {}
        for number, name in self.case.table.items():
            voxels = np.argwhere(self.case.labels == number) if name in VERTEBRAE else ()
            last = self.case.image.shape[2] - 1
            if len(voxels) and voxels[:, 2].min() > 0 and voxels[:, 2].max() < last:
                found[name] = voxel_to_world(voxels.mean(0), self.case.affine)
        return found

    @cached_property
    def body(self) -> np.ndarray:
        """Body mask, largest piece without thin sheets, blurred by two voxels."""
        mask = ndimage.binary_opening(self.case.image > BODY_HU, iterations=2)
        pieces, _ = ndimage.label(mask)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        return ndimage.gaussian_filter((pieces == sizes.argmax()).astype(np.float32), 2.0)


def align(moving: Patient, fixed: Patient) -> np.ndarray:
    """Return the rigid 4x4 matrix that sends world points of ``fixed`` to ``moving``."""
    shared = sorted(set(moving.vertebrae_mm) & set(fixed.vertebrae_mm))
    if len(shared) < 3:
        raise ValueError(f"alignment needs 3 vertebrae in both patients, got {shared}.")
    here = np.array([fixed.vertebrae_mm[name] for name in shared])
    there = np.array([moving.vertebrae_mm[name] for name in shared])
    grid = np.stack(np.meshgrid(*(np.arange(0, n, COARSE_VOX) for n in fixed.body.shape)), -1)
    voxels = grid.reshape(-1, 3)
    points, values = voxel_to_world(voxels, fixed.case.affine), fixed.body[tuple(voxels.T)]
    centre = here.mean(0)

    def residuals(parameters: np.ndarray) -> np.ndarray:
        matrix = _matrix(parameters, centre)
        seen = _read(moving, voxel_to_world(points, matrix))
        spine = (voxel_to_world(here, matrix) - there) / LANDMARK_MM / np.sqrt(len(shared))
        return np.concatenate([spine.ravel(), (seen - values) / np.sqrt(values.sum())])

    def slopes(parameters: np.ndarray) -> np.ndarray:
        base = residuals(parameters)
        ahead = [(residuals(parameters + step) - base) / step.sum() for step in np.diag(STEPS)]
        return np.stack(ahead, axis=1)

    start = np.concatenate([np.zeros(3), there.mean(0) - centre])
    found = least_squares(residuals, start, slopes, x_scale=STEPS, ftol=1e-4)
    return _matrix(found.x, centre)


def overlap(
    moving: Patient, fixed: Patient, matrix: np.ndarray, names: tuple[str, ...]
) -> dict[str, float]:
    """Return the Dice of each structure within the shared field of view; absent ones are left out.

    Args:
        moving: The patient that is brought over, by nearest voxel.
        fixed: The patient whose grid is used.
        matrix: What `align` returned.
        names: Scoring regions: organs with their lesions, the aorta whole.
    """
    voxels = np.indices(fixed.case.image.shape).reshape(3, -1).T
    world = voxel_to_world(voxel_to_world(voxels, fixed.case.affine), matrix)
    there = np.rint(world_to_voxel(world, moving.case.affine)).astype(int)
    inside = ((there >= 0) & (there < moving.case.image.shape)).all(1)
    scores = {}
    for name in names:
        one = _region(fixed.case, name)[tuple(voxels[inside].T)]
        two = _region(moving.case, name)[tuple(there[inside].T)]
        if one.any() and two.any():
            scores[name] = float(2 * (one & two).sum() / (one.sum() + two.sum()))
    return scores


def _region(case: Case, name: str) -> np.ndarray:
    ids = [k for k, v in case.table.items() if v in region_of(name).structures]
    return np.isin(case.labels, ids)


def _read(patient: Patient, points_mm: np.ndarray) -> np.ndarray:
    """Read the body mask; beyond the scan's ends its last slice is repeated."""
    voxels = world_to_voxel(points_mm, patient.case.affine)
    return ndimage.map_coordinates(patient.body, voxels.T, order=1, mode="nearest")


def _matrix(parameters: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Build the matrix of a rotation vector (radians) about ``centre`` and a shift (mm)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(parameters[:3]).as_matrix()
    matrix[:3, 3] = centre + parameters[3:] - matrix[:3, :3] @ centre
    return matrix
