"""3DSAM-adapter: what is trained, and that clicks are answered in 3D."""

from dataclasses import replace

import pytest
import torch

from fmtutor.core.prompts import Prompts, no_points
from fmtutor.core.seeds import torch_rng
from fmtutor.data.objects import ObjectBatch
from fmtutor.nets.sam import Sam
from fmtutor.paradigms.interactive.adapter_3dsam import Config, build, step


def batch() -> ObjectBatch:
    target = torch.zeros(1, 2, 16, 16, 16, dtype=torch.bool)
    target[:, 0, 2:7, 3:9, 4:9] = True
    target[:, 1, 9:14, 8:15, 6:12] = True
    image = torch.rand(1, 1, 16, 16, 16, generator=torch_rng("adapter"))
    return ObjectBatch(image=image, target=target, known=torch.ones(1, 2, dtype=torch.bool))


def test_what_the_published_adapters_train_of_the_encoder() -> None:
    with torch.device("meta"):
        model = build(Config.paper())
    adapter = 2 * 768 * 384 + 384 + 768 + 384 * 27 + 384  # down, up, around
    block = adapter + 4 * 768 + 15 * 64  # two norms, table of depth
    others = 768 * 16 + 768 + 32 * 768 + 4 * 768 * 256  # slices, depths, necks
    trained = [p for p in model.encoder.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 12 * block + others


def test_frozen_weights_get_no_gradient_and_come_from_the_base() -> None:
    config = Config.tiny(freeze=True)
    base = Sam(config.shape)
    model = build(config, base)
    step(model, batch()).backward()
    frozen = {n: p for n, p in model.encoder.named_parameters() if not p.requires_grad}
    assert all(p.grad is None for p in frozen.values())
    theirs = base.image_encoder.state_dict()
    assert all(torch.equal(p, theirs[n]) for n, p in frozen.items() if "relative" not in n)
    assert any("qkv" in name for name in frozen)
    moved = [n for n, p in model.named_parameters() if p.grad is not None and bool(p.grad.any())]
    for part in ("start", "norm1", "slice_embed", "depth_embed", "relative.2", "prompts.signs"):
        assert any(part in name for name in moved), part


def test_clicks_are_answered_in_3d_each_by_itself() -> None:
    model = build(Config.tiny()).eval()
    seen = model.embed(batch().image)
    points = torch.tensor([[[4.0, 5, 6]], [[11, 11, 9]]])
    asked = Prompts(points=points, labels=torch.ones(2, 1).long())
    answer = model.decode(seen, asked)
    assert answer.logits.shape == (2, 1, 16, 16, 16)
    alone = model.decode(seen, Prompts(points=points[1:], labels=asked.labels[1:]))
    assert torch.allclose(alone.logits[0], answer.logits[1], atol=1e-5)
    assert not torch.allclose(answer.logits[0], answer.logits[1])


def test_a_box_is_refused() -> None:
    model = build(Config.tiny())
    boxes = torch.tensor([[[2.0, 3, 1], [6, 8, 2]]])
    with pytest.raises(ValueError, match="knows no boxes"):
        model.decode(model.embed(batch().image), replace(no_points(1, 3), boxes=boxes))


def test_a_volume_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="sees volumes of"):
        build(Config.tiny()).embed(torch.zeros(1, 1, 16, 16, 8))
