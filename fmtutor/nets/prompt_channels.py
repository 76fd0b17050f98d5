"""Prompts drawn as images, so that any segmentation network can read them as input channels.

A click is a ball; every newer click lets it fade, so that the newest is the clearest. A box is
filled, a scribble is drawn as it is, and the last answer comes as probabilities.

Source: Isensee et al., "nnInteractive", 2025 (balls that fade); Wong et al., "ScribblePrompt",
ECCV 2024 (filled boxes, the last mask).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Prompts

CHANNELS = ("mask", "clicks inside", "clicks outside", "box", "scribble inside", "scribble outside")
"""What each channel of `prompt_channels` holds, in order."""
LINEAR = {2: "bilinear", 3: "trilinear"}


def prompt_channels(
    prompts: Prompts, grid: tuple[int, ...], *, radius: float, fade: float, oldest: int = 1_000
) -> Float[Tensor, "B 6 *grid"]:
    """Return the prompts as channels on the image's grid, all in [0, 1].

    Args:
        prompts: Of B questions.
        grid: Sides of the image, 2 or 3.
        radius: Of a click's ball, in voxels.
        fade: Factor on a ball for each newer click of the same question, in (0, 1].
        oldest: Newer clicks that count at most: a click before them fades no further; the default
            lets every click fade on.
    """
    rows, dims = len(prompts), len(grid)
    empty = torch.zeros(rows, 1, *grid, device=prompts.points.device)
    mask = empty
    if prompts.mask is not None:
        mask = prompts.mask.float().sigmoid()
        if tuple(mask.shape[2:]) != tuple(grid):
            mask = functional.interpolate(mask, size=grid, mode=LINEAR[dims])
    clicks = _balls(prompts, grid, radius=radius, fade=fade, oldest=oldest)
    box = empty if prompts.boxes is None else filled(prompts.boxes, grid)[:, None].float()
    scribbles = (
        empty.expand(rows, 2, *grid) if prompts.scribbles is None else prompts.scribbles.float()
    )
    return torch.cat((mask, clicks, box, scribbles), 1)


def _balls(
    prompts: Prompts, grid: tuple[int, ...], *, radius: float, fade: float, oldest: int
) -> Float[Tensor, "B 2 *grid"]:
    """Draw the clicks, those inside and those outside; of balls that overlap the clearer stays."""
    labels = prompts.labels
    out = torch.zeros(len(prompts), 2, *grid, device=labels.device)
    said = (labels != NOTHING).long()
    newer = said.sum(1, keepdim=True) - said.cumsum(1)
    for row in range(len(prompts)):
        for number in range(labels.shape[1]):
            label = int(labels[row, number])
            if label not in (INSIDE, OUTSIDE):
                continue
            box, ball = ball_at(prompts.points[row, number], grid, radius=radius)
            channel = out[row, 0 if label == INSIDE else 1]
            value = fade ** min(int(newer[row, number]), oldest)
            channel[box] = torch.maximum(channel[box], ball.float() * value)
    return out


def ball_at(
    point: Float[Tensor, " dims"], grid: tuple[int, ...], *, radius: float
) -> tuple[tuple[slice, ...], Bool[Tensor, "..."]]:
    """Return the part of the grid around a point, and which of its voxels lie within the radius.

    The part is empty where the point lies far outside of the grid.
    """
    parts, square = [], torch.zeros((), device=point.device)
    for axis, (at, side) in enumerate(zip(point.tolist(), grid, strict=True)):
        first, stop = max(0, int(at - radius)), min(side, int(at + radius) + 2)
        line = torch.arange(first, max(first, stop), device=point.device) - at
        parts.append(slice(first, max(first, stop)))
        shape = [1] * len(grid)
        shape[axis] = len(line)
        square = square + (line**2).reshape(shape)
    return tuple(parts), square <= radius**2


def filled(boxes: Float[Tensor, "B 2 dims"], grid: tuple[int, ...]) -> Bool[Tensor, "B *grid"]:
    """Return which voxels lie in each box, its first and last included."""
    dims = len(grid)
    inside = torch.ones(len(boxes), *([1] * dims), dtype=torch.bool, device=boxes.device)
    for axis, side in enumerate(grid):
        shape = [1] * (dims + 1)
        shape[axis + 1] = side
        line = torch.arange(side, device=boxes.device).reshape(shape)
        low, high = (boxes[:, end, axis].reshape(-1, *([1] * dims)) for end in (0, 1))
        inside = inside & (line >= low) & (line <= high)
    return inside
