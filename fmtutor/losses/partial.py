"""One mask-aware loss, BCE + soft Dice over what is annotated, with the switches of the papers.

A dataset annotates some classes and is silent about the others. With ``known (B, L)`` the loss of
a batch is a reduction over its known (sample, class) pairs,

    L = R_{(b,k): known[b,k]} [ w_bce BCE(z_bk, y_bk) + w_dice Dice(sigmoid(z_bk), y_bk) ],

and no other logit enters it: its gradient is exactly zero there. Only known pairs are computed.

=============  ===================================================================================
system         switches
=============  ===================================================================================
CLIP-Driven    ``reduction="pair_mean", dice="slice", smooth="denominator"`` (the trap included)
DoDNet         ``reduction="pair_mean", dice="volume", smooth="denominator"``
MultiTalent    ``reduction="class_sum", dice="batch", smooth="none"``
FSEFT          ``reduction="sample_mean", dice="volume", smooth="both", bce_weight=0``
SuPreM         all known, ``present_only=True`` (Dice only where the class is in the patch)
=============  ===================================================================================
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fmtutor.core.axes import Known, Logits, Target
from fmtutor.losses.dice import DICE_FORMS, check_option, dice_from_sums

REDUCTIONS = ("pair_mean", "class_sum", "sample_mean")
"""Mean over known pairs; sum over them; mean over a sample's classes, then over samples."""


def partial_loss(
    logits: Logits,
    target: Target,
    known: Known,
    *,
    reduction: str = "pair_mean",
    dice: str = "volume",
    smooth: str = "denominator",
    bce_weight: int | float = 1.0,
    dice_weight: int | float = 1.0,
    present_only: bool = False,
) -> Float[Tensor, ""]:
    """Return the loss over the known (sample, class) pairs of a batch.

    Args:
        logits: Any floating type; the loss is computed in float32 (float64 stays float64).
        target: Multi-hot; read only where ``known``.
        known: Which pairs are annotated. Nothing known gives exactly 0, with zero gradients.
        reduction: One of `REDUCTIONS`. "pair_mean" and "class_sum" take a batch-wise Dice once
            per class; a sample with nothing known does not count in "sample_mean".
        dice: "volume", "batch" or "slice", see `fmtutor.losses.dice`.
        smooth: "denominator", "both" or "none", see `fmtutor.losses.dice`.
        bce_weight: Weight of the voxel-mean binary cross-entropy.
        dice_weight: Weight of the soft Dice loss.
        present_only: Take Dice only over pairs with a voxel of the class in the patch (with
            ``dice="batch"``: classes with one in the batch). BCE keeps every known pair.

    Raises:
        ValueError: An option is not in its list, shapes disagree, or "sample_mean" is asked of a
            batch-wise Dice.

    Taught in: 02
    """
    _check(logits, target, known, reduction, dice)
    sums = pair_sums(logits, target, known)
    sample, label = known.nonzero(as_tuple=True)
    voxels = logits[0, 0].numel()
    bce = _reduce(sums[0].sum(1) / voxels, sample, len(logits), reduction)
    overlap, predicted, true = sums[1:] if dice == "slice" else sums[1:].sum(2, keepdim=True)
    if dice == "batch":
        overlap, predicted, true, sample = _over_batch(
            (overlap, predicted, true), label, known.shape[1]
        )
    terms = dice_from_sums(overlap, predicted, true=true, smooth=smooth).mean(1)
    if present_only:
        present = true.sum(1) > 0
        terms, sample = terms[present], sample[present]
    return bce_weight * bce + dice_weight * _reduce(terms, sample, len(logits), reduction)


def naive_loss(
    logits: Logits, target: Target, known: Known, **switches: object
) -> Float[Tensor, ""]:
    """Return the same loss with everything unknown taken for background.

    The baseline that forgets: a dataset without livers teaches that there are no livers.
    """
    seen = target & known[:, :, None, None, None]
    return partial_loss(logits, seen, torch.ones_like(known), **switches)  # type: ignore[arg-type]


def pair_sums(logits: Logits, target: Target, known: Known) -> Float[Tensor, "4 P H"]:
    """Return, for each known (sample, class) pair and slice, the sums that losses are made of.

    Args:
        logits: Any floating type; sums are in float32 at least.
        target: Multi-hot; read only where ``known``.
        known: Its P true entries, in the order of ``known.nonzero()``.

    Returns:
        Sums over W and D of the binary cross-entropy, p*y, p and y, with p = sigmoid(logits).
    """
    # Classes are read one at a time: in channels-last logits each would be a strided read.
    return _PairSums.apply(logits.contiguous(), target, known)


def _check(logits: Tensor, target: Tensor, known: Tensor, reduction: str, dice: str) -> None:
    check_option(reduction, REDUCTIONS, "reduction")
    check_option(dice, DICE_FORMS, "dice")
    if logits.shape != target.shape or known.shape != logits.shape[:2]:
        raise ValueError(
            "logits and target must be (B, L, H, W, D) and known (B, L), not "
            f"{tuple(logits.shape)}, {tuple(target.shape)} and {tuple(known.shape)}; "
            "build them from one vocabulary."
        )
    if reduction == "sample_mean" and dice == "batch":
        raise ValueError("sample_mean needs a Dice of each sample; use dice='volume' with it.")


def _reduce(values: Tensor, sample: Tensor, batch: int, reduction: str) -> Tensor:
    """Reduce one value per pair to a scalar; no pair gives an attached 0."""
    if reduction == "class_sum":
        return values.sum()
    if reduction == "pair_mean":
        return values.sum() / max(len(values), 1)
    count = torch.bincount(sample, minlength=batch)
    weight = 1 / count.clamp_min(1).to(values.dtype)
    return (values * weight[sample]).sum() / count.count_nonzero().clamp_min(1)


def _over_batch(sums: tuple[Tensor, ...], label: Tensor, classes: int) -> tuple[Tensor, ...]:
    """Add the sums of the pairs of each class; classes known nowhere are dropped."""
    ids, place = torch.unique(label, return_inverse=True)
    added = [part.new_zeros(len(ids), part.shape[1]).index_add(0, place, part) for part in sums]
    return (*added, torch.zeros_like(ids))


class _PairSums(torch.autograd.Function):
    """For each known pair and slice: sums of BCE, p*y, p and y, with the closed-form gradient.

    dBCE/dz = p - y, dI/dz = y p(1-p), dP/dz = p(1-p). Pairs are visited in cache-sized chunks and
    probabilities are computed again in the backward pass, so neither a copy of the known logits
    nor any of the dozen intermediates of the plain form is kept.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
        ctx.save_for_backward(logits, target, known)
        wide = torch.promote_types(logits.dtype, torch.float32)
        parts = [logits.new_empty((4, 0, logits.shape[2]), dtype=wide)]
        for sample, labels in _chunks(known, logits):
            z = logits[sample, labels].to(wide)  # (K, H, W, D)
            y = target[sample, labels].to(wide)
            p = torch.sigmoid(z)
            bce = torch.nn.functional.softplus(z).sub_(z * y).sum((2, 3))
            parts.append(torch.stack([bce, (p * y).sum((2, 3)), p.sum((2, 3)), y.sum((2, 3))]))
        return torch.cat(parts, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logits, target, known = ctx.saved_tensors
        out, start = torch.zeros_like(logits), 0
        for sample, labels in _chunks(known, logits):
            p = torch.sigmoid(logits[sample, labels].to(grad.dtype))
            y = target[sample, labels].to(grad.dtype)
            bce, overlap, predicted, _ = grad[:, start : start + len(p), :, None, None]
            start += len(p)
            slope = torch.addcmul(predicted, overlap, y).mul_(p * (1 - p))
            out[sample, labels] = slope.addcmul_(bce, p - y).to(out.dtype)
        return out, None, None


def _chunks(known: Bool[Tensor, "B L"], logits: Tensor) -> Iterator[tuple[int, slice | list[int]]]:
    """Yield (sample, labels) so that a chunk fits the cache of a CPU, or keeps a GPU busy."""
    size = max(1, (2**24 if logits.is_cuda else 2**18) // max(1, logits[0, 0].numel()))
    for sample, row in enumerate(known.tolist()):
        labels = [label for label, is_known in enumerate(row) if is_known]
        for start in range(0, len(labels), size):
            chunk = labels[start : start + size]
            yield sample, slice(chunk[0], chunk[0] + 1) if len(chunk) == 1 else chunk
