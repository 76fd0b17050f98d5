"""The adaptive Tversky loss against hand-worked values."""

import math

import pytest
import torch
from torch import Tensor

from fmtutor.losses.tversky import adaptive_tversky, partial_tversky_loss


def _loss(overlap: float, predicted: float, true: float) -> float:
    counts = [torch.tensor([v], dtype=torch.float64) for v in (overlap, predicted, true)]
    return float(adaptive_tversky(counts[0], counts[1], true=counts[2]))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # TP 4, FP 2, FN 2: alpha 1/2, errors 2, loss 1 - 4/6.
        ((4, 6, 6), 1 / 3),
        # TP 3, FP 6, FN 4: alpha 0.6, errors 0.6*6 + 0.4*4 = 5.2, loss 1 - 3/8.2.
        ((3, 9, 7), 5.2 / 8.2),
        # TP 1, FP 9, FN 1: alpha 0.9 is clamped to 0.8, errors 7.2 + 0.2 = 7.4.
        ((1, 10, 2), 7.4 / 8.4),
        # TP 1, FP 0, FN 3: alpha 0 is clamped to 0.2, errors 0.8*3 = 2.4.
        ((1, 1, 4), 2.4 / 3.4),
        # Perfect, and absent.
        ((5, 5, 5), 0.0),
        ((0, 7, 0), 1.0),
    ],
)
def test_the_loss_equals_values_worked_by_hand(
    counts: tuple[float, float, float], expected: float
) -> None:
    assert _loss(*counts) == pytest.approx(expected, abs=1e-5)


def test_the_error_that_is_larger_is_charged_more_than_dice_would() -> None:
    dice = 1 - 2 * 3 / (9 + 7)
    assert _loss(3, 9, 7) > dice
    assert _loss(4, 6, 6) == pytest.approx(1 - 2 * 4 / 12, abs=1e-5)  # balanced: Dice itself


def _batch() -> tuple[Tensor, Tensor, Tensor]:
    """Logits 0 on two voxels; the second sample's second class is unknown."""
    logits = torch.zeros(2, 2, 2, 1, 1, requires_grad=True)
    target = torch.tensor([[1, 1], [1, 0], [1, 0], [0, 0]], dtype=torch.bool).view(2, 2, 2, 1, 1)
    return logits, target, torch.tensor([[True, True], [True, False]])


def test_it_is_a_mean_over_known_pairs_with_cross_entropy() -> None:
    logits, target, known = _batch()
    # p = 1/2: both voxels true: TP 1, FN 1, alpha 0.2, loss 0.8/1.8; one true: TP FP FN 1/2, 1/2.
    expected = math.log(2) + (0.8 / 1.8 + 0.5 + 0.5) / 3
    loss = partial_tversky_loss(logits.detach(), target, known)
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_unknown_pairs_get_exactly_zero_gradient_and_known_ones_some() -> None:
    logits, target, known = _batch()
    partial_tversky_loss(logits, target, known).backward()
    assert logits.grad is not None
    assert bool((logits.grad[~known] == 0).all())
    assert bool((logits.grad[known].flatten(1).abs().amax(1) > 0).all())


def test_nothing_known_gives_exactly_zero() -> None:
    logits, target, known = _batch()
    loss = partial_tversky_loss(logits, target, torch.zeros_like(known))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


def test_the_gradient_agrees_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 3, 2, 2, generator=generator, dtype=torch.float64)
    target = torch.rand(logits.shape, generator=generator) > 0.6
    known = torch.ones(1, 2, dtype=torch.bool)
    assert torch.autograd.gradcheck(
        lambda z: partial_tversky_loss(z, target, known), logits.requires_grad_()
    )


def test_classes_absent_from_the_patch_can_be_left_to_the_cross_entropy() -> None:
    logits, target, _ = _batch()
    known, alone = torch.ones(2, 2, dtype=torch.bool), {"bce_weight": 0.0}
    every = partial_tversky_loss(logits, target, known, **alone)
    present = partial_tversky_loss(logits, target, known, present_only=True, **alone)
    pairs = target.flatten(2).any(2)[known]
    assert not bool(pairs.all())
    costs_one = float(len(pairs) - pairs.sum())
    expected = (every * len(pairs) - costs_one) / pairs.sum()
    torch.testing.assert_close(present, expected)
