"""The mask-aware loss against hand-worked values."""

import itertools
import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from fmtutor.losses.partial import REDUCTIONS, naive_loss, partial_loss

LOG2 = math.log(2)
EVERY = [
    (r, d, s)
    for r, d, s in itertools.product(
        REDUCTIONS, ("volume", "batch", "slice"), ("denominator", "both", "none")
    )
    if (r, d) != ("sample_mean", "batch")
]


def _case(rows: list[list[int]], kind: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits 0 (probability 1/2) for (B=2, L=2) volumes of 2x1x1; rows are the targets."""
    target = torch.tensor(rows, dtype=torch.bool).view(2, 2, 2, 1, 1)
    return torch.zeros(target.shape, dtype=kind, requires_grad=True), target


# Targets: sample 0 has class 0 on both voxels and class 1 on the first; sample 1 has class 0 on the
# first and no class 1. With p = 1/2 on two voxels P = 1, so I = T/2 and D = 1 - T/(1 + T + 1)
# (denominator): T=2 -> 1/2, T=1 -> 2/3, T=0 -> 1. Both: 1 - (T+1)/(T+2): 1/4, 1/3, 1/2.
# None: 1 - T/(1+T): 1/3, 1/2, 1.
ROWS = [[1, 1], [1, 0], [1, 0], [0, 0]]
ALL = torch.tensor([[True, True], [True, True]])
THREE = torch.tensor([[True, True], [True, False]])


@pytest.mark.parametrize(
    ("smooth", "expected"),
    [
        ("denominator", (1 / 2 + 2 / 3 + 2 / 3) / 3),
        ("both", (1 / 4 + 1 / 3 + 1 / 3) / 3),
        ("none", (1 / 3 + 1 / 2 + 1 / 2) / 3),
    ],
)
def test_smoothing_stands_where_it_is_asked(smooth: str, expected: float) -> None:
    logits, target = _case(ROWS)
    loss = partial_loss(logits, target, THREE, smooth=smooth, bce_weight=0.0)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("pair_mean", LOG2 + (1 / 2 + 2 / 3 + 2 / 3) / 3),
        ("class_sum", 3 * LOG2 + 1 / 2 + 2 / 3 + 2 / 3),
        ("sample_mean", LOG2 + ((1 / 2 + 2 / 3) / 2 + 2 / 3) / 2),
    ],
)
def test_reductions_weigh_the_pairs_as_their_papers_do(reduction: str, expected: float) -> None:
    logits, target = _case(ROWS)
    assert partial_loss(logits, target, THREE, reduction=reduction).item() == pytest.approx(
        expected, rel=1e-6
    )


def test_batch_dice_adds_the_sums_of_a_class_before_the_ratio() -> None:
    logits, target = _case(ROWS)
    # Class 0: I = 3/2, P = 2, T = 3 -> 1 - 3/6 = 1/2. Class 1 (sample 0 only): 2/3.
    mean = partial_loss(logits, target, THREE, dice="batch", bce_weight=0.0)
    total = partial_loss(logits, target, THREE, dice="batch", bce_weight=0.0, reduction="class_sum")
    assert mean.item() == pytest.approx((1 / 2 + 2 / 3) / 2, rel=1e-6)
    assert total.item() == pytest.approx(1 / 2 + 2 / 3, rel=1e-6)


def test_slice_dice_charges_empty_slices() -> None:
    logits, target = _case(ROWS)
    # One voxel a slice, P = 1/2: T = 1 -> 1 - 1/2.5 = 0.6; T = 0 -> 1.
    loss = partial_loss(logits, target, THREE, dice="slice", bce_weight=0.0)
    assert loss.item() == pytest.approx((0.6 + (0.6 + 1) / 2 + (0.6 + 1) / 2) / 3, rel=1e-6)


def test_present_only_takes_dice_where_the_class_is_seen_and_bce_everywhere() -> None:
    logits, target = _case(ROWS)
    loss = partial_loss(logits, target, ALL, present_only=True)
    assert loss.item() == pytest.approx(LOG2 + (1 / 2 + 2 / 3 + 2 / 3) / 3, rel=1e-6)
    nothing = partial_loss(logits, torch.zeros_like(target), ALL, present_only=True)
    assert nothing.item() == pytest.approx(LOG2, rel=1e-6)


def test_weights_scale_their_terms() -> None:
    logits, target = _case(ROWS)
    loss = partial_loss(logits, target, THREE, bce_weight=2.0, dice_weight=3.0)
    assert loss.item() == pytest.approx(2 * LOG2 + 3 * (1 / 2 + 2 / 3 + 2 / 3) / 3, rel=1e-6)


@pytest.mark.parametrize(("reduction", "dice", "smooth"), EVERY)
def test_gradient_equals_the_numerical_one_and_is_zero_where_unknown(
    reduction: str, dice: str, smooth: str
) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 3, 2, 2, generator=draw, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, 3, 2, 2, generator=draw) > 0.5
    known = torch.tensor([[True, False, True], [False, False, True]])

    def loss(z: Tensor) -> Tensor:
        return partial_loss(z, target, known, reduction=reduction, dice=dice, smooth=smooth)

    assert torch.autograd.gradcheck(loss, logits, fast_mode=True)
    (gradient,) = torch.autograd.grad(loss(logits), logits)
    assert torch.equal(gradient[~known], torch.zeros_like(gradient[~known]))
    assert (gradient[known].abs().amax((1, 2, 3)) > 0).all()


@pytest.mark.parametrize(("reduction", "dice", "smooth"), EVERY)
def test_nothing_known_is_exactly_zero_with_zero_gradients(
    reduction: str, dice: str, smooth: str
) -> None:
    logits, target = _case(ROWS)
    logits.data[0, 0, 0] = math.nan
    loss = partial_loss(logits, target, ALL & False, reduction=reduction, dice=dice, smooth=smooth)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_unknown_logits_and_targets_do_not_matter_even_when_they_are_nan() -> None:
    logits, target = _case(ROWS)
    plain = partial_loss(logits, target, THREE)
    logits.data[1, 1] = math.nan
    dirty = partial_loss(logits, target | ~THREE[:, :, None, None, None], THREE)
    dirty.backward()
    assert dirty.item() == plain.item()
    assert torch.isfinite(logits.grad).all()


def test_an_unlabelled_sample_does_not_dilute_a_sample_mean() -> None:
    logits, target = _case(ROWS)
    known = torch.tensor([[True, True], [False, False]])
    loss = partial_loss(logits, target, known, reduction="sample_mean")
    assert loss.item() == pytest.approx(LOG2 + (1 / 2 + 2 / 3) / 2, rel=1e-6)


def test_inputs_are_left_as_they_were() -> None:
    logits = torch.randn(
        2, 2, 2, 1, 1, generator=torch.Generator().manual_seed(1), requires_grad=True
    )
    before = logits.detach().clone()
    partial_loss(logits, _case(ROWS)[1], THREE).backward()
    assert torch.equal(logits.detach(), before)


def test_bfloat16_logits_are_computed_in_float32() -> None:
    logits, target = _case(ROWS, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = partial_loss(logits, target, THREE)
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(LOG2 + (1 / 2 + 2 / 3 + 2 / 3) / 3, rel=1e-6)


def test_channels_last_logits_give_the_same_loss_and_gradient() -> None:
    draw = torch.Generator().manual_seed(2)
    plain = torch.randn(2, 3, 4, 4, 2, generator=draw, requires_grad=True)
    target = torch.rand(2, 3, 4, 4, 2, generator=draw) > 0.5
    known = torch.tensor([[True, False, True], [True, True, True]])
    last = plain.detach().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    losses = [partial_loss(z, target, known) for z in (plain, last)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(plain.grad, last.grad)


def test_large_logits_stay_finite() -> None:
    logits, target = _case(ROWS)
    logits.data.fill_(200.0)
    loss = partial_loss(logits, target, ALL)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_naive_loss_takes_unknown_for_background() -> None:
    logits, target = _case([[1, 1], [1, 0], [1, 0], [1, 1]])
    known = torch.tensor([[True, True], [True, False]])
    loss = naive_loss(logits, target, known, bce_weight=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(LOG2 + (1 / 2 + 2 / 3 + 2 / 3 + 1) / 4, rel=1e-6)
    assert (logits.grad[1, 1] > 0).all()


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"reduction": "mean"}, "reduction must be one of"),
        ({"dice": "voxel"}, "dice must be one of"),
        ({"smooth": "top"}, "smooth must be one of"),
        ({"reduction": "sample_mean", "dice": "batch"}, "use dice='volume'"),
    ],
)
def test_wrong_switches_are_refused_with_the_fix(switch: dict, message: str) -> None:
    logits, target = _case(ROWS)
    with pytest.raises(ValueError, match=message):
        partial_loss(logits, target, ALL, **switch)


def test_shapes_that_disagree_are_refused() -> None:
    logits, target = _case(ROWS)
    with pytest.raises((ValueError, TypeCheckError)):
        partial_loss(logits, target, ALL[:, :1])
