import math

import pytest
import torch

from fmtutor.losses.declared import declared_log_softmax, declared_softmax_loss


def one_voxel(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1, 1)


def test_probabilities_of_the_known_classes_and_their_background_sum_to_one() -> None:
    known = torch.tensor([[True, False, True]])
    p = declared_log_softmax(torch.randn(1, 3, 2, 2, 2), torch.randn(1, 1, 2, 2, 2), known).exp()
    assert torch.allclose(p.sum(1), torch.ones(1, 2, 2, 2))
    assert bool((p[:, 2] == 0).all())


def test_the_loss_equals_a_value_worked_by_hand() -> None:
    # z = (0, log 3), background 0: p = (1/5, 3/5), background 1/5; class 1 is true.
    logits, background = one_voxel(0.0, math.log(3.0)), one_voxel(0.0)
    target = torch.tensor([False, True]).reshape(1, 2, 1, 1, 1)
    loss = declared_softmax_loss(logits, background, target, torch.ones(1, 2, dtype=torch.bool))
    dice = ((1 - 1 / 1.2) + (1 - 2.2 / 2.6)) / 2
    assert float(loss) == pytest.approx(math.log(5 / 3) + dice)


def test_an_unknown_class_is_no_part_of_the_softmax() -> None:
    # Only class 0 is known: p = 1/2 each for it and its background.
    known = torch.tensor([[True, False]])
    target = torch.zeros(1, 2, 1, 1, 1, dtype=torch.bool)
    loss = declared_softmax_loss(one_voxel(0.0, 50.0), one_voxel(0.0), target, known)
    assert float(loss) == pytest.approx(math.log(2) + (1 - 1 / 1.5))


def test_the_weights_scale_each_part() -> None:
    known = torch.tensor([[True]])
    target = torch.ones(1, 1, 1, 1, 1, dtype=torch.bool)
    only_ce = declared_softmax_loss(one_voxel(0.0), one_voxel(0.0), target, known, dice_weight=0.0)
    only_dice = declared_softmax_loss(one_voxel(0.0), one_voxel(0.0), target, known, ce_weight=0.0)
    assert float(only_ce) == pytest.approx(math.log(2))
    assert float(only_dice) == pytest.approx(1 - 2 / 2.5)
