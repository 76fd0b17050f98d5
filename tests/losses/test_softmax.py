"""The softmax loss of a task with declared background."""

import math

import pytest
import torch

from fmtutor.losses.softmax import class_indices, softmax_loss

# Two voxels: an organ on both, its tumour on the second.
TARGET = torch.tensor([[1, 1], [0, 1]], dtype=torch.bool).view(1, 2, 2, 1, 1)


def test_a_nested_region_is_painted_over_the_one_before() -> None:
    assert class_indices(TARGET).flatten().tolist() == [1, 2]
    assert class_indices(TARGET & False).flatten().tolist() == [0, 0]


def test_loss_of_even_logits_is_worked_by_hand() -> None:
    # p = 1/3 everywhere: CE = log 3; each region has I = 1/3, P = 2/3, T = 1 and D = 3/4.
    loss = softmax_loss(torch.zeros(1, 3, 2, 1, 1), TARGET)
    assert loss.item() == pytest.approx(math.log(3) + 0.75, rel=1e-6)
    parts = softmax_loss(torch.zeros(1, 3, 2, 1, 1), TARGET, ce_weight=0, smooth="none")
    assert parts.item() == pytest.approx(1 - (2 / 3) / (5 / 3), rel=1e-6)


def test_batch_dice_adds_over_samples() -> None:
    target = torch.cat((TARGET, TARGET & False))
    loss = softmax_loss(
        torch.zeros(2, 3, 2, 1, 1), target, ce_weight=0, dice="batch", smooth="none"
    )
    assert loss.item() == pytest.approx(1 - (2 / 3) / (4 / 3 + 1), rel=1e-6)


def test_a_right_answer_costs_less_and_bfloat16_is_computed_in_float32() -> None:
    right = torch.tensor([[-9, -9], [9, -9], [-9, 9]], dtype=torch.bfloat16).view(1, 3, 2, 1, 1)
    loss = softmax_loss(right, TARGET, smooth="none")
    assert loss.dtype == torch.float32
    assert loss.item() < 1e-3


def test_a_head_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="logits need 3 channels"):
        softmax_loss(torch.zeros(1, 2, 2, 1, 1), TARGET)
