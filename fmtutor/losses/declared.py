"""Softmax over what a task annotates, with a background that the task declares.

A softmax needs its classes to exclude each other and to cover everything. Where labels are
partial, neither holds by itself: a voxel without a label may belong to a class that the dataset
did not annotate. A system that wants a softmax therefore declares, per task, a background that
means "none of the classes this sample annotates". Classes that it does not annotate leave the
softmax altogether (their logit counts as minus infinity), so that they get no gradient.

With known classes K and background logit z_0::

    p_k = exp(z_k) / (exp(z_0) + sum_{j in K} exp(z_j))        p_0 likewise
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fmtutor.core.axes import Known, Logits, Target

Background = Float[Tensor, "B 1 H W D"]


def declared_log_softmax(
    logits: Logits, background: Background, known: Known
) -> Float[Tensor, "B L1 H W D"]:
    """Return log probabilities, background first; minus infinity where a class is unknown.

    Args:
        logits: One logit per class of the vocabulary; those of unknown classes are not read.
        background: The logit of each sample's own background.
        known: Which classes the sample's task annotates.
    """
    unknown = ~known[:, :, None, None, None]
    kept = logits.masked_fill(unknown, -torch.inf)
    return torch.log_softmax(torch.cat([background, kept], dim=1), dim=1)


def declared_softmax_loss(
    logits: Logits,
    background: Background,
    target: Target,
    known: Known,
    *,
    ce_weight: float = 1.0,
    dice_weight: float = 1.0,
    present_only: bool = False,
) -> Float[Tensor, ""]:
    """Return cross-entropy plus soft Dice over the known classes of each sample.

    Cross-entropy is a mean over voxels, then over the samples that know anything. Dice is
    ``1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1)`` per known (sample, class), then a mean over
    these pairs; the background is not scored. Nothing known gives 0.

    Args:
        logits: See `declared_log_softmax`.
        background: See `declared_log_softmax`.
        target: Multi-hot; at most one known class may be true in a voxel. Use a sigmoid system
            for regions that overlap.
        known: Which classes each sample annotates.
        ce_weight: Weight of the cross-entropy.
        dice_weight: Weight of the Dice loss.
        present_only: Take Dice only over pairs with a voxel of the class in the patch.
    """
    used = known.any(0)
    if bool(used.any()) and not bool(used.all()):  # what no sample knows is not even computed
        logits, target, known = logits[:, used], target[:, used], known[:, used]
    log_p = declared_log_softmax(logits, background, known)
    truth = target & known[:, :, None, None, None]
    index = torch.where(truth.any(1), 1 + truth.to(torch.uint8).argmax(1), 0)
    cross_entropy = -log_p.gather(1, index[:, None]).flatten(1).mean(1)  # (B,)
    taught = known.any(1).to(cross_entropy.dtype)
    cross_entropy = (cross_entropy * taught).sum() / taught.sum().clamp(min=1)

    p, t = log_p[:, 1:].exp().flatten(2), truth.flatten(2).to(log_p.dtype)
    dice = 1 - (2 * (p * t).sum(2) + 1) / (p.sum(2) + t.sum(2) + 1)  # (B, L)
    pairs = (known & truth.flatten(2).any(2) if present_only else known).to(dice.dtype)
    dice = (dice * pairs).sum() / pairs.sum().clamp(min=1)
    return ce_weight * cross_entropy + dice_weight * dice
