"""Pseudo-objects: parts of an image that nobody named, to learn that anything may be asked for.

A network that sees annotated structures alone learns to answer a click with one of them. Super-
voxels in training keep the set of objects open, as SegVol and nnInteractive do; here they are the
connected parts of a smoothed image cut into a few random grey levels, which costs milliseconds.

Source: Du et al., "SegVol", NeurIPS 2024; Isensee et al., "nnInteractive", 2025 (both use other
super-voxels: Felzenszwalb's, and those of SAM masks).
"""

import numpy as np
from scipy import ndimage

AIR = 0.02
"""Greys up to this one are air."""
TRIES = 5
"""Cuts of one image before it is given up."""


def pseudo_object(
    image: np.ndarray, rng: np.random.Generator, *, voxels: tuple[int, int] = (200, 20_000)
) -> np.ndarray | None:
    """Return a part of an image as a mask, or None where a few tries found none of a fair size.

    Args:
        image: (*grid) in [0, 1]; 0 is air.
        rng: Draws smoothing, grey levels and the part.
        voxels: Smallest and largest size; parts are drawn among those in between, all alike.

    Returns:
        Bool (*grid), connected through faces.
    """
    for _ in range(TRIES):
        smooth = ndimage.gaussian_filter(image, rng.uniform(0.5, 1.5), truncate=2.0)
        spot = _spot(smooth, rng)
        if spot is None:
            return None
        levels = _grey_levels(smooth, rng)
        chosen = levels == levels[spot]
        if rng.random() < 0.5:  # cuts thin bridges, so that organs of one grey come apart
            chosen = ndimage.binary_erosion(chosen)
        parts, _ = ndimage.label(chosen)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        fair = np.flatnonzero((sizes >= voxels[0]) & (sizes <= voxels[1]))
        if len(fair):
            return parts == rng.choice(fair)
    return None


def _grey_levels(smooth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the number of the grey level of each voxel; the levels' borders are random."""
    borders = np.sort(rng.uniform(AIR, smooth.max(), int(rng.integers(3, 9)))).astype(np.float32)
    return np.searchsorted(borders, smooth.ravel()).reshape(smooth.shape)


def _spot(smooth: np.ndarray, rng: np.random.Generator) -> tuple[int, ...] | None:
    """Return a random voxel of the body, or None where there is hardly any."""
    for _ in range(16):
        at = tuple(int(rng.integers(side)) for side in smooth.shape)
        if smooth[at] > AIR:
            return at
    return None
