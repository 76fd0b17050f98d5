"""SAMed: what is trained, and that classes are learnt in their order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fmtutor.core.ask import Classes
from fmtutor.core.seeds import torch_rng
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.nets.class_decoder import ClassSam
from fmtutor.nets.sam import Sam
from fmtutor.paradigms.interactive.samed import Config, build, predict, step
from fmtutor.paradigms.interactive.sizes import TINY


def batch() -> ObjectBatch:
    target = torch.zeros(2, 2, 16, 16, dtype=torch.bool)
    target[:, 0, 2:7, 3:9] = True
    target[:, 1, 9:14, 8:15] = True
    grey = 0.5 + 0.4 * target[:, :1].float() - 0.4 * target[:, 1:].float()
    noise = 0.05 * torch.rand(2, 1, 16, 16, generator=torch_rng("samed"))
    return ObjectBatch(image=grey + noise, target=target, known=torch.ones(2, 2, dtype=torch.bool))


def test_the_published_network_adds_147456_weights_to_a_frozen_encoder() -> None:
    with torch.device("meta"):
        model = build(Config.paper())
    encoder = [p for p in model.image_encoder.parameters() if p.requires_grad]
    assert sum(p.numel() for p in encoder) == 12 * 2 * 2 * 768 * 4
    for part in (model.prompt_encoder, model.mask_decoder):
        assert all(p.requires_grad for p in part.parameters())


def test_its_encoder_begins_as_the_base_and_only_the_factors_learn() -> None:
    base = Sam(TINY)
    model = build(Config.tiny(freeze=True), base)
    image = batch().image
    assert torch.equal(model.embed(image).map, base.embed(image).map)
    step(model, batch()).backward()
    moved = {n for n, p in model.image_encoder.named_parameters() if p.grad is not None}
    assert moved
    assert all("low_rank" in name for name in moved)


def test_it_learns_its_classes_without_a_prompt() -> None:
    torch.manual_seed(0)
    model, given = build(Config.tiny()), batch()
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(60):
        optimiser.zero_grad()
        step(model, given).backward()
        optimiser.step()
    found = model(given.image).argmax(1)
    for number in range(2):
        mask, truth = found == number + 1, given.target[:, number]
        assert float(2 * (mask & truth).sum() / (mask.sum() + truth.sum())) > 0.8


def test_an_unknown_class_gets_no_gradient_and_nothing_known_costs_nothing() -> None:
    model, given = build(Config.tiny()), batch()
    known = torch.tensor([[True, False], [True, False]])
    step(model, replace(given, known=known)).backward()
    heads: nn.ModuleList = model.mask_decoder.hyper
    last = [head.layers[-1].bias.grad.abs().sum() > 0 for head in heads]
    assert [bool(moved) for moved in last] == [True, True, False]
    assert float(step(model, replace(given, known=known & False)).detach()) == 0.0


def test_a_batch_of_other_objects_is_refused() -> None:
    model = build(Config.tiny(classes=("one", "two", "three")))
    assert isinstance(model, ClassSam)
    with pytest.raises(ValueError, match="one object a class"):
        step(model, batch())


def test_classes_of_a_volume_are_answered() -> None:
    image = np.random.default_rng(0).normal(0, 100, (12, 20, 3)).astype(np.float32)
    found = predict(build(Config.tiny()), Case(name="x", image=image, affine=np.eye(4)), Classes())
    assert found.classes == ("bright", "dark")
    assert found.mask("dark").shape == image.shape
