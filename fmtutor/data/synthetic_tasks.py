"""Tasks that nobody annotated: random shapes, and regions that a picture falls into by itself.

An in-context network must meet far more tasks than there are annotated structures. A synthetic
task costs nothing: shapes drawn at random and deformed anew for every subject, or one super-pixel
of a real image taken for a structure.

Sources: Hoffmann et al., SynthMorph, IEEE TMI 2022 (shapes; Butoi et al., UniverSeg, ICCV 2023,
trains on such tasks); Wong et al., ScribblePrompt, ECCV 2024 (super-pixels as labels, by
Felzenszwalb and Huttenlocher, IJCV 2004).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from skimage.segmentation import felzenszwalb
from torch import Tensor
from torch.nn import functional

from fmtutor.data.task_geometry import smooth_noise

ATTEMPTS = 20
"""Draws before a task is given up."""
SHAPE_AREA = (0.01, 0.6)
"""Least and largest part of the image that a random shape covers, in every subject."""
PIXEL_AREA = (0.005, 0.4)
"""Least and largest part of the image that a super-pixel covers."""


@dataclass(frozen=True, kw_only=True)
class ShapeTask:
    """What is drawn once for a task of random shapes."""

    background: Float[Tensor, "1 J *grid"]
    """Smooth noise; at each place the largest of the J says which background label it is."""
    shapes: Float[Tensor, "1 K *grid"]
    """Positive inside a shape; the last of the K that is positive lies on top."""
    means: Float[np.ndarray, " L"]
    """Grey value of each of the L = J + K labels."""
    textures: Float[np.ndarray, " L"]
    """Standard deviation of each label's texture."""
    spread: float
    """Standard deviation of a label's grey value over subjects."""
    bend: float
    """Standard deviation of the subjects' deformation, as a part of the side."""


def random_shapes(
    generator: np.random.Generator, *, grid: tuple[int, ...], count: int
) -> tuple[Float[Tensor, "N 1 *grid"], Float[Tensor, "N 1 *grid"]]:
    """Draw a task of random shapes, and ``count`` subjects of it.

    Args:
        generator: Source of all draws.
        grid: Spatial axes, (H, W) or (H, W, D).
        count: Subjects.

    Returns:
        Images in [0, 1] and masks of 0 and 1. Each mask covers 1 to 60 % of its image.

    Raises:
        ValueError: No label had such a size in every subject, in twenty tasks.
    """
    for _ in range(ATTEMPTS):
        task = draw_shape_task(generator, grid)
        labels = subjects_of(task, generator, count)
        number = len(task.means)
        areas = functional.one_hot(labels.flatten(1), number).float().mean(1)  # (N, L)
        fitting = ((areas >= SHAPE_AREA[0]) & (areas <= SHAPE_AREA[1])).all(0)
        candidates = fitting.nonzero().flatten().numpy()
        if len(candidates):
            chosen = int(generator.choice(candidates))
            masks = (labels == chosen).float()[:, None]
            return paint(task, labels, generator), masks
    raise ValueError(
        f"a shape must cover {SHAPE_AREA[0]:.0%} to {SHAPE_AREA[1]:.0%} of all {count} images, and "
        f"none did in {ATTEMPTS} draws on {grid}; ask for fewer subjects or a larger grid."
    )


def draw_shape_task(generator: np.random.Generator, grid: tuple[int, ...]) -> ShapeTask:
    """Draw the anatomy of a task: 2 to 5 kinds of background, 2 to 6 shapes upon it."""
    backgrounds, shapes = int(generator.integers(2, 6)), int(generator.integers(2, 7))
    points = int(generator.integers(3, 7))
    places = torch.stack(
        torch.meshgrid(*[torch.linspace(-1, 1, n) for n in grid], indexing="ij")
    )  # (axes, *grid)
    ones = (1,) * len(grid)
    size = (shapes, len(grid), *ones)
    centres = generator.uniform(-0.7, 0.7, size).astype(np.float32)
    radii = np.exp(generator.uniform(np.log(0.12), np.log(0.6), size)).astype(np.float32)
    offsets = (places[None] - torch.from_numpy(centres)) / torch.from_numpy(radii)
    rough = torch.from_numpy(generator.uniform(0.05, 0.4, (1, shapes, *ones)).astype(np.float32))
    wobble = smooth_noise(generator, (1, shapes), grid, points=points + 1) * rough
    labels = backgrounds + shapes
    return ShapeTask(
        background=smooth_noise(generator, (1, backgrounds), grid, points=points),
        shapes=(1 - offsets.square().sum(1).sqrt())[None] + wobble,
        means=generator.uniform(0, 1, labels).astype(np.float32),
        textures=(generator.uniform(0, 0.12, labels)).astype(np.float32),
        spread=float(generator.uniform(0, 0.06)),
        bend=float(generator.uniform(0.01, 0.05)),
    )


def subjects_of(
    task: ShapeTask, generator: np.random.Generator, count: int
) -> Int[Tensor, "N *grid"]:
    """Deform the task's shapes anew for each subject and return the label maps."""
    grid = tuple(task.shapes.shape[2:])
    axes = len(grid)
    maps = np.tile(np.eye(axes, axes + 1), (count, 1, 1))
    maps[:, :, :axes] += generator.normal(0, 0.08, (count, axes, axes))
    maps[:, :, axes] = generator.normal(0, 0.08, (count, axes))
    places = functional.affine_grid(
        torch.from_numpy(maps.astype(np.float32)), [count, 1, *grid], align_corners=False
    )
    field = smooth_noise(generator, (count, axes), grid, points=5) * (2 * task.bend)
    fields = torch.cat([task.background, task.shapes], dim=1).expand(count, *[-1] * (axes + 1))
    moved = functional.grid_sample(
        fields, places + field.movedim(1, -1), padding_mode="border", align_corners=False
    )  # (N, L, *grid)
    highest, labels = moved[:, 0], torch.zeros_like(moved[:, 0], dtype=torch.int64)
    backgrounds = task.background.shape[1]
    for label in range(1, len(task.means)):  # ten times as fast as argmax along this axis
        above = moved[:, label] > (highest if label < backgrounds else 0)
        labels = torch.where(above, label, labels)
        highest = torch.maximum(highest, moved[:, label])
    return labels


def paint(
    task: ShapeTask, labels: Int[Tensor, "N *grid"], generator: np.random.Generator
) -> Float[Tensor, "N 1 *grid"]:
    """Give each label its grey value and texture, then add uneven light and noise."""
    count, grid = len(labels), tuple(labels.shape[1:])
    number = len(task.means)
    means = task.means + generator.normal(0, task.spread, (count, number)).astype(np.float32)
    flat = labels.flatten(1)
    grey = torch.from_numpy(means).gather(1, flat).view(count, 1, *grid)
    depth = torch.from_numpy(task.textures)[flat].view(count, 1, *grid)
    texture = smooth_noise(generator, (count, 1), grid, points=max(2, grid[0] // 4))
    light = smooth_noise(generator, (count, 1), grid, points=3) * float(generator.uniform(0, 0.15))
    image = (grey + depth * texture) * (1 + light)
    if generator.random() < 0.7:  # a scanner sees borders softly
        pool = functional.avg_pool2d if len(grid) == 2 else functional.avg_pool3d
        image = pool(image, 3, stride=1, padding=1, count_include_pad=False)
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    return (image + torch.from_numpy(noise) * float(generator.uniform(0, 0.06))).clamp(0, 1)


def super_pixels(
    image: Float[np.ndarray, "H W"], generator: np.random.Generator, *, count: int
) -> tuple[Float[Tensor, "N 1 H W"], Float[Tensor, "N 1 H W"]]:
    """Take one super-pixel of an image for a structure.

    The pair is repeated: in-task augmentation makes subjects of it.

    Args:
        image: Values in [0, 1].
        generator: Source of all draws.
        count: Subjects.

    Returns:
        Images in [0, 1] and masks of 0 and 1; a mask covers 0.5 to 40 % of the image.

    Raises:
        ValueError: The image has no region of such a size, at twenty scales.
    """
    for _ in range(ATTEMPTS):
        scale = float(np.exp(generator.uniform(np.log(3), np.log(500))))
        least = int(np.ceil(PIXEL_AREA[0] * image.size))
        regions = felzenszwalb(image, scale=scale, sigma=0.5, min_size=least)
        areas = np.bincount(regions.ravel()) / image.size
        fitting = np.flatnonzero((areas >= PIXEL_AREA[0]) & (areas <= PIXEL_AREA[1]))
        if len(fitting):
            mask = (regions == generator.choice(fitting)).astype(np.float32)
            pair = torch.from_numpy(np.stack([image.astype(np.float32), mask]))
            repeated = pair[:, None, None].repeat(1, count, 1, 1, 1)
            return repeated[0], repeated[1]
    raise ValueError(
        f"an image must hold a region of {PIXEL_AREA[0]:.1%} to {PIXEL_AREA[1]:.0%} of its area, "
        f"and {ATTEMPTS} scales found none; leave out slices that show nothing."
    )
