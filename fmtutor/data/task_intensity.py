"""Blur and noise with a draw for each image, or one draw for all: used by both augmentations."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from kornia import filters
from torch import Tensor

from fmtutor.data.task_geometry import Chosen, Images

REFERENCE_SIDE = 128
"""Blurs are given in pixels of an image with this side, the paper's."""


def blurred(
    images: Images,
    generator: np.random.Generator,
    probability: float,
    sigmas: tuple[float, float],
    *,
    draws: int,
) -> Images:
    """Blur each image by its own draw, or all by the only one."""
    chosen = generator.random(draws) < probability
    scale = min(images.shape[-2:]) / REFERENCE_SIDE
    sigma = np.maximum(generator.uniform(*sigmas, draws) * scale, 0.05)
    if not chosen.any():
        return images
    chosen, sigma = (np.broadcast_to(value, len(images)) for value in (chosen, sigma))
    side = 2 * int(np.ceil(2.5 * sigma[chosen].max())) + 1
    pairs = per_image(sigma[chosen], images)[:, None].expand(-1, 2)
    return replaced(images, chosen, lambda x: filters.gaussian_blur2d(x, (side, side), pairs))


def noisy(
    images: Images,
    generator: np.random.Generator,
    probability: float,
    deviations: tuple[float, float],
    *,
    draws: int,
) -> Images:
    """Add noise of each image's own draw, or the same noise to all."""
    chosen = generator.random(draws) < probability
    deviation = np.where(chosen, generator.uniform(*deviations, draws), 0)
    if not chosen.any():
        return images
    noise = generator.standard_normal((draws, *images.shape[1:]), dtype=np.float32)
    noise *= deviation.astype(np.float32)[:, None, None, None]
    return (images + torch.from_numpy(noise).to(images.device)).clamp(0, 1)


def replaced(images: Images, chosen: Chosen, change: Callable[[Images], Images]) -> Images:
    """Return the images, the chosen ones changed and brought back to [0, 1]."""
    rows = torch.from_numpy(np.flatnonzero(chosen)).to(images.device)
    return images.index_copy(0, rows, change(images[rows]).clamp(0, 1))


def per_image(values: np.ndarray, images: Images) -> Float[Tensor, " K"]:
    """Return one number for each image, on its device."""
    return torch.from_numpy(values.astype(np.float32)).to(images.device)
