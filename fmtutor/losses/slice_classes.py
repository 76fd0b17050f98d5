"""The softmax loss of systems that give every pixel of a slice one class, or of a stack of slices.

SAMed and MA-SAM train with 0.2 cross-entropy + 0.8 Dice. What a sample does not annotate leaves its
softmax (`fmtutor.losses.declared`), as in the systems of partial labels.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from fmtutor.losses.declared import declared_softmax_loss

CE_WEIGHT, DICE_WEIGHT = 0.2, 0.8


def slice_classes_loss(
    logits: Float[Tensor, "B L1 *grid"],
    target: Bool[Tensor, "B L *grid"],
    known: Bool[Tensor, "B L"],
) -> Float[Tensor, ""]:
    """Return 0.2 cross-entropy + 0.8 Dice over the known classes.

    Args:
        logits: The background first; the grid is H W or H W D.
        target: One mask for each class; where several hold a pixel, the first known one counts.
        known: Which classes each sample annotates.
    """
    flat, logits = logits.dim() == 4, logits.float()
    logits = logits[..., None] if flat else logits
    target = target[..., None] if flat else target
    held = (target & known[:, :, None, None, None]).cumsum(1)
    return declared_softmax_loss(
        logits[:, 1:],
        logits[:, :1],
        target & (held <= 1),
        known,
        ce_weight=CE_WEIGHT,
        dice_weight=DICE_WEIGHT,
    )
