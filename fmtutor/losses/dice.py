"""Soft Dice in its published forms, and the trap of one of them.

Three choices are hidden in the words "Dice loss", and the systems of the talk differ in each:
over which voxels the sums run (`DICE_FORMS`), where the smoothing constant stands
(`SMOOTHINGS`), and which classes are averaged (see `fmtutor.losses.partial`).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

DICE_FORMS = ("volume", "batch", "slice")
"""Sums over the patch of one sample; over the batch; over each slice of the first spatial axis."""

SMOOTHINGS = ("denominator", "both", "none")
"""2I/(P+T+1) (DoDNet, CLIP-Driven); (2I+1)/(P+T+1) (FSEFT); 2I/max(P+T, 1e-7) (MultiTalent)."""


def check_option(value: str, allowed: tuple[str, ...], name: str) -> None:
    """Refuse an option that is not in its list.

    Raises:
        ValueError: ``value`` is not one of ``allowed``.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, not {value!r}; pick one of them.")


def dice_from_sums(
    overlap: Tensor, predicted: Tensor, *, true: Tensor, smooth: str = "denominator"
) -> Tensor:
    """Return 1 - soft Dice from its three sums, element by element.

    Args:
        overlap: I = sum of probability times target.
        predicted: P = sum of the probabilities.
        true: T = sum of the target.
        smooth: One of `SMOOTHINGS`. With "denominator" a perfect prediction of n voxels costs
            1/(2n+1) and an absent class always costs 1, without a gradient; with "both" an absent
            class costs P/(P+1), so false positives are pushed down.

    Returns:
        Values in [0, 1], in the shape of the sums.

    Raises:
        ValueError: ``smooth`` is not one of `SMOOTHINGS`.
    """
    check_option(smooth, SMOOTHINGS, "smooth")
    if smooth == "denominator":
        return 1 - 2 * overlap / (predicted + true + 1)
    if smooth == "both":
        return 1 - (2 * overlap + 1) / (predicted + true + 1)
    return 1 - 2 * overlap / (predicted + true).clamp_min(1e-7)


def dice_loss(
    probability: Float[Tensor, "B L H W D"],
    target: Bool[Tensor, "B L H W D"],
    *,
    dice: str = "volume",
    smooth: str = "denominator",
) -> Float[Tensor, ""]:
    """Return the mean soft Dice loss of fully labelled samples.

    Args:
        probability: Per class, in [0, 1].
        target: Multi-hot.
        dice: One of `DICE_FORMS`; "slice" is the legacy form of CLIP-Driven (see
            `slice_dice_floor`): never use it for anything but a comparison.
        smooth: One of `SMOOTHINGS`.

    Raises:
        ValueError: An option is not in its list.
    """
    check_option(dice, DICE_FORMS, "dice")
    axes = {"volume": (2, 3, 4), "batch": (0, 2, 3, 4), "slice": (3, 4)}[dice]
    wide = torch.promote_types(probability.dtype, torch.float32)
    p, t = probability.to(wide), target.to(wide)
    sums = (p * t).sum(axes), p.sum(axes), t.sum(axes)
    return dice_from_sums(sums[0], sums[1], true=sums[2], smooth=smooth).mean()


def slice_dice_floor(radius_vox: int | float, *, side: int = 96, dice: str = "slice") -> float:
    """Return the loss that a PERFECT prediction of a ball still has in a cubic patch.

    The published CLIP-Driven code hands a patch without its batch axis to a Dice that takes the
    first axis for the batch, so the Dice is computed slice by slice and averaged. A slice without
    the organ then costs 1 and gives no gradient: the loss cannot fall below the share of empty
    slices, whatever the network does. Users see a loss that "stays at 0.65-0.98".

    Args:
        radius_vox: Radius of the ball (voxel centres nearer than this), centred on a voxel.
        side: Edge of the patch in voxels.
        dice: The form to look at; "volume" shows the loss that it should have been.

    Source: measured on the published loss, ``CLIP-Driven-Universal-Model``.
    Taught in: 02

    Example:
        >>> round(slice_dice_floor(20), 3), round(slice_dice_floor(20, dice="volume"), 3)
        (0.594, 0.0)
    """
    axis = torch.arange(side, dtype=torch.float32) - side // 2
    h, w, d = torch.meshgrid(axis, axis, axis, indexing="ij")
    ball = (h**2 + w**2 + d**2 < radius_vox**2)[None, None]
    return float(dice_loss(ball.float(), ball, dice=dice))
