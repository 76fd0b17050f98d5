"""Prompts in stacks of slices: they reach the right voxels, and answers come back to them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fmtutor.core.ask import Boxes, Clicks, Text
from fmtutor.core.prompts import INSIDE, Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.engine.stack_prompts import segment_stacks


class Painter(nn.Module):
    """Fills a box; around each click inside paints what is 3 pixels near, in its own slice."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.asked: list[Prompts] = []

    def embed(self, image: Tensor) -> Tensor:
        return image

    def decode(self, embedding: Tensor, prompts: Prompts) -> Answer:
        self.asked.append(prompts)
        grid = torch.stack(torch.meshgrid(*map(torch.arange, embedding.shape[2:]), indexing="ij"))
        at = grid[None].float()  # (1, 3, *grid)
        if prompts.boxes is not None:
            low, high = prompts.boxes[0].round()[..., None, None, None]
            inside = ((at >= low) & (at <= high)).all(1)
        else:
            weights = torch.tensor([1.0, 1.0, 9.0])[:, None, None, None]
            near = [
                ((at[0] - point[:, None, None, None]) * weights).norm(dim=0) <= 3
                for point, label in zip(prompts.points[0], prompts.labels[0], strict=True)
                if label == INSIDE
            ]
            inside = torch.stack(near).any(0)[None]
        logits = torch.where(inside, 9.0, -9.0)[:, None]
        return Answer(logits=logits, quality=logits.new_ones(1, 1), low=logits)


def case(depth: int = 12) -> Case:
    image = np.random.default_rng(0).normal(0, 100, (20, 30, depth)).astype(np.float32)
    return Case(name="noise", image=image, affine=np.diag([2.0, 2.0, 5.0, 1.0]))


@pytest.mark.parametrize("depth", [3, 12])
def test_a_deep_box_is_answered_in_every_slice_it_spans(depth: int) -> None:
    given, model = case(depth), Painter()
    low, high = (4, 6, 1), (15, 20, depth - 1)
    found = segment_stacks(model, given, Boxes(((*low, *high),)), size=60, slices=5, system="x")
    wanted = np.zeros(given.image.shape, bool)
    wanted[4:15, 6:20, 1 : depth - 1] = True
    mask = found.mask("structure")
    assert mask.any((0, 1)).tolist() == wanted.any((0, 1)).tolist()
    assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.85
    assert len(model.asked) == (1 if depth == 3 else 2)


def test_clicks_of_one_stack_are_asked_together_and_others_apart() -> None:
    given, model = case(), Painter()
    clicks = Clicks(((10, 15, 2), (5, 5, 3), (10, 20, 10)), (True, False, True))
    mask = segment_stacks(model, given, clicks, size=30, slices=5, system="x").mask("structure")
    assert [len(prompts.points[0]) for prompts in model.asked] == [2, 1]
    assert mask[10, 15, 2]
    assert mask[10, 20, 10]
    assert not mask[5, 5, 3]
    assert set(np.flatnonzero(mask.any((0, 1)))) == {2, 10}


def test_other_asks_are_refused() -> None:
    with pytest.raises(ValueError, match="x cannot answer Text"):
        segment_stacks(Painter(), case(), Text("liver"), size=30, slices=5, system="x")
    both = Clicks(((1, 1, 1),), (True,)) & Boxes(((0, 0, 0, 2, 2, 2),))
    with pytest.raises(ValueError, match="one kind at a time"):
        segment_stacks(Painter(), case(), both, size=30, slices=5, system="x")
