"""Visual prompts: a click is the feature at its place."""

import torch
from torch import nn

from fmtutor.core.prompts import INSIDE, NOTHING, OUTSIDE, Prompts
from fmtutor.core.seeds import torch_rng
from fmtutor.nets.visual_prompts import VisualPrompts

MAP = torch.randn(1, 8, 4, 4, 3, generator=torch_rng("map"))


def prompts(label: int = INSIDE, at: tuple[float, ...] = (4.5, 10.5, 6.5)) -> Prompts:
    return Prompts(points=torch.tensor([[at]]), labels=torch.tensor([[label]]))


def test_a_click_in_the_centre_of_a_token_takes_its_feature() -> None:
    found = VisualPrompts(8, heads=2, hidden=8).sampled(MAP, prompts(), (12, 16, 15))
    # 3 x 4 x 5 voxels a token: (4.5, 10.5, 6.5) is half a voxel off the centres 4, 9.5, 7
    near = VisualPrompts(8, heads=2, hidden=8).sampled(
        MAP, prompts(at=(4.0, 9.5, 7.0)), (12, 16, 15)
    )
    assert torch.allclose(near[0, 0], MAP[0, :, 1, 2, 1], atol=1e-5)
    assert not torch.allclose(found, near)


def test_signs_begin_at_zero_and_then_tell_inside_from_outside() -> None:
    model = VisualPrompts(8, heads=2, hidden=8)
    inside, outside = (model.sampled(MAP, prompts(s), (12, 16, 15)) for s in (INSIDE, OUTSIDE))
    assert torch.equal(inside, outside)
    nn.init.normal_(model.signs)
    inside, outside = (model.sampled(MAP, prompts(s), (12, 16, 15)) for s in (INSIDE, OUTSIDE))
    assert not torch.equal(inside, outside)


def test_padding_has_no_place() -> None:
    model = VisualPrompts(8, heads=2, hidden=8)
    one, other = (
        model.sampled(MAP, prompts(NOTHING, at), (12, 16, 15))
        for at in ((1.0, 1.0, 1.0), (9.0, 9.0, 9.0))
    )
    assert torch.equal(one, other)


def test_the_image_learns_of_the_click() -> None:
    model = VisualPrompts(8, heads=2, hidden=8)
    one, other = (
        model(MAP, prompts(at=at), (12, 16, 15)) for at in ((1.0, 1.0, 1.0), (9.0, 9.0, 9.0))
    )
    assert one.shape == MAP.shape
    assert not torch.allclose(one, other)
