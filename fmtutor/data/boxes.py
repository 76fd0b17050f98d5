"""Boxes as prompts: tight, loose as people draw them, and what a bare box is worth.

A box is an integer array (2, dims): the first and the last voxel, both within it. A person's
`fmtutor.core.ask.Boxes` leave the end out; `asked` goes there, `boxes_of` back.

Source: Ma et al., Segment anything in medical images (MedSAM), 2024, training protocol; Cheng et
al., SAM-Med2D, 2023, and its code.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from fmtutor.core.ask import Boxes

Box = Int[np.ndarray, "2 dims"]
Mask = Bool[np.ndarray, "..."]


def tight(mask: Mask) -> Box:
    """Return the smallest box that holds a mask.

    Raises:
        ValueError: The mask is empty.
    """
    if not mask.any():
        raise ValueError("a box is drawn around a voxel at least, got an empty mask; skip it.")
    corners = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        line = np.flatnonzero(mask.any(axis=others))
        corners.append((line[0], line[-1]))
    return np.array(corners, dtype=np.int64).T


def relaxed(
    box: Box,
    shape: Sequence[int],
    rng: np.random.Generator,
    *,
    voxels: int = 0,
    share: float = 0.0,
) -> Box:
    """Push each side outward by a length of its own, as a hasty person does; never inward.

    Args:
        box: Tight.
        shape: Of the image; the box is cut there.
        rng: All chance comes from here.
        voxels: The most a side moves, all lengths equally likely (MedSAM: 20 pixels of 1024).
        share: Of the box's own edge, added to ``voxels`` and rounded; suits small and large alike.
    """
    if voxels < 0 or share < 0:
        raise ValueError(f"sides move outward, got {voxels} voxels, share {share}; give 0 or more.")
    most = voxels + np.rint(share * (box[1] - box[0] + 1)).astype(np.int64)
    moves = rng.integers(0, most + 1, size=box.shape)
    return _clipped(np.stack([box[0] - moves[0], box[1] + moves[1]]), shape)


def shifted(
    box: Box,
    shape: Sequence[int],
    rng: np.random.Generator,
    *,
    share: float = 0.5,
    voxels: int = 5,
) -> Box:
    """Move the whole box, as SAM-Med2D's noise does: it is never drawn too large or too small.

    Its code draws one number an axis and adds it to both corners, so the network meets boxes that
    cut the structure off on one side, and none that is loose on both.

    Args:
        box: Tight.
        shape: Of the image; the box is cut there.
        rng: All chance comes from here.
        share: Of the shortest edge of the box; the most that it moves along each axis.
        voxels: But no more than this.
    """
    shortest = int((box[1] - box[0]).min()) + 1
    most = min(voxels, int(share * shortest))
    return _clipped(box + rng.integers(-most, most, size=box.shape[1], endpoint=True), shape)


def filled(box: Box, shape: Sequence[int]) -> Mask:
    """Return the mask of all voxels of a box; its part outside of the image is left out."""
    mask = np.zeros(tuple(shape), dtype=bool)
    if (box[1] >= 0).all():
        mask[tuple(slice(max(int(a), 0), int(b) + 1) for a, b in box.T)] = True
    return mask


def bare_dice(mask: Mask, box: Box | None = None) -> float:
    """Return the Dice of a box that is simply filled: what any answer to it has to beat.

    A person who draws the box has told this much already; a disc fills 78 % of its square, a ball
    52 % of its cube.

    Args:
        mask: The truth, not empty.
        box: None is the tight one.
    """
    box = tight(mask) if box is None else box
    inside = filled(box, mask.shape)
    return 2.0 * float((inside & mask).sum()) / float(inside.sum() + mask.sum())


def per_slice(mask: Mask, *, axis: int = -1) -> dict[int, Box]:
    """Return the tight box of each slice that shows the structure, by the slice's index.

    This is what a 2D system has to be told about a volume: one box a slice, not one box.

    Args:
        mask: A volume, or an image (whose slices are lines).
        axis: That the slices lie along.
    """
    slices = np.moveaxis(mask, axis, 0)
    return {at: tight(part) for at, part in enumerate(slices) if part.any()}


def per_slice_mask(boxes: dict[int, Box], shape: Sequence[int], *, axis: int = -1) -> Mask:
    """Return the mask of boxes of slices, each filled in its slice."""
    mask = np.zeros(tuple(shape), dtype=bool)
    slices = np.moveaxis(mask, axis, 0)  # a view
    for at, box in boxes.items():
        slices[at] = filled(box, slices.shape[1:])
    return mask


def asked(*boxes: Box) -> Boxes:
    """Return boxes of a volume as a person's ask: ends not included."""
    return Boxes(tuple(tuple(map(int, (*box[0], *(box[1] + 1)))) for box in boxes))  # type: ignore[misc]


def boxes_of(part: Boxes) -> tuple[Box, ...]:
    """Return the boxes of a person's ask, by first and last voxel."""
    pairs = [np.array(box, dtype=np.int64).reshape(2, -1) for box in part.boxes_vox]
    return tuple(np.stack([start, end - 1]) for start, end in pairs)


def _clipped(box: Box, shape: Sequence[int]) -> Box:
    return np.clip(box, 0, np.array(shape, dtype=np.int64) - 1)
