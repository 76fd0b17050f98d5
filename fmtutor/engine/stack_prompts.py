"""Promptable networks of stacks on volumes: a few neighbouring slices are asked at a time.

A stack is framed as in training: whole axial slices in a square, neighbours at their own distance.
Clicks are answered in the stack around them, all clicks in it together; a box is answered in as
many stacks as it is deep.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fmtutor.core.ask import Ask, Boxes, Clicks, Part, answerable, check_inside
from fmtutor.core.devices import autocast
from fmtutor.core.prompts import INSIDE, OUTSIDE, Prompts
from fmtutor.data.cases import Case
from fmtutor.data.slices import SquareFrame, slices_of
from fmtutor.data.transforms import normalise
from fmtutor.engine.in_context import evaluating
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.slice_classes import AXIAL, stacks

Question = tuple[int, Prompts]
"""First slice of a stack, and prompts in its square."""


def segment_stacks(
    model: nn.Module,
    case: Case,
    ask: Ask | Part,
    *,
    size: int,
    slices: int,
    system: str,
    name: str = "structure",
) -> Prediction:
    """Answer clicks, or boxes, in the stacks of slices that they are about.

    Args:
        model: A promptable network of stacks (B, 1, size, size, slices).
        case: Its image as read; labels are not looked at.
        ask: `Clicks` or `Boxes`, in voxels of the case.
        size: Pixels along each side of the square.
        slices: Slices of a stack.
        system: Its name, for errors.
        name: What the answer is called.

    Raises:
        ValueError: The ask has another part or none, both, or lies outside of the case.
    """
    parts = answerable(ask, Clicks, Boxes, system=system)
    if len(parts) != 1:
        raise ValueError(
            f"{system} answers clicks or boxes, one kind at a time, got {len(parts)} kinds; "
            "ask one after the other."
        )
    for part in parts.values():
        check_inside(part, case.image.shape)
    image = slices_of(normalise(case.image, case.modality), AXIAL)
    spacing = case.spacing_mm
    frame = SquareFrame(shape=image.shape[1:], spacing_mm=(spacing[0], spacing[1]), size=size)
    asked = _of_boxes if Boxes in parts else _of_clicks
    mask, device = np.zeros(case.image.shape, bool), next(model.parameters()).device
    network: Any = model
    with evaluating(model), torch.inference_mode(), autocast("auto", device):
        for first, prompts in asked(next(iter(parts.values())), frame, len(image), slices):
            at = np.minimum(first + np.arange(slices), len(image) - 1)
            seen = frame.image(image[at])[:, 0].movedim(0, -1)[None, None].to(device)
            logits = network.decode(network.embed(seen), prompts.to(device)).logits[0, 0]
            found = frame.back(logits.float().cpu().movedim(-1, 0)[:, None]) > 0
            for depth, here in zip(at, found.numpy(), strict=True):
                mask[:, :, depth] |= here
    return Prediction.from_masks({name: mask}, case)


def in_square(frame: SquareFrame, voxels: np.ndarray, first: int) -> np.ndarray:
    """Return voxels (..., 3) of a case in pixels of the square and slices of a stack."""
    scale = np.array([*frame.inner, 1]) / [*frame.shape, 1]
    return (voxels + 0.5) * scale - 0.5 + [*frame.corner, -first]


def _of_boxes(part: Boxes, frame: SquareFrame, count: int, slices: int) -> Iterator[Question]:
    """Yield each box in each of the stacks that cover it, cut to the stack."""
    for numbers in part.boxes_vox:
        low, high = np.array(numbers[:3]), np.array(numbers[3:]) - 1
        for at in stacks(int(high[2] - low[2]) + 1, slices):
            first = _start(int(low[2] + at[0]), count, slices)
            ends = in_square(frame, np.stack([low, high]), first)
            ends[:, 2] = ends[:, 2].clip(0, slices - 1)
            box = torch.from_numpy(ends)[None].float()
            none = torch.zeros(1, 0, 3)
            yield first, Prompts(points=none, labels=none[..., 0].long(), boxes=box)


def _of_clicks(part: Clicks, frame: SquareFrame, count: int, slices: int) -> Iterator[Question]:
    """Yield the clicks of each stack; one that lies in no stack begins the next one."""
    left = list(range(len(part.points_vox)))
    while left:
        first = _start(part.points_vox[left[0]][2] - slices // 2, count, slices)
        here = [i for i in left if first <= part.points_vox[i][2] < first + slices]
        left = [i for i in left if i not in here]
        points = in_square(frame, np.array([part.points_vox[i] for i in here], float), first)
        signs: Sequence[int] = [INSIDE if part.positive[i] else OUTSIDE for i in here]
        yield (
            first,
            Prompts(points=torch.from_numpy(points)[None].float(), labels=torch.tensor([signs])),
        )


def _start(first: int, count: int, slices: int) -> int:
    """Return the first slice of a stack that stays within the volume where it can."""
    return max(0, min(first, count - slices))
