"""Soft Dice forms, and the floor of the slice-wise one."""

import pytest
import torch

from fmtutor.losses.dice import dice_from_sums, dice_loss, slice_dice_floor


@pytest.mark.parametrize(
    ("smooth", "expected"), [("denominator", 1 - 4 / 8), ("both", 1 - 5 / 8), ("none", 1 - 4 / 7)]
)
def test_dice_from_sums_is_the_written_formula(smooth: str, expected: float) -> None:
    loss = dice_from_sums(
        torch.tensor(2.0), torch.tensor(4.0), true=torch.tensor(3.0), smooth=smooth
    )
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dice", "expected"), [("volume", (0 + 1) / 2), ("batch", 1 - 4 / 6), ("slice", 2 / 4)]
)
def test_each_form_sums_over_its_own_axes(dice: str, expected: float) -> None:
    # One class, prediction 1 everywhere on 2x1x1. Sample 0 is full (I=2, P=2, T=2), sample 1 empty.
    target = torch.tensor([True, True, False, False]).view(2, 1, 2, 1, 1)
    loss = dice_loss(torch.ones(2, 1, 2, 1, 1), target, dice=dice, smooth="none")
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("radius", "floor"), [(6, 0.886), (12, 0.761), (20, 0.594), (30, 0.386), (45, 0.073)]
)
def test_a_perfect_prediction_of_a_ball_keeps_a_slice_wise_loss(radius: int, floor: float) -> None:
    assert round(slice_dice_floor(radius), 3) == floor
    assert slice_dice_floor(radius, dice="volume") < 0.001


def test_empty_slices_give_no_gradient() -> None:
    probability = torch.full((1, 1, 4, 2, 2), 0.5, requires_grad=True)
    target = torch.zeros(1, 1, 4, 2, 2, dtype=torch.bool)
    target[0, 0, 1] = True
    dice_loss(probability, target, dice="slice").backward()
    assert (probability.grad[0, 0, 1] != 0).all()
    assert (probability.grad[0, 0, [0, 2, 3]] == 0).all()


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="dice must be one of"):
        dice_loss(
            torch.ones(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 1, dtype=torch.bool), dice="line"
        )
