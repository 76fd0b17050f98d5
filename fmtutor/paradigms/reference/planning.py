"""nnU-Net's rules: from the shapes and spacings of one dataset to a network and its patch.

1. target spacing: the median per axis; for an axis that is over three times coarser than the
   others, its 10th percentile;
2. patch: a cube in millimetres, no larger than the median case, shrunk until a training step fits
   the memory;
3. pooling: halve an axis as long as it keeps 4 voxels, and only with axes of similar spacing, so
   thick slices are pooled later;
4. batch: what memory is left for, at least 2, at most 5 % of the dataset's voxels.

Source: Isensee et al., Nature Methods 2021.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]
MIN_EDGE_VOX = 4
"""No axis is pooled below this."""
TENSORS_PER_LEVEL = 10
"""Feature maps kept for the backward pass: 2 x (conv, norm) down, the same and 2 more up."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the rules decide."""

    spacing_mm: Spacing
    """Working voxel edges."""
    patch: Shape
    """Voxels of a patch, divisible by the product of the strides."""
    strides: tuple[Shape, ...]
    """Per level and axis; the first level has 1."""
    channels: tuple[int, ...]
    """Features per level: doubled from level to level, bounded."""
    batch: int
    """Patches per step."""


def plan(
    shapes: Sequence[Shape],
    spacings_mm: Sequence[Spacing],
    *,
    memory_gib: float = 8.0,
    width: int = 32,
    widest: int = 320,
) -> Plan:
    """Configure a network for a dataset by rules.

    Args:
        shapes: Voxels of each case.
        spacings_mm: Voxel edges of each case.
        memory_gib: Bound on the feature maps of one training step, in fp32.
        width: Features of the first level.
        widest: Bound on the features of a level.

    Raises:
        ValueError: Not one shape per spacing, or not even the smallest patch fits the memory.
    """
    if not shapes or len(shapes) != len(spacings_mm):
        raise ValueError(
            f"a plan needs a shape and a spacing per case, got {len(shapes)} and "
            f"{len(spacings_mm)}; measure every case."
        )
    target = target_spacing(shapes, spacings_mm)
    sizes = np.array(shapes) * np.array(spacings_mm) / np.array(target)
    median = np.maximum(np.median(sizes, axis=0).round(), 1)
    side_mm = (256**3 * np.prod(target)) ** (1 / 3)
    patch = np.minimum(side_mm / np.array(target), median).round().astype(int)
    budget = memory_gib * 2**30
    while True:
        strides = pooling(patch.tolist(), target)
        divisor = np.prod(strides, axis=0)
        patch = np.ceil(patch / divisor).astype(int) * divisor
        channels = tuple(min(width * 2**level, widest) for level in range(len(strides)))
        need = feature_bytes(patch.tolist(), strides, channels)
        if 2 * need <= budget:
            break
        axis = int(np.argmax(np.where(patch > divisor, patch / median, 0)))
        if patch[axis] <= 2 * MIN_EDGE_VOX:
            raise ValueError(f"{memory_gib} GiB hold no patch; raise memory_gib or lower width.")
        patch[axis] -= divisor[axis]
    share = 0.05 * sizes.prod(axis=1).sum() / patch.prod()
    batch = max(2, int(min(budget // need, share)))
    return Plan(
        spacing_mm=target,
        patch=tuple(map(int, patch)),  # type: ignore[arg-type]
        strides=strides,
        channels=channels,
        batch=batch,
    )


def target_spacing(shapes: Sequence[Shape], spacings_mm: Sequence[Spacing]) -> Spacing:
    """Return the working spacing: medians, but finer along thick slices (rule 1)."""
    spacings = np.array(spacings_mm, dtype=float)
    target = np.median(spacings, axis=0)
    sizes = np.median(np.array(shapes) * spacings / target, axis=0)
    thick = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != thick]
    if target[thick] > 3 * target[others].max() and 3 * sizes[thick] < sizes[others].min():
        target[thick] = max(np.percentile(spacings[:, thick], 10), target[others].max())
    return tuple(float(edge) for edge in target)  # type: ignore[return-value]


def pooling(patch: Sequence[int], spacing_mm: Spacing) -> tuple[Shape, ...]:
    """Return the stride of each level and axis (rule 3); the first level has none."""
    size, spacing = np.array(patch), np.array(spacing_mm)
    strides: list[Shape] = [(1, 1, 1)]
    while (large := size >= 2 * MIN_EDGE_VOX).any():
        halved = large & (spacing < 2 * spacing[large].min())
        step_of = np.where(halved, 2, 1)
        size, spacing = np.ceil(size / step_of).astype(int), spacing * step_of
        h, w, d = map(int, step_of)
        strides.append((h, w, d))
    return tuple(strides)


def feature_bytes(patch: Sequence[int], strides: Sequence[Shape], channels: Sequence[int]) -> int:
    """Estimate the bytes of fp32 feature maps that training keeps for one patch."""
    voxels = float(np.prod(patch)) / np.cumprod(np.prod(strides, axis=1))
    kept = sum(v * c for v, c in zip(voxels, channels, strict=True))
    return int(4 * TENSORS_PER_LEVEL * kept)
