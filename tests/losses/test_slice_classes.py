"""The softmax loss of automatic slice systems."""

import pytest
import torch

from fmtutor.core.seeds import torch_rng
from fmtutor.losses.slice_classes import slice_classes_loss


def test_it_is_a_fifth_cross_entropy_and_four_fifths_dice() -> None:
    logits = torch.randn(1, 2, 3, 4, generator=torch_rng("loss"))
    target = torch.rand(1, 1, 3, 4, generator=torch_rng("target")) > 0.5
    p = logits.softmax(1)[0, 1]
    truth = target[0, 0].float()
    entropy = -torch.where(target[0, 0], p, 1 - p).log().mean()
    dice = 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)
    found = slice_classes_loss(logits, target, torch.ones(1, 1, dtype=torch.bool))
    assert float(found) == pytest.approx(float(0.2 * entropy + 0.8 * dice), rel=1e-5)


def test_where_masks_overlap_the_first_known_one_counts() -> None:
    logits = torch.randn(1, 3, 4, 4, 2, generator=torch_rng("overlap"))
    target = torch.zeros(1, 2, 4, 4, 2, dtype=torch.bool)
    target[:, 0, :2], target[:, 1, 1:] = True, True
    apart = target.clone()
    apart[:, 1, 1] = False
    known = torch.ones(1, 2, dtype=torch.bool)
    assert float(slice_classes_loss(logits, target, known)) == pytest.approx(
        float(slice_classes_loss(logits, apart, known))
    )
    known[0, 0] = False
    alone = slice_classes_loss(logits[:, [0, 2]], target[:, 1:], known[:, 1:])
    assert float(slice_classes_loss(logits, target, known)) == pytest.approx(float(alone))


def test_an_unknown_class_gets_no_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, generator=torch_rng("grad")).requires_grad_()
    target = torch.ones(1, 2, 4, 4, dtype=torch.bool)
    slice_classes_loss(logits, target, torch.tensor([[True, False]])).backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum((0, 2, 3)) > 0).tolist() == [True, True, False]
