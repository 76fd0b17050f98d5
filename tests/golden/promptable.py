"""What a promptable original and ours are asked, and the small shapes that are compared quickly.

The image and the prompts come from names and a seed alone, as the weights do (`recipe`). Two
questions are asked of one image: three clicks, and two clicks with a place left empty.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fmtutor.core.prompts import Prompts
from fmtutor.nets.sam import Shape
from fmtutor.nets.sam_shapes import sam_med2d, sam_med3d, vit_b
from tests.golden.recipe import image, kept

SMALL: dict[str, Any] = {
    "features": 96, "depth": 3, "heads": 4, "window": 7, "global_blocks": (1,),
    "decoder_hidden": 2048, "quality_hidden": 64,
}  # fmt: skip
"""Sizes of the small shapes: two blocks of windows that do not fit the grid, one of the whole."""


def small(shape: Shape, side: int, prompt_features: int) -> Shape:
    """Return a published shape at sizes that take a second."""
    sides = (side,) * len(shape.image)
    return replace(shape, image=sides, prompt_features=prompt_features, **SMALL)


SHAPES: dict[str, Callable[[], Shape]] = {
    "sam-vit-b": vit_b,
    "sam-med2d": sam_med2d,
    "sam-med3d": sam_med3d,
    "sam-vit-b-small": lambda: small(vit_b(), 160, 64),
    "sam-med2d-small": lambda: small(sam_med2d(), 128, 64),
    "sam-med3d-small": lambda: small(sam_med3d(), 64, 96),
}
"""Golden file to shape; the small ones have 10, 8 and 4 tokens along each axis."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Prompts that both are asked, and whether the three candidates are asked for."""

    name: str
    prompts: Prompts
    candidates: bool = False


def picture(shape: Shape) -> Tensor:
    """Return the image, (1, 1, *grid) in [0, 1], a fifth of it black as around a body."""
    noise = image((1, 1, *shape.image), "picture")
    return torch.where(noise < 0.2, torch.zeros(()), noise)


def questions(shape: Shape) -> Iterator[Question]:
    """Yield clicks, clicks and a mask, candidates, and boxes where the network knows them."""
    dims = len(shape.image)
    places = image((2, 3, dims), "places") * (torch.tensor(shape.image) - 1.0)
    clicks = Prompts(points=places, labels=torch.tensor([[1, 0, 1], [0, 1, -1]]))
    low = [4 * side // shape.patch for side in shape.image]
    mask = 8 * image((2, 1, *low), "mask") - 4
    yield Question(name="clicks", prompts=clicks)
    yield Question(name="clicks and mask", prompts=clicks.with_mask(mask))
    yield Question(name="candidates", prompts=clicks, candidates=True)
    if shape.boxes:
        corners = torch.stack([places[:, 0] / 2, places[:, 1] / 2 + torch.tensor(shape.image) / 3])
        boxes = corners.transpose(0, 1)
        bare = replace(clicks, points=clicks.points[:, :0], labels=clicks.labels[:, :0])
        yield Question(name="box", prompts=replace(bare, boxes=boxes))
        yield Question(name="clicks and box", prompts=replace(clicks, boxes=boxes))


def kept_of(
    embedding: Tensor, ask: Callable[[Question], tuple[Tensor, Tensor]], shape: Shape
) -> dict[str, Any]:
    """Return what a golden file keeps: the embedding, and masks and quality of each question.

    Args:
        embedding: (1, E, *tokens).
        ask: Question to low masks (2, M, *low) and predicted overlap (2, M).
        shape: What is asked.
    """
    outputs = {"embedding": kept(embedding)}
    for question in questions(shape):
        masks, quality = ask(question)
        outputs[question.name] = kept(masks)
        outputs[f"{question.name}: quality"] = kept(quality)
    return outputs
