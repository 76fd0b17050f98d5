"""Softmax loss of one task, whose protocol declares its background.

Where a dataset annotates all that its task asks for, what is left over is background *of this
task*: the complement of its regions, and nothing more. A sigmoid system never needs that; the
systems with a softmax head per task (Med3D, UniSeg, nnU-Net) do, and say it here.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from fmtutor.losses.dice import check_option, dice_from_sums


def class_indices(target: Bool[Tensor, "B K H W D"]) -> Int[Tensor, "B H W D"]:
    """Return 0 for the declared background, k+1 where region k is the last one that holds.

    Regions may nest (a tumour inside its organ); a softmax gives a voxel one class only, so the
    later region is painted over the earlier.
    """
    order = torch.arange(1, target.shape[1] + 1, device=target.device)
    return (target * order.view(1, -1, 1, 1, 1)).amax(1)


def softmax_loss(
    logits: Float[Tensor, "B K1 H W D"],
    target: Bool[Tensor, "B K H W D"],
    *,
    dice: str = "volume",
    smooth: str = "denominator",
    ce_weight: int | float = 1.0,
    dice_weight: int | float = 1.0,
) -> Float[Tensor, ""]:
    """Return cross-entropy + soft Dice of the foreground classes, for samples of one task.

    Args:
        logits: Background first, then the regions of the task: K + 1 channels.
        target: The regions of the task, all annotated.
        dice: "volume" (per sample) or "batch".
        smooth: One of `fmtutor.losses.dice.SMOOTHINGS`.
        ce_weight: Weight of the voxel-mean cross-entropy.
        dice_weight: Weight of the mean Dice loss over the K regions.

    Raises:
        ValueError: The channels are not one more than the regions, or an option is not known.
    """
    check_option(dice, ("volume", "batch"), "dice")
    if logits.shape[1] != target.shape[1] + 1:
        raise ValueError(
            f"logits need {target.shape[1] + 1} channels (background, then {target.shape[1]} "
            f"regions), not {logits.shape[1]}; size the head to its task."
        )
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    index = class_indices(target)
    entropy = functional.cross_entropy(wide, index)
    p = wide.softmax(1)[:, 1:]
    y = functional.one_hot(index, logits.shape[1]).movedim(-1, 1)[:, 1:].to(p.dtype)
    axes = (2, 3, 4) if dice == "volume" else (0, 2, 3, 4)
    sums = (p * y).sum(axes), p.sum(axes), y.sum(axes)
    terms = dice_from_sums(sums[0], sums[1], true=sums[2], smooth=smooth)
    return ce_weight * entropy + dice_weight * terms.mean()
