"""What the scanner and the room add: arms, couch, kernel, slice thickness, noise."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fmtutor.data.deformation import blur, voxel_grid

Volume = Float[Tensor, "H W D"]
AIR_HU = -1000.0


def add_arms(image: Volume, *, spacing_mm: float, rng: np.random.Generator) -> Volume:
    """Put an arm (skin, muscle, bone) on each side of the body, where there is only air.

    Args:
        image: HU, H to the right and W to the front.
        spacing_mm: Edge of the voxels.
        rng: Source of the draws: distance, size, height, slant.
    """
    grid = voxel_grid(tuple(image.shape))  # type: ignore[arg-type]
    inside = (image > -300).any(2).any(1).nonzero().flatten()
    body = image[..., image.shape[2] // 2] > -300
    columns = body.any(1).nonzero().flatten() if body.any() else inside
    out = image.clone()
    for side, edge in ((-1, columns.min()), (1, columns.max())):
        radius = rng.uniform(32, 50) / spacing_mm
        h = float(edge) + side * (radius + rng.uniform(0, 30) / spacing_mm)
        w = image.shape[1] * rng.uniform(0.3, 0.6)
        slant = torch.from_numpy(rng.normal(0, 0.15, 2)).float()
        depth = grid[2] - image.shape[2] / 2
        r = (
            (grid[0] - h - slant[0] * depth) ** 2 + ((grid[1] - w - slant[1] * depth) / 1.15) ** 2
        ).sqrt()
        arm = torch.full_like(image, AIR_HU)
        for limit, hu in ((1.0, -100.0), (0.8, 45.0), (0.3, 700.0), (0.16, 150.0)):
            arm = torch.where(r < limit * radius, torch.full_like(arm, hu), arm)
        out = torch.where((out < -300) & (r < radius), arm, out)
    return out


def add_table(image: Volume, *, spacing_mm: float, rng: np.random.Generator) -> Volume:
    """Put a curved couch of two thin shells behind the body, where there is only air."""
    grid = voxel_grid(tuple(image.shape))  # type: ignore[arg-type]
    rows = (image > -300).any(2).any(0).nonzero().flatten()
    back = float(rows.min()) if len(rows) else 0.0
    bend = rng.uniform(0.0, 0.004)
    sheet = back - rng.uniform(0, 6) / spacing_mm + bend * (grid[0] - image.shape[0] / 2) ** 2
    out = image
    for offset_mm, hu in (
        (3.0, rng.uniform(-300, 200)),
        (rng.uniform(20, 60), rng.uniform(-500, 0)),
    ):
        shell = (grid[1] - (sheet - offset_mm / spacing_mm)).abs() < 0.8
        out = torch.where(shell & (out < -300), torch.full_like(out, float(hu)), out)
    return out


def thicken_slices(image: Volume, *, spacing_mm: float, slice_mm: float) -> Volume:
    """Average over ``slice_mm`` along D, as thick slices resampled to the grid look."""
    width = slice_mm / spacing_mm
    if width <= 1.0:
        return image
    reach = int(np.ceil((width - 1) / 2))
    weights = [1.0] + [
        min(1.0, max(0.0, (width - 1) / 2 - step + 1)) for step in range(1, reach + 1)
    ]
    padded = torch.nn.functional.pad(image, (reach, reach), mode="replicate")
    depth, total = image.shape[2], torch.zeros_like(image)
    for step in range(-reach, reach + 1):
        total += weights[abs(step)] * padded[..., reach + step : reach + step + depth]
    return total / (weights[0] + 2 * sum(weights[1:]))


def apply_kernel(image: Volume, kernel: float) -> Volume:
    """Blur by ``kernel`` voxels, or sharpen by as much where it is negative (unsharp mask)."""
    if kernel >= 0:
        return blur(image[None], kernel)[0]
    return image + (-kernel) * (image - blur(image[None], 1.0)[0])


def add_noise(image: Volume, sd_hu: float, rng: np.random.Generator) -> Volume:
    """Add noise with a short correlation, as filtered back-projection leaves it."""
    white = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
    grain = blur(white[None], 0.5)[0]
    return image + grain * (sd_hu / grain.std().clamp(min=1e-6))
