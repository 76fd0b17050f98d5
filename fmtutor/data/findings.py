"""Findings put into a warped patient: resected organs and lesions, with their labels."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from fmtutor.data.appearance import smooth_noise
from fmtutor.data.deformation import blur, voxel_grid

Volume = Float[Tensor, "H W D"]
Labels = Integer[Tensor, "H W D"]
Mask = Bool[Tensor, "H W D"]

FAT_HU = -95.0


def resect(
    image: Volume, labels: Labels, number: int, rng: np.random.Generator
) -> tuple[Volume, Labels]:
    """Replace an organ by fat, as after its removal."""
    where = labels == number
    soft = blur(where.float()[None], 0.8)[0].clamp(0, 1)
    fat = FAT_HU + 12 * torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
    return image * (1 - soft) + fat * soft, torch.where(where, 0, labels)


def lesion_shape(organ: Mask, *, radius_vox: float, rng: np.random.Generator) -> Mask:
    """Draw one blob of about this radius, centred in the organ and never leaving it."""
    inside = organ.nonzero()
    centre = inside[int(rng.integers(len(inside)))].float()
    shape: tuple[int, int, int] = tuple(organ.shape)  # type: ignore[assignment]
    distance = (voxel_grid(shape) - centre.view(3, 1, 1, 1)).norm(dim=0) / radius_vox
    return (distance + 0.25 * smooth_noise(shape, 4, rng) < 1.0) & organ


def insert_lesions(
    image: Volume,
    labels: Labels,
    *,
    organ: int,
    lesion: int,
    spacing_mm: float,
    rng: np.random.Generator,
) -> tuple[Volume, Labels]:
    """Insert one to three lesions into an organ and label them.

    Args:
        image: HU.
        labels: Label map.
        organ: Label id of the organ; where it is absent nothing changes.
        lesion: Label id that the lesions get.
        spacing_mm: Edge of the voxels.
        rng: Source of the draws: number, radius (6 to 22 mm), contrast (15 to 60 HU, often darker).
    """
    count, offset = int(rng.integers(1, 4)), float(rng.uniform(15, 60))
    offset *= -1.0 if rng.random() < 0.8 else 1.0
    for _ in range(count):
        mask = labels == organ
        if not mask.any():
            break
        blob = lesion_shape(mask, radius_vox=float(rng.uniform(6, 22)) / spacing_mm, rng=rng)
        image = image + offset * blur(blob.float()[None], 0.6)[0]
        labels = torch.where(blob, lesion, labels)
    return image, labels
