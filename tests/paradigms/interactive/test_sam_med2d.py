"""SAM-Med2D: what is trained in which round, and when its adapters change nothing."""

import torch
from torch import nn

from fmtutor.core.prompts import Prompts
from fmtutor.core.seeds import torch_rng
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import rollout
from fmtutor.nets.sam import Sam
from fmtutor.nets.sam_adapters import GatedAdapter
from fmtutor.paradigms.interactive.sam_med2d import AdaptersOnce, Config, build, plan_of, step
from fmtutor.paradigms.interactive.sizes import TINY


def batch() -> ObjectBatch:
    target = torch.zeros(2, 2, 16, 16, dtype=torch.bool)
    target[:, 0, 2:7, 3:9] = True
    target[:, 1, 9:14, 8:15] = True
    image = torch.rand(2, 1, 16, 16, generator=torch_rng("med2d"))
    return ObjectBatch(image=image, target=target, known=torch.ones(2, 2, dtype=torch.bool))


def adapters(model: nn.Module) -> list[GatedAdapter]:
    return [module for module in model.modules() if isinstance(module, GatedAdapter)]


def moved(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


def test_the_published_network_freezes_the_encoder_but_its_adapters() -> None:
    with torch.device("meta"):
        model = build(Config.paper())
        base = Sam(Config.paper().shape)
    one = 2 * 768 * 192 + 768 * 768 * (9 + 16) + 2 * 768  # gate, two convolutions, norm
    others = sum(p.numel() for n, p in base.named_parameters() if not n.startswith("image_encoder"))
    found = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found == 12 * one + others


def test_with_the_adapters_norm_at_zero_it_is_its_base() -> None:
    base = Sam(TINY)
    model = build(Config.tiny(), base)
    for adapter in adapters(model):
        nn.init.zeros_(adapter.norm.weight)
    image = batch().image
    prompts = Prompts(
        points=torch.tensor([[[3.0, 4.0]], [[9.0, 9.0]]]), labels=torch.ones(2, 1).long()
    )
    ours, theirs = (m.decode(m.embed(image), prompts).logits for m in (model, base))
    assert torch.equal(ours, theirs)


def test_the_frozen_encoder_gets_no_gradient() -> None:
    model = build(Config.tiny(freeze=True))
    step(model, batch()).backward()
    own = {id(p) for adapter in adapters(model) for p in adapter.parameters()}
    frozen = [p for p in model.image_encoder.parameters() if id(p) not in own]
    assert frozen
    assert all(p.grad is None for p in frozen)
    assert all(moved(adapter) for adapter in adapters(model))
    assert moved(model.prompt_encoder)
    assert moved(model.mask_decoder)


def test_adapters_learn_from_the_first_round_alone() -> None:
    model = build(Config.tiny(freeze=True))
    answers = rollout(AdaptersOnce(model), batch(), plan_of(2, 2))
    assert len(answers) == 2
    answers[1].logits.sum().backward()
    assert not any(moved(adapter) for adapter in adapters(model))
    assert moved(model.mask_decoder)
    model.zero_grad()
    rollout(AdaptersOnce(model), batch(), plan_of(2, 2))[0].logits.square().sum().backward()
    assert all(moved(adapter) for adapter in adapters(model))


def test_the_last_mask_comes_back_as_probabilities() -> None:
    model = build(Config.tiny()).eval()
    embedding = model.embed(batch().image)
    low = torch.randn(2, 1, 16, 16, generator=torch_rng("low"))
    prompts = Prompts(points=torch.full((2, 1, 2), 4.0), labels=torch.ones(2, 1).long(), mask=low)
    plain = Sam.decode(model, embedding, prompts.with_mask(low.sigmoid())).logits
    assert torch.equal(model.decode(embedding, prompts).logits, plain)
