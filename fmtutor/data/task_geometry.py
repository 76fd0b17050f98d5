"""Random affine and elastic maps of image-mask pairs, composed so that each image is read once.

All maps are *backward* (a place in the result to the place that it shows) and live in the
normalised coordinates of `torch.nn.functional.grid_sample`: x before y, -1 to 1 from edge to edge.
Outside an image its border is repeated, for the mask too: no edge is invented.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

Images = Float[Tensor, "N 1 H W"]
Masks = Float[Tensor, "N 1 H W"]
Chosen = Bool[np.ndarray, " K"]

SMOOTH = {1: "linear", 2: "bicubic", 3: "trilinear"}
"""Interpolation of control points by the number of axes."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How far pairs are moved and bent, and how often."""

    affine: float = 0.5
    """Probability of an affine map."""
    rotation_deg: float = 20.0
    """Largest turn to either side."""
    scale: tuple[float, float] = (0.8, 1.25)
    """Range of the size of what is seen, even in its logarithm; 2 shows all twice as big."""
    shear_deg: float = 8.0
    """Largest shear to either side."""
    shift: float = 0.1
    """Largest shift along each axis, as a part of the side."""
    elastic: float = 0.5
    """Probability of an elastic map, on top of the affine one."""
    elastic_shift: tuple[float, float] = (0.01, 0.025)
    """Range of the standard deviation of the control points' shifts, as a part of the side."""
    elastic_points: tuple[int, int] = (4, 7)
    """Fewest and most control points along a side; drawn once a call."""

    def __post_init__(self) -> None:
        require_probabilities(affine=self.affine, elastic=self.elastic)
        if self.scale[0] <= 0:
            raise ValueError(
                f"a scale must be above 0, got {self.scale}; use for example (0.8, 1.25)."
            )


def require_probabilities(**values: float) -> None:
    """Raise ValueError unless every value lies in [0, 1]."""
    wrong = {name: value for name, value in values.items() if not 0 <= value <= 1}
    if wrong:
        raise ValueError(f"a probability must lie in [0, 1], got {wrong}; use 0 to switch it off.")


def smooth_noise(
    generator: np.random.Generator, shape: tuple[int, int], grid: tuple[int, ...], *, points: int
) -> Float[Tensor, "K C *grid"]:
    """Return noise of about unit variance that varies from one control point to the next.

    Args:
        generator: Source of the draws.
        shape: Leading axes (K, C) of the result.
        grid: Its spatial axes, one to three.
        points: Control points along each of them, at least 2.
    """
    controls = generator.standard_normal((*shape, *[points] * len(grid)), dtype=np.float32)
    mode = SMOOTH[len(grid)]
    return functional.interpolate(
        torch.from_numpy(controls), size=grid, mode=mode, align_corners=True
    )


def affine_maps(
    generator: np.random.Generator, motion: Motion, count: int, grid: tuple[int, int]
) -> tuple[Float[Tensor, "K 2 3"], Chosen]:
    """Draw ``count`` backward affine maps; the second result says which are not the identity."""
    chosen = generator.random(count) < motion.affine
    turn, shear = np.deg2rad(
        generator.uniform(-1, 1, (2, count)) * [[motion.rotation_deg], [motion.shear_deg]]
    )
    low, high = np.log(motion.scale)
    size = np.exp(generator.uniform(low, high, count))
    shift = generator.uniform(-2 * motion.shift, 2 * motion.shift, (count, 2))
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.stack([cos, -sin, sin, cos], axis=-1).reshape(count, 2, 2)
    sheared = np.tile(np.eye(2), (count, 1, 1))
    sheared[:, 0, 1] = np.tan(shear)
    matrix = turned @ sheared / size[:, None, None]
    half = np.array([grid[1], grid[0]]) / 2  # in pixels, so that a turn of an oblong is no shear
    matrix = matrix * half[None, None, :] / half[None, :, None]
    maps = np.concatenate([matrix, shift[:, :, None]], axis=2)
    maps[~chosen] = np.eye(2, 3)
    return torch.from_numpy(maps.astype(np.float32)), chosen


def elastic_shifts(
    generator: np.random.Generator, motion: Motion, count: int, grid: tuple[int, int]
) -> tuple[Float[Tensor, "K H W 2"], Chosen]:
    """Draw ``count`` smooth fields of shifts; the second result says which are not zero."""
    chosen = generator.random(count) < motion.elastic
    points = int(generator.integers(motion.elastic_points[0], motion.elastic_points[1] + 1))
    sizes = np.where(chosen, 2 * generator.uniform(*motion.elastic_shift, count), 0)
    field = smooth_noise(generator, (count, 2), grid, points=points)
    field = field * torch.from_numpy(sizes.astype(np.float32))[:, None, None, None]
    return field.permute(0, 2, 3, 1), chosen


def move(
    images: Images,
    masks: Masks,
    generator: np.random.Generator,
    motion: Motion,
    *,
    together: bool,
    least_pixels: int,
) -> tuple[Images, Masks]:
    """Move and bend pairs by random maps, in one interpolation.

    Args:
        images: Values in [0, 1].
        masks: 0 or 1; read linearly, then cut at a half.
        generator: Source of the draws.
        motion: Probabilities and ranges.
        together: One draw for all pairs instead of one for each.
        least_pixels: A map that would leave fewer pixels of a mask (`loses_structure`) is not
            applied to that pair; with ``together``, to none.
    """
    n, _, *grid = images.shape
    count = 1 if together else n
    shape = (grid[0], grid[1])
    maps, turned = affine_maps(generator, motion, count, shape)
    shifts, bent = elastic_shifts(generator, motion, count, shape)
    chosen = turned | bent
    if not chosen.any():
        return images, masks
    places = functional.affine_grid(maps, [count, 1, *grid], align_corners=False) + shifts
    both = functional.grid_sample(
        torch.cat([images, masks], dim=1),
        places.to(images.device).expand(n, -1, -1, -1),
        padding_mode="border",
        align_corners=False,
    )
    cut = (both[:, 1:] > 0.5).to(masks.dtype)
    lost = loses_structure(masks, cut, least_pixels)
    kept = torch.from_numpy(chosen).to(images.device) & ~(lost.any() if together else lost)
    kept = kept.view(-1, 1, 1, 1)
    return torch.where(kept, both[:, :1], images), torch.where(kept, cut, masks)


def loses_structure(before: Masks, after: Masks, least_pixels: int) -> Bool[Tensor, " N"]:
    """Say for each pair whether a change leaves too little of its mask.

    It does where fewer than ``least_pixels`` are left of a mask that had as many, or where a mask
    that was smaller shrinks. A mask that was empty loses nothing.
    """
    had, has = before.sum((1, 2, 3)), after.sum((1, 2, 3))
    return has < had.clamp(max=least_pixels)
