"""Losses of the in-context systems, on one map (2D or 3D) per query."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fmtutor.losses.dice import dice_from_sums

Maps = Float[Tensor, "B M *grid"]


def soft_dice_each(logits: Maps, target: Bool[Tensor, "B 1 *grid"]) -> Float[Tensor, "B M"]:
    """Return the soft Dice loss of every candidate map against the one target of its query."""
    axes = tuple(range(2, logits.dim()))
    probability, truth = logits.float().sigmoid(), target.float()
    overlap, predicted = (probability * truth).sum(axes), probability.sum(axes)
    return dice_from_sums(overlap, predicted, true=truth.sum(axes), smooth="both")


def cross_entropy_each(logits: Maps, target: Bool[Tensor, "B 1 *grid"]) -> Float[Tensor, "B M"]:
    """Return the mean binary cross-entropy of every candidate map."""
    truth = target.to(logits.dtype).expand_as(logits)
    pixelwise = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return pixelwise.flatten(2).mean(2)


def mean_over_known(loss: Float[Tensor, " B"], known: Bool[Tensor, "B 1"]) -> Float[Tensor, ""]:
    """Return the mean over the queries whose answer is known; exactly 0 where there is none."""
    kept = torch.where(known[:, 0], loss, torch.zeros_like(loss))
    return kept.sum() / known.sum().clamp_min(1)


def dice_bce(
    logits: Float[Tensor, "B 1 *grid"],
    target: Bool[Tensor, "B 1 *grid"],
    known: Bool[Tensor, "B 1"],
) -> Float[Tensor, ""]:
    """Return soft Dice plus binary cross-entropy, over the queries whose answer is known."""
    each = soft_dice_each(logits, target) + cross_entropy_each(logits, target)
    return mean_over_known(each[:, 0], known)


def best_candidate(
    logits: Maps, target: Bool[Tensor, "B 1 *grid"], known: Bool[Tensor, "B 1"]
) -> Float[Tensor, ""]:
    """Return Tyche's loss: of all candidates only the best one pays.

    min_m Loss(candidate m, target), where the target is one drawn from the right answers. A
    candidate that chose another answer is not punished for it, so candidates may differ. The loss
    of a candidate is soft Dice plus cross-entropy: the paper's Dice alone has no gradient left once
    every candidate is empty, which happened early in a first attempt (its log is not kept).

    Source: Rakic et al., "Tyche", CVPR 2024.
    """
    each = soft_dice_each(logits, target) + cross_entropy_each(logits, target)
    return mean_over_known(each.amin(1), known)
