"""What a session knows of one structure: its prompts, its last answers, its mask; nothing mutable.

Each step makes a new state from the one before, so a step that fails changes nothing and undo puts
back the very same object. Masks are kept as packed bits of their bounding box, answers as the
network's own low-resolution logits in half precision (the next question sees those same halves, so
a restored state asks exactly what was asked).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fmtutor.core.prompts import INSIDE, OUTSIDE, Prompts
from fmtutor.engine.regions_of_interest import Box, Region, case_region, resample

SURE = 8.0
"""Logit given to a mask that a person starts from; masks of networks reach about as far."""

Index = tuple[int, int, int]


@dataclass(frozen=True)
class PackedMask:
    """A boolean volume as the bits of its bounding box."""

    shape: Index
    box: Box
    bits: bytes

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "H W D"], *, within: Box | None = None) -> "PackedMask":
        """Pack a mask; ``within`` is a box known to hold it, which saves looking elsewhere."""
        part = mask if within is None else mask[within]
        spans = []
        for axis in range(3):
            found = np.flatnonzero(part.any(tuple(a for a in range(3) if a != axis)))
            start = within[axis].start if within else 0
            first, end = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 0)
            spans.append(slice(start + first, start + end))
        box = cast(Box, tuple(spans))
        return cls(cast(Index, mask.shape), box, np.packbits(mask[box]).tobytes())

    def unpack(self) -> Bool[np.ndarray, "H W D"]:
        """Return the mask."""
        mask = np.zeros(self.shape, bool)
        size = [part.stop - part.start for part in self.box]
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=int(np.prod(size)))
        mask[self.box] = bits.reshape(size).astype(bool)
        return mask


@dataclass(frozen=True)
class Click:
    """A point inside or outside of the structure, in the case's voxels."""

    voxel: Index
    positive: bool = True


@dataclass(frozen=True, eq=False)
class LastAnswer:
    """The newest answer given on a region."""

    region: Region
    low: Float[Tensor, "h w d"]
    """Half precision, on the CPU."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """All prompts of one structure and what came of them."""

    clicks: tuple[Click, ...] = ()
    """In order of time."""
    box: tuple[Index, Index] | None = None
    """First and last voxel; a new box replaces the one before."""
    inside: PackedMask | None = None
    """Strokes inside of the structure."""
    outside: PackedMask | None = None
    """Strokes outside of it."""
    text: str = ""
    """Its name, where the network is asked by text too."""
    answers: tuple[LastAnswer, ...] = ()
    """One for each region asked about, the newest last."""
    start: PackedMask | None = None
    """A mask to correct, given at the start."""
    mask: PackedMask | None = None
    """The structure's mask; None before the first answer."""

    @property
    def starts(self) -> bool:
        """Whether something says where or what the structure is."""
        shown = (self.box, self.inside, self.start)
        return (
            any(click.positive for click in self.clicks)
            or any(part is not None for part in shown)
            or bool(self.text)
        )

    def nbytes(self) -> int:
        """Return about how much memory the state's own mask and newest answer take."""
        low = self.answers[-1].low if self.answers else None
        return (len(self.mask.bits) if self.mask else 0) + (low.nbytes if low is not None else 0)

    def answered(self, region: Region, low: Tensor) -> "Asked":
        """Return the state with a new answer; those that it covers are forgotten."""
        kept = tuple(old for old in self.answers if not region.covers(old.region))
        half = low.detach().float().clamp(-6e4, 6e4).half().cpu()
        return replace(self, answers=(*kept, LastAnswer(region, half)))


def prompts_on(asked: Asked, region: Region, *, text: Tensor | None = None) -> Prompts:
    """Return the prompts that lie in a region, in its voxels, without the previous mask (B = 1).

    A click outside of the region is left out; a box is cut at its border, a stroke marks every
    voxel of the region that it passes.
    """
    at = np.array([click.voxel for click in asked.clicks], float).reshape(-1, 3)
    held = region.holds(at)
    labels = np.where([click.positive for click in asked.clicks], INSIDE, OUTSIDE)
    return Prompts(
        points=torch.from_numpy(region.from_case(at[held])).float()[None],
        labels=torch.from_numpy(labels[held].astype(np.int64))[None],
        boxes=_box_on(asked, region),
        scribbles=_scribbles_on(asked, region),
        text=None if text is None else text.reshape(1, -1).float(),
    )


def previous_mask(
    asked: Asked, region: Region, low_shape: Sequence[int]
) -> Float[Tensor, "1 1 *low"] | None:
    """Return what the structure looked like so far, as low-resolution logits on a region.

    The last answer on this very region is passed as the network gave it, unless a later one
    overlaps it. Else the mask to start from and the answers of other regions are painted over each
    other, oldest first; what none of them saw counts as outside. Nothing inside is no mask.
    """
    near = [answer for answer in asked.answers if answer.region.overlaps(region)]
    if near and near[-1].region == region:
        return near[-1].low.float()[None, None]
    target = region.with_shape(low_shape)
    lows = [float(answer.low.min()) for answer in near]
    canvas = torch.full(target.shape, min([-SURE if asked.start else 0.0, *lows]))
    if asked.start is not None:
        mask = torch.from_numpy(asked.start.unpack().astype(np.float32) * 2 - 1) * SURE
        canvas = resample(mask, case_region(asked.start.shape), target, fill=-SURE)
    for answer in near:
        source = answer.region.with_shape(answer.low.shape)
        seen = resample(answer.low.float(), source, target, fill=float("nan"))
        canvas = torch.where(seen.isnan(), canvas, seen)
    return canvas[None, None] if bool((canvas > 0).any()) else None


def _box_on(asked: Asked, region: Region) -> Float[Tensor, "1 2 3"] | None:
    if asked.box is None:
        return None
    ends = region.from_case(np.array(asked.box, float))
    last = np.array(region.shape) - 1.0
    if (ends[1] < -0.5).any() or (ends[0] > last + 0.5).any():
        return None
    return torch.from_numpy(np.clip(ends, 0, last)).float()[None]


def _scribbles_on(asked: Asked, region: Region) -> Float[Tensor, "1 2 h w d"] | None:
    """Mark voxels that a stroke's voxel falls into, and voxels that fall into a stroke's voxel."""
    if asked.inside is None and asked.outside is None:
        return None
    drawn = torch.zeros(1, 2, *region.shape)
    for channel, strokes in enumerate((asked.inside, asked.outside)):
        if strokes is None:
            continue
        mask = strokes.unpack()
        at = np.argwhere(mask)
        at = np.round(region.from_case(at[region.holds(at)])).astype(int)
        h, w, d = np.clip(at, 0, np.array(region.shape) - 1).T
        drawn[0, channel, h, w, d] = 1
        drawn[0, channel][torch.from_numpy(_nearest(mask, region))] = 1
    return drawn


def _nearest(mask: np.ndarray, region: Region) -> np.ndarray:
    """Return for each voxel of a region whether the case's voxel under it is marked."""
    lines, valid = [], []
    for axis, count in enumerate(region.shape):
        at = np.round(region.start[axis] + region.step[axis] * np.arange(count)).astype(int)
        valid.append((at >= 0) & (at < mask.shape[axis]))
        lines.append(np.clip(at, 0, mask.shape[axis] - 1))
    inside = valid[0][:, None, None] & valid[1][:, None] & valid[2]
    return mask[np.ix_(*lines)] & inside
