"""Objects without annotation in 2D: segments that a picture falls into, and shapes drawn upon it.

A segment map at a random scale holds small parts and large ones; a segment joined to some that
touch it makes a third kind. Drawn shapes have an edge that is known exactly.

Source: Wong et al., "ScribblePrompt", ECCV 2024, and "MultiverSeg", 2024 (super-pixels as labels,
at random scales); Felzenszwalb and Huttenlocher, IJCV 2004 (the segments).
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.segmentation import felzenszwalb
from torch.nn import functional

from fmtutor.data.task_geometry import smooth_noise

SEGMENT_SIDE = 96
"""Larger pictures are segmented at this size: twice as fast as at 128, and edges still fit."""
SCALES = (3.0, 500.0)
"""Range of Felzenszwalb's scale, log-uniform: from a fold of skin to half of the body."""
LARGEST_SHARE = 0.4
"""Part of the picture that an object may cover."""
AIR = 0.02
"""A segment that is darker on average is air, which nobody asks for."""
UNION = 0.5
"""Share of the segments that are joined to one to three that touch them."""

Picture = Float[np.ndarray, "H W"]
Mask = Bool[np.ndarray, "H W"]


def segment_objects(
    image: Picture, rng: np.random.Generator, *, count: int, least_pixels: int
) -> list[Mask]:
    """Return up to ``count`` different segments of a picture, or unions of some that touch.

    Args:
        image: Square, values in [0, 1].
        rng: Draws the scale and the segments.
        count: Masks wanted; a picture without edges has fewer.
        least_pixels: Smallest mask.
    """
    size = len(image)
    side = min(size, SEGMENT_SIDE)
    small = _resized(image, side)
    least = least_pixels * side**2 / size**2
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    segments = felzenszwalb(small, scale=scale, sigma=0.5, min_size=int(np.ceil(least)))
    areas = np.bincount(segments.ravel())
    grey = np.bincount(segments.ravel(), small.ravel()) / np.maximum(areas, 1)
    fair = (areas >= least) & (areas <= LARGEST_SHARE * side**2) & (grey > AIR)
    masks = []
    for number in rng.permutation(np.flatnonzero(fair))[:count]:
        chosen = segments == number
        if rng.random() < UNION:
            chosen = joined(segments, chosen, areas, rng)
        mask = _resized(chosen, size) > 0.5
        if mask.sum() >= least_pixels:
            masks.append(mask)
    return masks


def joined(
    segments: Int[np.ndarray, "H W"],
    chosen: Mask,
    areas: Int[np.ndarray, " n"],
    rng: np.random.Generator,
) -> Mask:
    """Return a segment with one to three others that touch what is there, if they fit."""
    for _ in range(int(rng.integers(1, 4))):
        around = np.unique(segments[ndimage.binary_dilation(chosen) & ~chosen])
        room = LARGEST_SHARE * chosen.size - chosen.sum()
        around = around[areas[around] <= room]
        if not len(around):
            break
        chosen = chosen | (segments == rng.choice(around))
    return chosen


def paste_shape(image: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """Draw a random shape with a texture of its own upon a picture.

    Its grey differs from what it covers by 0.12 to 0.5, its border is soft by up to a pixel, and
    it may let the picture through.

    Returns:
        The picture with the shape, and the shape.
    """
    size = len(image)
    kind = sorted(SHAPES)[rng.integers(len(SHAPES))]
    radius = max(3.0, float(np.exp(rng.uniform(np.log(0.05), np.log(0.25)))) * size)
    centre = rng.uniform(0.15 * size, 0.85 * size, 2)
    mask = SHAPES[kind](size, centre, radius, rng)
    under = float(image[mask].mean())
    step = rng.uniform(0.12, 0.5) * (1 if rng.random() < 0.5 else -1)
    grey = under + (step if 0 <= under + step <= 1 else -step)
    points = int(rng.integers(4, size // 3))
    texture = smooth_noise(rng, (1, 1), (size, size), points=points)[0, 0].numpy()
    painted = grey + texture * np.float32(rng.uniform(0, 0.08))
    cover = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0.2, 1.0))
    cover *= np.float32(rng.uniform(0.7, 1))
    return np.clip(image * (1 - cover) + painted * cover, 0, 1).astype(np.float32), mask


def ellipse(size: int, centre: np.ndarray, radius: float, rng: np.random.Generator) -> Mask:
    """Return an ellipse whose axes are in a ratio of 1 to 3 at most."""
    turn, ratio = rng.uniform(0, np.pi), np.exp(rng.uniform(0, np.log(3)) / 2)
    y, x = (np.arange(size) - c for c in centre)
    along = x[None] * np.cos(turn) + y[:, None] * np.sin(turn)
    across = y[:, None] * np.cos(turn) - x[None] * np.sin(turn)
    return (along / ratio) ** 2 + (across * ratio) ** 2 <= radius**2


def polygon(size: int, centre: np.ndarray, radius: float, rng: np.random.Generator) -> Mask:
    """Return a polygon of 3 to 8 corners around a centre, seldom convex."""
    corners = int(rng.integers(3, 9))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) / corners
    reach = radius * rng.uniform(0.6, 1.4, corners)[:, None]
    return polygon2mask(
        (size, size), centre + reach * np.stack((np.sin(angles), np.cos(angles)), 1)
    )


def blob(size: int, centre: np.ndarray, radius: float, rng: np.random.Generator) -> Mask:
    """Return a disc whose radius wavers along its border."""
    y, x = (np.arange(size) - c for c in centre)
    angle, away = np.arctan2(y[:, None], x[None]), np.hypot(y[:, None], x[None])
    waves = np.arange(2, 6)
    heights, phases = rng.normal(0, 0.25, 4) / waves, rng.uniform(0, 2 * np.pi, 4)
    reach = 1 + sum(
        h * np.cos(n * angle + p) for n, h, p in zip(waves, heights, phases, strict=True)
    )
    return away <= radius * np.maximum(reach, 0.4)


SHAPES: Mapping[str, Callable[[int, np.ndarray, float, np.random.Generator], Mask]] = {
    "ellipse": ellipse,
    "polygon": polygon,
    "blob": blob,
}
"""Shapes of a size, around a centre (row, column), with a mean radius in pixels."""


def _resized(picture: np.ndarray, side: int) -> Picture:
    if len(picture) == side:
        return picture.astype(np.float32)
    values = torch.from_numpy(picture.astype(np.float32))[None, None]
    return functional.interpolate(
        values, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )[0, 0].numpy()
