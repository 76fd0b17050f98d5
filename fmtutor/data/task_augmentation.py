"""The two augmentations of in-context training: pairs that differ more, and tasks that are new.

*In-task* augmentation is drawn for each image-mask pair: subjects and scanners differ, the task
stays. *Task* augmentation is drawn once and applied alike to the query and its whole support: a
structure drawn by its edge, or seen upside down with inverted grey values, is a task of its own.
A network that meets more tasks reads its support set instead of remembering structures.

Source: Butoi et al., UniverSeg: Universal Medical Image Segmentation, ICCV 2023, section 3.3.
The families are the paper's; the probabilities and ranges are ours.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from kornia import enhance, filters, morphology

from fmtutor.data.task_geometry import (
    Images,
    Masks,
    Motion,
    loses_structure,
    move,
    require_probabilities,
)
from fmtutor.data.task_intensity import blurred, noisy, per_image, replaced

STILL = Motion(affine=0.0, elastic=0.0)
"""No geometry."""


def probabilities_of(config: Any) -> list[str]:
    """Return the names of a configuration's probabilities: its fields that are one number."""
    return [item.name for item in fields(config) if item.type is float]


@dataclass(frozen=True, kw_only=True)
class InTaskAugmentation:
    """Drawn for each image-mask pair."""

    motion: Motion = field(default_factory=Motion)
    """Affine and elastic maps."""
    brightness: float = 0.5
    """Probability of a change of brightness and contrast."""
    brightness_range: tuple[float, float] = (-0.1, 0.1)
    """Added to the image."""
    contrast_range: tuple[float, float] = (0.7, 1.5)
    """Factor on the distance from the image's mean."""
    gamma: float = 0.25
    """Probability of a gamma curve."""
    gamma_range: tuple[float, float] = (0.7, 1.5)
    """Exponent, drawn evenly in its logarithm."""
    sharpness: float = 0.25
    """Probability of sharpening."""
    sharpness_range: tuple[float, float] = (1.5, 5.0)
    """Factor on the distance from the smoothed image; 1 changes nothing."""
    blur: float = 0.25
    """Probability of a Gaussian blur."""
    blur_range: tuple[float, float] = (0.3, 1.5)
    """Standard deviation in pixels of a 128 x 128 image."""
    noise: float = 0.25
    """Probability of Gaussian noise."""
    noise_range: tuple[float, float] = (0.01, 0.08)
    """Standard deviation; the image lies in [0, 1]."""
    least_pixels: int = 10
    """A map that would leave fewer pixels of a pair's mask is not applied to it."""

    def __post_init__(self) -> None:
        require_probabilities(**{name: getattr(self, name) for name in probabilities_of(self)})

    @classmethod
    def off(cls) -> "InTaskAugmentation":
        """Return the augmentation with every probability 0: the identity."""
        return cls(motion=STILL, **dict.fromkeys(probabilities_of(cls), 0.0))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class TaskAugmentation:
    """Drawn once, and applied alike to every pair of a task."""

    flip: float = 0.5
    """Probability of mirroring, along each axis."""
    transpose: float = 0.25
    """Probability of exchanging the axes; with mirroring, a quarter turn. Square images only."""
    motion: Motion = field(
        default_factory=lambda: Motion(
            rotation_deg=45.0, scale=(0.7, 1.4), shear_deg=15.0, shift=0.15, elastic=0.25
        )
    )
    """Affine and elastic maps."""
    image_inversion: float = 0.25
    """Probability of 1 - image."""
    label_edge: float = 0.1
    """Probability that the mask's edge (its Sobel gradient) is asked for instead."""
    label_dilation: float = 0.1
    """Probability of growing the mask."""
    label_erosion: float = 0.1
    """Probability of shrinking the mask."""
    label_gradient: float = 0.05
    """Probability that the ring between the grown and the shrunken mask is asked for instead."""
    label_radius: tuple[int, int] = (1, 2)
    """Least and largest radius in pixels of growing, shrinking and the ring."""
    label_inversion: float = 0.05
    """Probability of 1 - mask: the task is the background."""
    blur: float = 0.1
    """Probability of a Gaussian blur."""
    blur_range: tuple[float, float] = (0.3, 1.5)
    """Standard deviation in pixels of a 128 x 128 image."""
    noise: float = 0.1
    """Probability of Gaussian noise; the same noise lies over every image."""
    noise_range: tuple[float, float] = (0.01, 0.08)
    """Standard deviation; the image lies in [0, 1]."""
    least_pixels: int = 10
    """A change that would leave fewer pixels of any mask is not applied to the task."""

    def __post_init__(self) -> None:
        require_probabilities(**{name: getattr(self, name) for name in probabilities_of(self)})

    @classmethod
    def off(cls) -> "TaskAugmentation":
        """Return the augmentation with every probability 0: the identity."""
        return cls(motion=STILL, **dict.fromkeys(probabilities_of(cls), 0.0))  # type: ignore[arg-type]


def augment_in_task(
    images: Images,
    masks: Masks,
    generator: np.random.Generator,
    config: InTaskAugmentation,
) -> tuple[Images, Masks]:
    """Change every pair by draws of its own.

    Args:
        images: Values in [0, 1].
        masks: 0 or 1.
        generator: Source of all draws.
        config: Probabilities and ranges.

    Returns:
        Images in [0, 1] and masks of 0 and 1 on the device of the arguments.
    """
    n = len(images)
    images, masks = move(
        images, masks, generator, config.motion, together=False, least_pixels=config.least_pixels
    )
    images = _tone(images, generator, config)
    chosen = generator.random(n) < config.sharpness
    factors = generator.uniform(*config.sharpness_range, n)
    if chosen.any():
        images = replaced(
            images, chosen, lambda x: enhance.sharpness(x, per_image(factors[chosen], x))
        )
    images = blurred(images, generator, config.blur, config.blur_range, draws=n)
    return noisy(images, generator, config.noise, config.noise_range, draws=n), masks


def augment_task(
    images: Images,
    masks: Masks,
    generator: np.random.Generator,
    config: TaskAugmentation,
) -> tuple[Images, Masks]:
    """Change all pairs by one and the same draw, which makes another task of them.

    Args:
        images: Values in [0, 1], the query and its support.
        masks: 0 or 1.
        generator: Source of all draws.
        config: Probabilities and ranges.

    Returns:
        Images in [0, 1] and masks of 0 and 1 on the device of the arguments.
    """
    images, masks = _mirrored(images, masks, generator, config)
    images, masks = move(
        images, masks, generator, config.motion, together=True, least_pixels=config.least_pixels
    )
    masks = _relabelled(masks, generator, config)
    if generator.random() < config.image_inversion:
        images = 1 - images
    images = blurred(images, generator, config.blur, config.blur_range, draws=1)
    return noisy(images, generator, config.noise, config.noise_range, draws=1), masks


def _mirrored(
    images: Images, masks: Masks, generator: np.random.Generator, config: TaskAugmentation
) -> tuple[Images, Masks]:
    """Mirror and transpose: pixels change places, nothing is interpolated."""
    axes = [axis for axis in (-2, -1) if generator.random() < config.flip]
    if axes:
        images, masks = images.flip(axes), masks.flip(axes)
    if generator.random() < config.transpose and images.shape[-1] == images.shape[-2]:
        images, masks = images.mT, masks.mT
    return images, masks


def _relabelled(masks: Masks, generator: np.random.Generator, config: TaskAugmentation) -> Masks:
    """Ask for something else of the same structure; a step that leaves too little is skipped."""
    radius = int(generator.integers(config.label_radius[0], config.label_radius[1] + 1))
    window = torch.ones(2 * radius + 1, 2 * radius + 1, device=masks.device)
    changes = (
        (config.label_edge, lambda m: (filters.sobel(m) > 0.1).to(m.dtype)),
        (config.label_dilation, lambda m: morphology.dilation(m, window, engine="convolution")),
        (config.label_erosion, lambda m: morphology.erosion(m, window, engine="convolution")),
        (config.label_gradient, lambda m: morphology.gradient(m, window, engine="convolution")),
        (config.label_inversion, lambda m: 1 - m),
    )
    for probability, change in changes:
        if generator.random() < probability:
            changed = change(masks)
            if not loses_structure(masks, changed, config.least_pixels).any():
                masks = changed
    return masks


def _tone(images: Images, generator: np.random.Generator, config: InTaskAugmentation) -> Images:
    """Change brightness, contrast and gamma of each image; neutral numbers where not chosen."""
    n = len(images)
    chosen = generator.random(n) < config.brightness
    added = np.where(chosen, generator.uniform(*config.brightness_range, n), 0)
    factor = np.where(chosen, generator.uniform(*config.contrast_range, n), 1)
    curved = generator.random(n) < config.gamma
    low, high = np.log(config.gamma_range)
    gamma = np.exp(generator.uniform(low, high, n))
    if chosen.any():
        mean = images.mean((-2, -1), keepdim=True)
        factors, shifts = (per_image(v, images).view(-1, 1, 1, 1) for v in (factor, added))
        toned = ((images - mean) * factors + mean + shifts).clamp(0, 1)
        images = torch.where(
            torch.from_numpy(chosen).to(images.device).view(-1, 1, 1, 1), toned, images
        )
    if curved.any():
        images = replaced(
            images, curved, lambda x: enhance.adjust_gamma(x, per_image(gamma[curved], x))
        )
    return images
