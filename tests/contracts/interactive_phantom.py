"""What the contracts of the interactive systems are tried on: a phantom, prompts, a training.

The phantom: a bright and a dark ball (in 2D, disc) at random places. Both are objects, and nothing
but the prompt says which one is meant: a system that ignores its prompt cannot know both.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fmtutor.core.ask import Boxes, Clicks, Part
from fmtutor.core.geometry import Grid
from fmtutor.core.prompts import INSIDE, Answer, Prompts, no_points
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.data.boxes import tight
from fmtutor.data.cases import Case
from fmtutor.data.clicks import simulate
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.paradigms import paradigm
from tests.contracts.training import losses_of

SPACING_MM = 3.0


def grid_of(name: str) -> tuple[int, ...]:
    """The image of a tiny network; its number of axes tells 2D from 3D systems."""
    return tuple(paradigm(name).Config.tiny().size)


def phantom(size: tuple[int, ...], number: int) -> tuple[np.ndarray, np.ndarray]:
    """One image (*size) with a bright and a dark ball, and their masks (2, *size)."""
    rng = rng_of("interactive phantom", number)
    image = np.full(size, 0.5) + rng.normal(0, 0.03, size)
    at, side = np.indices(size), size[0]
    masks = np.zeros((2, *size), bool)
    left = int(rng.integers(2))
    for which, grey in enumerate((0.9, 0.1)):
        centre = rng.uniform(0.3, 0.65, len(size)) * size
        centre[1] = (0.25 if which == left else 0.7) * size[1]
        distance = sum((line - c) ** 2 for line, c in zip(at, centre, strict=True))
        masks[which] = distance < (0.21 * side) ** 2
        image[masks[which]] = grey
    return image.clip(0, 1).astype(np.float32), masks


def batch_of(name: str, seed: int = 0) -> ObjectBatch:
    """Always the same two images; the seed draws other clicks."""
    found = [phantom(grid_of(name), number) for number in range(2)]
    pictures, masks = (np.stack(part) for part in zip(*found, strict=True))
    return ObjectBatch(
        image=torch.from_numpy(pictures[:, None]), target=torch.from_numpy(masks),
        known=torch.ones(2, 2, dtype=torch.bool), names=(("bright", "dark"),) * 2,
        seed=seed,
    )  # fmt: skip


def tiny(module: ModuleType, seed: int = 0) -> Any:
    seed_everything(seed)
    return module.build(module.Config.tiny())


def module_for(name: str, *contracts: str) -> ModuleType:
    module = paradigm(name)
    for contract in contracts:
        if contract in module.CARD.exempt:
            pytest.skip(module.CARD.exempt[contract])
    return module


def answers_clicks(name: str) -> bool:
    return "clicks" not in paradigm(name).CARD.exempt


def innermost(mask: np.ndarray) -> tuple[int, ...]:
    click = simulate("centre", mask, np.zeros_like(mask), rng_of("contracts"))
    assert click is not None
    return click.point


def prompts_on(name: str, masks: Tensor) -> Prompts:
    """One click in the middle of each mask (R, *grid), or its box where clicks are not answered."""
    rows, dims = len(masks), masks.dim() - 1
    if not answers_clicks(name):
        boxes = np.stack([tight(mask) for mask in masks.numpy()])
        return replace(no_points(rows, dims), boxes=torch.from_numpy(boxes).float())
    points = torch.tensor([[innermost(mask)] for mask in masks.numpy()]).float()
    return Prompts(points=points, labels=torch.full((rows, 1), INSIDE))


@torch.no_grad()
def answered(model: Any, image: Tensor, prompts: Prompts, **how: Any) -> Answer:
    return model.eval().decode(model.embed(image), prompts, **how)


@cache
def trained(name: str) -> Any:
    """The tiny network after its own recipe on one batch; and the losses on the way."""
    module = paradigm(name)
    config, model = module.Config.tiny(), tiny(module)
    recipe = FitConfig(
        steps=config.steps, lr=config.lr, weight_decay=config.weight_decay, prefetch=0
    )
    steps = fit(model, module.step, lambda i: batch_of(name, i), recipe)
    model.losses = losses_of(steps)
    return model.eval()


def volume(name: str) -> Case:
    """A phantom it was trained on, as a CT in voxels twice as long as wide, stored as LPS.

    For a 3D network neighbouring slices are averaged; a 2D one sees its image in every slice.
    """
    size = grid_of(name)
    image, masks = phantom(size, 0)
    if len(size) == 2:
        image, masks = image[..., None].repeat(8, -1), masks[..., None].repeat(8, -1)
    else:
        image, masks = image.reshape(*size[:2], -1, 2).mean(-1), masks[..., ::2]
    affine = np.diag((SPACING_MM, SPACING_MM, 2 * SPACING_MM, 1.0))
    grid = Grid(image.shape, affine)  # type: ignore[arg-type]
    lps = affine @ np.diag((-1.0, -1.0, 1.0, 1.0))
    lps[:2, 3] = affine[:2, :2] @ (np.array(image.shape[:2]) - 1)
    return Case(
        name="phantom", image=image * 425 - 175, affine=grid.affine,
        labels=(masks[0] + 2 * masks[1]).astype(np.uint8), table={1: "bright", 2: "dark"},
        native=Grid(image.shape, lps),  # type: ignore[arg-type]
    )  # fmt: skip


def part_of(kind: str, mask: np.ndarray) -> tuple[Part, Any]:
    """A click on or a box around a mask, and where a 2D system can be expected to answer it."""
    point = innermost(mask)
    if kind == "clicks":
        return Clicks((point,), (True,)), np.index_exp[:, :, point[2]]  # type: ignore[arg-type]
    first, last = tight(mask)
    box = tuple(np.concatenate((first, last + 1)).tolist())
    return Boxes((box,)), np.index_exp[:, :, first[2] : last[2] + 1]  # type: ignore[arg-type]


def recorded(model: Any) -> list[Answer]:
    """Let a network keep each answer of a training step, with its gradients."""
    kept: list[Answer] = []
    decode: Callable[..., Answer] = model.decode

    def keeping(*args: Any, **how: Any) -> Answer:
        answer = decode(*args, **how)
        for part in (answer.logits, answer.quality):
            if part.requires_grad:
                part.retain_grad()
        kept.append(answer)
        return answer

    model.decode = keeping
    return kept
