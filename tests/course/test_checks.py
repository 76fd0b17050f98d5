from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from fmtutor.course.checks import (
    CheckFailedError,
    check_masked_loss,
    check_nothing_known_is_zero,
    check_unknown_gets_zero_gradient,
    check_unknown_target_is_ignored,
)
from fmtutor.losses.declared import declared_softmax_loss


def naive(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """What is not annotated counts as background."""
    return bce(logits, target.float())


def masked(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    pairs = bce(logits, target.float(), reduction="none").mean((2, 3, 4))
    return (pairs * known).sum() / known.sum().clamp(min=1)


def divides_by_zero(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    pairs = bce(logits, target.float(), reduction="none").mean((2, 3, 4))
    return (pairs * known).sum() / known.sum()


def softmax(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    return declared_softmax_loss(logits, torch.zeros_like(logits[:, :1]), target, known)


@pytest.mark.parametrize("loss", [masked, softmax])
def test_a_masked_loss_passes_every_check(loss: Callable[..., Tensor]) -> None:
    check_masked_loss(loss)


def test_the_naive_loss_fails_the_zero_gradient_check() -> None:
    with pytest.raises(CheckFailedError, match="exactly zero gradient"):
        check_unknown_gets_zero_gradient(naive)


def test_the_naive_loss_fails_the_ignored_target_check() -> None:
    with pytest.raises(CheckFailedError, match="must not look at the target"):
        check_unknown_target_is_ignored(naive)


@pytest.mark.parametrize("loss", [naive, divides_by_zero])
def test_a_loss_of_nothing_that_is_not_zero_fails(loss: Callable[..., Tensor]) -> None:
    with pytest.raises(CheckFailedError, match="must give loss 0"):
        check_nothing_known_is_zero(loss)


def test_a_loss_that_teaches_nothing_fails() -> None:
    with pytest.raises(CheckFailedError, match="every annotated class"):
        check_unknown_gets_zero_gradient(lambda z, y, w: (z * 0).sum())
