"""MedSAM: what is trained, how boxes are drawn, and that it begins as its base."""

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.seeds import rng, torch_rng
from fmtutor.data.objects import ObjectBatch
from fmtutor.nets.sam import Sam
from fmtutor.paradigms.interactive import sam, sizes
from fmtutor.paradigms.interactive.medsam import Config, build, outward_boxes, step


def batch() -> ObjectBatch:
    target = torch.zeros(2, 2, 16, 16, dtype=torch.bool)
    target[:, 0, 2:7, 3:9] = True
    target[:, 1, 9:14, 8:15] = True
    image = torch.rand(2, 1, 16, 16, generator=torch_rng("medsam")) * 0.2 + 0.6 * target.any(
        1, True
    )
    return ObjectBatch(image=image, target=target, known=torch.ones(2, 2, dtype=torch.bool))


def trained(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_the_published_network_trains_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        model = build(Config.paper())
    assert trained(model) == 93_729_252


def test_it_begins_as_its_base() -> None:
    base = Sam(sizes.TINY).eval()
    image = batch().image
    model = build(Config.tiny(), base)
    assert torch.equal(model.embed(image).map, base.embed(image).map)


def test_it_has_the_size_of_the_general_sam_that_is_shipped() -> None:
    assert Config.quick().shape == sam.Config.quick().shape == sizes.SMALL


def test_the_prompt_encoder_gets_no_gradient_and_the_rest_does() -> None:
    model = build(Config.tiny(freeze=True))
    step(model, batch()).backward()
    assert all(p.grad is None for p in model.prompt_encoder.parameters())
    for name in ("image_encoder", "mask_decoder.transformer"):
        grads = [p.grad for p in model.get_submodule(name).parameters()]
        assert any(g is not None and bool(g.abs().sum() > 0) for g in grads)


def test_boxes_hold_their_object_and_are_loose_by_the_share_at_most() -> None:
    masks = np.zeros((40, 50, 50), bool)
    masks[:, 20:24, 30:39] = True
    boxes = outward_boxes(masks, 0.1, rng("boxes")).numpy()
    low, high = boxes[:, 0], boxes[:, 1]
    assert (low <= [20, 30]).all()
    assert (high >= [23, 38]).all()
    assert (low >= [15, 25]).all()
    assert (high <= [28, 43]).all()
    assert len(np.unique(boxes.reshape(40, -1), axis=0)) > 20


def test_an_unknown_object_costs_nothing() -> None:
    model, given = build(Config.tiny()), batch()
    none = ObjectBatch(image=given.image, target=given.target, known=torch.zeros_like(given.known))
    assert float(step(model, none).detach()) == 0.0


def test_a_base_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="build the network with the base's Shape"):
        build(Config.quick(), Sam(sizes.TINY))
