"""SAM's losses: focal plus Dice of the best candidate, and the error of the predicted overlap.

Every object's target may be unknown (it fills up a row of K objects); it then adds nothing, and no
gradient reaches its logits.

Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A, "Losses" and "Training".
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fmtutor.core.prompts import Answer
from fmtutor.losses.dice import dice_from_sums

Maps = Float[Tensor, "N M *grid"]
Truth = Bool[Tensor, "N *grid"]
Each = Float[Tensor, "N M"]

FOCAL_WEIGHT = 20.0
"""Focal to Dice, 20 : 1, in SAM and SAM-Med2D."""


def focal_each(logits: Maps, target: Truth, *, gamma: float = 2.0, alpha: float = 0.25) -> Each:
    """Return the focal loss of every candidate, a mean over voxels.

    Args:
        logits: (N, M, *grid).
        target: (N, *grid).
        gamma: How fast a voxel that is right already loses its weight.
        alpha: Weight of the foreground; 1 - alpha is that of the background.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5.
    """
    truth = target.unsqueeze(1).to(logits.dtype).expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = (-entropy).exp()
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    return (balance * (1 - right) ** gamma * entropy).flatten(2).mean(2)


def cross_entropy_each(logits: Maps, target: Truth) -> Each:
    """Return the binary cross-entropy of every candidate, a mean over voxels."""
    truth = target.unsqueeze(1).to(logits.dtype).expand_as(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return entropy.flatten(2).mean(2)


def dice_each(logits: Maps, target: Truth, *, squared: bool = False) -> Each:
    """Return the soft Dice loss of every candidate.

    Args:
        logits: (N, M, *grid).
        target: (N, *grid).
        squared: Sum squares below the line, as MedSAM and SAM-Med3D do.
    """
    probability, truth = logits.float().sigmoid().flatten(2), target.flatten(1).float()[:, None]
    overlap = (probability * truth).sum(2)
    predicted = (probability**2 if squared else probability).sum(2)
    return dice_from_sums(overlap, predicted, true=truth.sum(2).expand_as(overlap), smooth="both")


def overlap_each(logits: Maps, target: Truth) -> Each:
    """Return the true overlap (IoU) of every candidate with the target; 1 where both are empty."""
    mask, truth = (logits > 0).flatten(2), target.flatten(1)[:, None]
    union = (mask | truth).sum(2)
    return torch.where(union > 0, (mask & truth).sum(2) / union.clamp_min(1), 1.0)


@dataclass(frozen=True)
class PromptLoss:
    """A loss of masks, and whether the predicted overlap is taught."""

    mask: Callable[[Maps, Truth], Each]
    overlap: bool

    def __call__(
        self, answer: Answer, target: Truth, known: Bool[Tensor, " N"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the known objects; exactly 0 where there is none.

        Of several candidates only the best one pays for its mask, so that they may differ; the
        overlap is taught to all.
        """
        each = self.mask(answer.logits, target).amin(1)
        if self.overlap:
            truth = overlap_each(answer.logits.detach(), target)
            each = each + ((answer.quality - truth) ** 2).mean(1)
        kept = torch.where(known, each, torch.zeros_like(each))
        return kept.sum() / known.sum().clamp_min(1)


def _focal_dice(logits: Maps, target: Truth) -> Each:
    return FOCAL_WEIGHT * focal_each(logits, target) + dice_each(logits, target)


def _dice_entropy(logits: Maps, target: Truth) -> Each:
    return dice_each(logits, target, squared=True) + cross_entropy_each(logits, target)


sam_loss = PromptLoss(_focal_dice, overlap=True)
"""SAM, SAM-Med2D: 20 focal + Dice + squared error of the overlap."""
medical_loss = PromptLoss(_dice_entropy, overlap=False)
"""MedSAM, SAM-Med3D: Dice of squares + cross-entropy; the predicted overlap is left alone."""
rated_loss = PromptLoss(_dice_entropy, overlap=True)
"""The same with the overlap taught, which chooses between candidates at test time."""
