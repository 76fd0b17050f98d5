"""Slices of one patient for scoring 2D promptable systems: always the same, nothing augmented."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fmtutor.core.seeds import seed_of
from fmtutor.data.anatomy import table_parts
from fmtutor.data.cases import Case
from fmtutor.data.domains import region_of
from fmtutor.data.objects import ObjectBatch
from fmtutor.data.slices import AXES, SquareFrame, slices_of
from fmtutor.data.transforms import normalise


@dataclass(frozen=True, eq=False, kw_only=True)
class FixedSlice:
    """One slice with every structure that it shows."""

    case: str
    """Name of the patient."""
    axis: str
    """One of `AXES`."""
    index: int
    """Where along the axis it lies."""
    frame: SquareFrame
    """How it fills the square, for the way back to the volume."""
    objects: ObjectBatch
    """B = 1; K structures, all known, each of at least the area asked for."""


def fixed_slices(
    case: Case,
    structures: Sequence[str],
    *,
    size: int = 128,
    axis: str = "axial",
    per_structure: int = 3,
    least_pixels: int = 30,
    depth: int = 1,
) -> list[FixedSlice]:
    """Choose slices of a case that show each structure, spread evenly over those that do.

    A slice chosen for one structure is asked for all others that it shows as well: a promptable
    network embeds it once. A structure means what it means for scores, an organ with its lesions
    (`region_of`); one that the case lacks, or shows too little of, is left out.

    Args:
        case: With labels; intensities as they are stored.
        structures: Canonical names.
        size: Pixels along each side of the network's square.
        axis: One of `AXES`.
        per_structure: Slices chosen for each structure, at most.
        least_pixels: Area in the square below which a structure is not asked for.
        depth: Neighbouring slices of a slab, odd; 1 makes 2D images.

    Returns:
        Slices in the order of the axis; none where nothing is shown.

    Raises:
        ValueError: The case has no labels, the axis is unknown, or depth is even.
    """
    if case.labels is None or axis not in AXES or depth % 2 == 0:
        raise ValueError(
            f"slices for scoring need labels, an axis of {AXES} and an odd depth, got case "
            f"{case.name!r}, {axis!r} and {depth}; read the labels too, use 1 or 5."
        )
    number = AXES.index(axis)
    spacing = [mm for i, mm in enumerate(case.spacing_mm) if i != number]
    labels = slices_of(case.labels, number)
    shape = (labels.shape[1], labels.shape[2])
    frame = SquareFrame(shape=shape, spacing_mm=(spacing[0], spacing[1]), size=size)
    masks = _masks(case, labels, structures, frame)
    shown = {n: np.flatnonzero(m.sum((1, 2)) >= least_pixels) for n, m in masks.items()}
    chosen = sorted({int(i) for rows in shown.values() for i in _spread(rows, per_structure)})
    image = slices_of(normalise(case.image, case.modality), number)
    found = []
    for index in chosen:
        rows = np.clip(np.arange(depth) + index - depth // 2, 0, len(labels) - 1)
        names = tuple(name for name, at in shown.items() if index in at)
        target = np.stack([masks[name][rows] for name in names])  # (K, depth, size, size)
        objects = _batch(frame.image(image[rows]), target, names, seed_of(case.name, axis, index))
        found.append(
            FixedSlice(case=case.name, axis=axis, index=index, frame=frame, objects=objects)
        )
    return found


def _masks(
    case: Case, labels: np.ndarray, structures: Sequence[str], frame: SquareFrame
) -> dict[str, np.ndarray]:
    """Return each structure in the square, bool (n, size, size); those of the case's table."""
    found = {}
    for name in structures:
        parts = region_of(name).structures | set(table_parts(name, case.table.values()))
        ids = [number for number, part in case.table.items() if part in parts]
        mask = np.isin(labels, ids)
        rows = np.flatnonzero(mask.any((1, 2)))
        if len(rows):
            square = np.zeros((len(labels), frame.size, frame.size), bool)
            square[rows] = frame.mask(mask[rows])[:, 0].numpy() > 0.5
            found[name] = square
    return found


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """Return ``count`` of the rows, in the middles of as many equal stretches; all if fewer."""
    if len(rows) <= count:
        return rows
    return rows[((np.arange(count) + 0.5) * len(rows) / count).astype(int)]


def _batch(
    image: torch.Tensor, target: np.ndarray, names: tuple[str, ...], seed: int
) -> ObjectBatch:
    """Return a slab (depth, 1, size, size) as one image; a single slice has no D."""
    images = image[:, 0].movedim(0, -1)[None, None].contiguous()
    targets = torch.from_numpy(target).movedim(1, -1)[None].contiguous()
    flat = len(image) == 1
    return ObjectBatch(
        image=images[..., 0] if flat else images,
        target=targets[..., 0] if flat else targets,
        known=torch.ones(1, len(names), dtype=torch.bool),
        names=(names,),
        seed=seed,
    )
