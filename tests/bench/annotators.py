"""Stand-ins for people, volumes and networks in the tests of annotation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.balls import ball
from fmtutor.data.cases import Case

SPACING = 3.0
SHAPE = (24, 24, 24)


def bright_ball(
    number: int = 0, *, radius: float = 7.0, name: str = "liver", inverted: bool = False
) -> Case:
    """Return a case with one bright ball, a little elsewhere for each number."""
    middle = 11.5 + np.random.default_rng(number).uniform(-2, 2, 3)
    inside = ((np.indices(SHAPE) - middle[:, None, None, None]) ** 2).sum(0) < radius**2
    bright, dark = (-100.0, 180.0) if inverted else (180.0, -100.0)
    return Case(
        name=f"ball-{number}",
        image=np.where(inside, bright, dark).astype(np.float32),
        affine=np.diag([SPACING, SPACING, SPACING, 1.0]),
        labels=inside.astype(np.uint8),
        table={1: name},
        known=frozenset({"liver", "spleen", "kidney_left", "liver_lesion"}),
    )


class Painter:
    """A session that paints a ball at each click, and looks at no image."""

    def __init__(self, case: Case, radius: float = 4.0) -> None:
        self.shape, self.radius = case.image.shape, radius
        self.painted = np.zeros(self.shape, bool)
        self.clicks: list[tuple[tuple[int, ...], bool]] = []

    def click(self, voxel: Sequence[int], positive: bool = True) -> Any:
        """Paint, or wipe."""
        self.clicks.append((tuple(voxel), positive))
        here = ball(voxel, self.shape, radius=self.radius, spacing_mm=(1.0,) * 3) > 0
        self.painted = self.painted | here if positive else self.painted & ~here

    def mask(self) -> np.ndarray:
        """Return what is painted."""
        return self.painted


class ByIntensity(nn.Module):
    """A promptable network that takes what is bright, once anything was clicked."""

    def embed(self, image: Tensor) -> Tensor:
        """Return the image."""
        return image

    def decode(self, embedding: Tensor, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Answer what is bright, whatever is clicked."""
        logits = (embedding - 0.5) * 20
        return Answer(logits=logits, quality=torch.ones(len(logits), 1), low=logits)


class Context(nn.Module):
    """An in-context network that answers rightly from so many examples on, before that nothing."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 3, 3))
        self.enough = enough

    def forward(self, query: Tensor, images: Tensor, masks: Tensor) -> Tensor:
        """Answer what is bright, if there are enough examples."""
        return (query - 0.5) * 20 if images.shape[1] >= self.enough else query * 0 - 9
