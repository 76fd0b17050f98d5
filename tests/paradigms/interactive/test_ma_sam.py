"""MA-SAM: what is trained, how prompts reach slices, and both of its ways."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.ask import Classes
from fmtutor.core.prompts import Prompts, no_points
from fmtutor.core.seeds import torch_rng
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.nets.depth_adapters import DepthAdapter
from fmtutor.nets.sam import Sam
from fmtutor.paradigms.interactive.ma_sam import BEYOND, Config, build, predict, step
from fmtutor.paradigms.interactive.sizes import TINY


def batch() -> ObjectBatch:
    target = torch.zeros(2, 2, 16, 16, 4, dtype=torch.bool)
    target[:, 0, 2:7, 3:9] = True
    target[:, 1, 9:14, 8:15, 1:] = True
    image = torch.rand(2, 1, 16, 16, 4, generator=torch_rng("ma_sam"))
    return ObjectBatch(image=image, target=target, known=torch.ones(2, 2, dtype=torch.bool))


def without_depth(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, DepthAdapter):
            nn.init.zeros_(module.up.weight)


def test_what_the_published_adapters_train_of_the_encoder() -> None:
    with torch.device("meta"):
        model = build(Config.paper())
    depth = 2 * 768 + 2 * 768 * 384 + 384 * 384 * 3 + 384  # norm, down and up, along
    factors = 2 * 768 * 32 + 12 * 2 * 32 * 32
    encoder = [p for p in model.image_encoder.parameters() if p.requires_grad]
    assert sum(p.numel() for p in encoder) == 12 * 2 * depth + factors


def test_without_its_depth_adapters_each_slice_begins_as_the_base_sees_it() -> None:
    base = Sam(TINY)
    model = build(Config.tiny(), base).eval()
    without_depth(model)
    image = batch().image
    found = model.embed(image).map.unflatten(0, (2, 4))
    for at in range(4):
        assert torch.allclose(found[:, at], base.embed(image[..., at]).map, atol=1e-6)


def test_with_them_a_slice_sees_its_neighbours() -> None:
    model = build(Config.tiny()).eval()
    image = batch().image
    other = image.clone()
    other[..., 0] = 0
    change = (model.embed(image).map - model.embed(other).map).unflatten(0, (2, 4))
    assert bool((change[:, 1].abs().amax((1, 2, 3)) > 0).all())


def test_frozen_weights_get_no_gradient() -> None:
    model = build(Config.tiny(freeze=True))
    step(model, batch()).backward()
    moved = {n for n, p in model.image_encoder.named_parameters() if p.grad is not None}
    assert any("factor" in name for name in moved)
    assert all(any(s in n for s in ("factor", ".start.", ".middle.")) for n in moved)


def test_masks_have_the_resolution_of_the_image() -> None:
    model = build(replace(Config.tiny(), shape=replace(TINY, image=(32, 32), patch=8)))
    embedding = model.embed(torch.rand(1, 1, 32, 32, 4))
    assert embedding.map.shape[2:] == (4, 4)
    parts = model.prompt_encoder
    nothing = no_points(4, 2)
    low = model.mask_decoder.classes(
        embedding.map, parts.place.dense((4, 4)), parts.sparse(nothing, (32, 32)),
        parts.dense(nothing, (4, 4), (32, 32)),
    )  # fmt: skip
    assert low.shape == (4, 2, 32, 32)


def test_beyond_the_ends_of_a_box_nothing_is_answered() -> None:
    model = build(Config.tiny()).eval()
    boxes = torch.tensor([[[2.0, 3, 1], [6, 8, 2]]])
    answer = model.decode(model.embed(batch().image[:1]), replace(no_points(1, 3), boxes=boxes))
    assert answer.logits.shape == (1, 1, 16, 16, 4)
    outside = [bool((answer.logits[..., at] == BEYOND).all()) for at in range(4)]
    assert outside == [True, False, False, True]


def test_questions_keep_their_order_across_stacks_and_slices() -> None:
    model = build(Config.tiny()).eval()
    image = batch().image
    points = torch.rand(6, 2, 3, generator=torch_rng("points")) * 15
    mask = torch.randn(6, 1, 16, 16, 4, generator=torch_rng("mask"))
    asked = Prompts(points=points, labels=torch.ones(6, 2).long(), mask=mask)
    together = model.decode(model.embed(image), asked).logits
    for row in range(6):
        own = slice(row, row + 1)
        one = Prompts(points=points[own], labels=asked.labels[own], mask=mask[own])
        alone = model.decode(model.embed(image[row // 3, None]), one).logits
        assert torch.allclose(alone[0], together[row], atol=1e-4)


def test_with_classes_it_is_automatic() -> None:
    model = build(Config.tiny(classes=("bright", "dark")))
    assert model(batch().image).shape == (2, 3, 16, 16, 4)
    step(model, batch()).backward()
    with pytest.raises(ValueError, match="one object a class"):
        step(build(Config.tiny(classes=("a", "b", "c"))), batch())
    image = np.random.default_rng(0).normal(0, 100, (12, 20, 6)).astype(np.float32)
    case = Case(name="x", image=image, affine=np.eye(4))
    assert predict(model, case, Classes()).mask("dark").shape == image.shape


def test_a_stack_of_another_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="stacks have 4 slices"):
        build(Config.tiny()).embed(torch.zeros(1, 1, 16, 16, 5))
