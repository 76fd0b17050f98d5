"""Random crops of a volume with all geometry in one resampling, and random intensities.

A *frame* is the 3x4 matrix from the voxels of a crop to those of the volume: zoom, rotation,
mirroring and displacement are its entries, so the volume is interpolated once and only where the
crop looks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch.nn.functional import grid_sample


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Sizes of a crop and how it is augmented."""

    size: tuple[int, int, int] = (64, 64, 48)
    """Voxels along H, W, D."""
    spacing_mm: float = 3.0
    """Edge of a voxel before the zoom."""
    zoom: tuple[float, float] = (0.7, 1.5)
    """Range of the zoom, log-uniform; above 1 things look larger."""
    stretch: float = 0.1
    """Standard deviation of the log of a further zoom of each axis."""
    rotation_deg: float = 10.0
    """Standard deviation of the rotation about each axis."""
    flip: float = 0.5
    """Chance of mirroring, of each axis."""
    jitter: float = 0.35
    """How far the centre moves at random, as a share of the crop: things are cut by the border."""
    slab: float = 0.1
    """Share of crops in which only some slices along D show anything and the rest is air."""
    slab_slices: tuple[int, int] = (8, 20)
    """Fewest and most slices of a slab."""
    contrast: float = 0.15
    """Half-width of the random gain."""
    brightness: float = 0.08
    """Half-width of the random offset."""
    gamma: float = 0.25
    """Standard deviation of the log of the random gamma."""
    invert: float = 0.1
    """Share of crops whose intensities are inverted, air excepted."""
    noise: float = 0.03
    """Largest standard deviation of the added noise."""


def random_frame(
    centre: np.ndarray,
    spacing_mm: tuple[float, float, float],
    config: CropConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the frame of a crop around a voxel of a volume.

    Args:
        centre: Voxel (3,) that the crop is to show, not necessarily in its middle.
        spacing_mm: Of the volume.
        config: Ranges.
        rng: Draws.

    Returns:
        (3, 4): voxels of the crop (integers are centres) to voxels of the volume.
    """
    size = np.array(config.size)
    zoom = np.exp(rng.uniform(*np.log(config.zoom)) + rng.normal(0, config.stretch, 3))
    mirror = np.where(rng.random(3) < config.flip, -1.0, 1.0)
    turn = Rotation.from_euler("xyz", rng.normal(0, config.rotation_deg, 3), degrees=True)
    to_mm = turn.as_matrix() * (mirror * config.spacing_mm / zoom)
    matrix = to_mm / np.array(spacing_mm)[:, None]
    shown_at = (size - 1) / 2 + rng.uniform(-1, 1, 3) * size * config.jitter
    return np.column_stack((matrix, centre - matrix @ shown_at))


def cut(
    image: np.ndarray,
    labels: np.ndarray,
    frame: np.ndarray,
    config: CropConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a crop's image (float32, in [0, 1]) and labels (the dtype given), both ``size``.

    Args:
        image: (H, W, D) in [0, 1]; 0 is air, and what lies outside of the volume.
        labels: (H, W, D) label ids, below 2^24.
        frame: Of `random_frame`.
        config: Sizes and intensities.
        rng: Draws.
    """
    low, high = _seen(frame, config.size, image.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    if (high <= low).any():
        return np.zeros(config.size, np.float32), np.zeros(config.size, labels.dtype)
    places = _places(frame, low, high, config.size)
    values = _sample(image[box], places, "bilinear")
    ids = _sample(labels[box], places, "nearest")
    if rng.random() < config.slab:
        slices = int(rng.integers(config.slab_slices[0], config.slab_slices[1] + 1))
        start = int(rng.integers(0, max(1, config.size[2] - slices + 1)))
        for array in (values, ids):
            array[..., :start] = 0
            array[..., start + slices :] = 0
    return _intensities(values, config, rng), ids.astype(labels.dtype)


def _seen(
    frame: np.ndarray, size: tuple[int, int, int], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first voxel of the volume that a crop looks at, and the one behind its last."""
    corners = np.array(np.meshgrid(*[(0, side - 1) for side in size])).reshape(3, -1)
    at = frame[:, :3] @ corners + frame[:, 3:]
    low = np.clip(np.floor(at.min(1)) - 1, 0, shape).astype(int)
    return low, np.clip(np.ceil(at.max(1)) + 2, 0, shape).astype(int)


def _places(
    frame: np.ndarray, low: np.ndarray, high: np.ndarray, size: tuple[int, int, int]
) -> torch.Tensor:
    """Return where each voxel of the crop lies in the box, as `grid_sample` counts (-1 to 1)."""
    matrix = np.column_stack((frame[:, :3], frame[:, 3] - low))
    matrix[:, 3] += 0.5
    matrix = 2 * matrix / (high - low)[:, None]
    matrix[:, 3] -= 1
    steps = [np.arange(side, dtype=np.float32) for side in size]
    out = np.empty((*size, 3), np.float32)
    for axis, row in enumerate(matrix.astype(np.float32)):
        h, w, d = (row[i] * steps[i] for i in range(3))
        # grid_sample wants the last axis of the volume first
        out[..., 2 - axis] = h[:, None, None] + w[:, None] + (d + row[3])
    return torch.from_numpy(out)


def _sample(array: np.ndarray, places: torch.Tensor, mode: str) -> np.ndarray:
    values = torch.from_numpy(array.astype(np.float32))[None, None]
    found = grid_sample(values, places[None], mode=mode, align_corners=False)
    return found[0, 0].numpy()


def _intensities(image: np.ndarray, c: CropConfig, rng: np.random.Generator) -> np.ndarray:
    """Return the image with another contrast; air stays 0."""
    body = image > 0
    power = np.exp(rng.normal(0, c.gamma))
    gain = 1 + rng.uniform(-c.contrast, c.contrast)
    offset = rng.uniform(-c.brightness, c.brightness)
    inverted = rng.random() < c.invert
    noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(0, c.noise)
    image = np.clip(1 - image if inverted else image, 0, 1)  # rounding may leave [0, 1]
    image = np.power(image, np.float32(power))
    image = image * np.float32(gain) + np.float32(offset) + noise
    return np.clip(image * body, 0, 1).astype(np.float32)
