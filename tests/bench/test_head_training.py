"""Heads on kept features: the same answers as the whole network, and what training may change."""

import pytest
import torch

from fmtutor.bench import head_training
from fmtutor.data.batches import Batch
from fmtutor.paradigms.partial import clip_driven

OLD, NEW = ("liver", "spleen"), ("aorta", "colon")


@pytest.fixture
def model():
    torch.manual_seed(0)
    base = clip_driven.build(clip_driven.Config.tiny(classes=OLD))
    return head_training.frozen_backbone(clip_driven.add_classes(base, NEW))


def stream(number: int) -> Batch:
    """A bright block on noise; the added classes are known, the first is the block."""
    rng = torch.Generator().manual_seed(number)
    image = 0.1 * torch.rand(1, 1, 16, 16, 16, generator=rng)
    target = torch.zeros(1, 4, 16, 16, 16, dtype=torch.bool)
    target[:, 2, 4:12, 4:12, 4:12] = True
    image[:, :, 4:12, 4:12, 4:12] += 0.8
    known = torch.tensor([[False, False, True, True]])
    return Batch(image=image, target=target, known=known, task=torch.zeros(1, dtype=torch.int64))


def test_a_head_on_kept_features_answers_as_the_network_does(model):
    (seen,) = head_training.look_once(model, stream, [3])
    with torch.no_grad():
        whole = model(seen.batch.image, seen.batch.known)
        torch.testing.assert_close(head_training.TextHead(model)(seen), whole)
        plain = head_training.PlainHead(model, NEW)
        torch.testing.assert_close(plain(seen), plain.segment_window(seen.batch.image))


def test_both_losses_fall_and_the_backbone_stays(model):
    kept = head_training.look_once(model, stream, range(3))
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    for head in (head_training.TextHead(model), head_training.PlainHead(model, NEW)):
        losses = [r.loss for r in head_training.train_head(head, kept, steps=40, lr=5e-3)]
        assert sum(losses[-5:]) < sum(losses[:5])
    assert all(torch.equal(v, before[k]) for k, v in model.backbone.state_dict().items())


def test_a_plain_head_leaves_the_text_driven_one_alone(model):
    kept = head_training.look_once(model, stream, range(2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    list(head_training.train_head(head_training.PlainHead(model, NEW), kept, steps=5, lr=1e-2))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_training_repeats_with_its_seed(model):
    kept = head_training.look_once(model, stream, range(3))
    runs = []
    for _ in range(2):
        torch.manual_seed(1)
        head = head_training.PlainHead(model, NEW)
        runs.append([r.loss for r in head_training.train_head(head, kept, steps=6, lr=1e-2)])
    assert runs[0] == runs[1]


def test_names_add_no_parameter_and_a_frozen_copy_is_another():
    base = clip_driven.build(clip_driven.Config.tiny(classes=OLD))
    wider = clip_driven.add_classes(base, NEW)
    assert head_training.added_parameters(base, wider) == 0
    copy = head_training.frozen_backbone(wider)
    assert all(p.requires_grad for p in wider.parameters())
    assert not any(p.requires_grad for p in copy.backbone.parameters())
    assert any(p.requires_grad for p in copy.controller.parameters())
