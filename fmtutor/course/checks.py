"""Properties that an implementation must have, as functions that take the implementation.

One check, three uses: our tests run it on ours, a notebook on the reader's own, a grader on a
student's. A check returns nothing, or raises `CheckFailedError` with the broken property and why
it matters.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MaskedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (B, L, H, W, D), target of the same shape (bool), known (B, L) (bool) to a scalar."""


class CheckFailedError(AssertionError):
    """An implementation lacks a property; the message names it and says why it matters."""


def require(holds: bool, why: str) -> None:
    """Raise `CheckFailedError` with ``why`` unless the property holds."""
    if not holds:
        raise CheckFailedError(why)


def partial_example(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, target and known of two samples and three classes.

    Sample 0 knows classes 0 and 1, sample 1 knows class 2 alone. The target is False where
    unknown, and at most one class is true in a voxel.
    """
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, 3, 4, 5, 3), generator=draw)
    known = torch.tensor([[True, True, False], [False, False, True]])
    index = torch.randint(0, 4, (2, 4, 5, 3), generator=draw)
    target = torch.stack([index == k for k in range(3)], dim=1)
    return logits, target & known[:, :, None, None, None], known


def check_unknown_gets_zero_gradient(loss: MaskedLoss) -> None:
    """Check that no logit of an unknown (sample, class) receives a gradient, and known ones do.

    Raises:
        CheckFailedError: One of the two does not hold.
    """
    logits, target, known = partial_example()
    logits.requires_grad_()
    loss(logits, target, known).backward()
    require(logits.grad is not None, "the loss does not depend on the logits: nothing is learnt.")
    largest = logits.grad.abs().amax((2, 3, 4))  # type: ignore[union-attr]  # (B, L)
    wrong = largest[~known]
    require(
        bool((wrong == 0).all()),
        "a class that a sample does not annotate must get exactly zero gradient, got up to "
        f"{float(wrong.max()):.3g}: the loss takes 'not annotated' for 'not there' and teaches "
        "the network to unlearn an organ. Multiply by `known` before you average.",
    )
    require(bool((largest[known] > 0).all()), "every annotated class must get a gradient.")


def check_unknown_target_is_ignored(loss: MaskedLoss) -> None:
    """Check that the loss does not read the target where it is unknown.

    Raises:
        CheckFailedError: The value changes with the filling of an unknown channel.
    """
    logits, target, known = partial_example()
    filled = target | ~known[:, :, None, None, None]
    before, after = float(loss(logits, target, known)), float(loss(logits, filled, known))
    require(
        before == after,
        "the loss must not look at the target of an unknown class, but it changed from "
        f"{before:.6g} to {after:.6g} when that filling did.",
    )


def check_nothing_known_is_zero(loss: MaskedLoss) -> None:
    """Check that a batch that annotates nothing gives loss 0 and gradient 0, with no NaN.

    Raises:
        CheckFailedError: The loss is another number (0/0 gives NaN), or moves the network.
    """
    logits, target, known = partial_example()
    logits.requires_grad_()
    nothing = torch.zeros_like(known)
    value = loss(logits, torch.zeros_like(target), nothing)
    require(
        float(value.detach()) == 0.0,
        f"a batch that annotates nothing must give loss 0, got {float(value.detach())}: divide "
        "by the number of known pairs, but by at least 1.",
    )
    if value.requires_grad:
        value.backward()
    moved = logits.grad is not None and not bool((logits.grad == 0).all())
    require(not moved, "a batch that annotates nothing must not move the network.")


def check_masked_loss(loss: MaskedLoss) -> None:
    """Run every check of a loss for partial labels.

    Raises:
        CheckFailedError: The first property that does not hold.
    """
    check_unknown_gets_zero_gradient(loss)
    check_unknown_target_is_ignored(loss)
    check_nothing_known_is_zero(loss)
