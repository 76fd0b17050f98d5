"""Tversky loss that turns towards the error it makes: Hermes' companion of the cross-entropy.

Tversky weighs false positives by alpha and false negatives by beta; Dice is alpha = beta = 1/2.
Hermes sets them anew for every (sample, class) pair, from the soft counts of the pair itself:

    loss = 1 - TP / (TP + alpha FP + beta FN),
    alpha = FP / (FP + FN), clamped to [0.2, 0.8],    beta = 1 - alpha,

so a class that spills over its border is charged for that, and a class that is missed for missing.
A class without a voxel in the patch costs 1 with no gradient; cross-entropy is what teaches there.

Source: Gao et al., "Training Like a Medical Resident: Context-Prior Learning Toward Universal
Medical Image Segmentation", CVPR 2024.
"""

from jaxtyping import Float
from torch import Tensor

from fmtutor.core.axes import Known, Logits, Target
from fmtutor.losses.partial import pair_sums

ALPHA_RANGE = (0.2, 0.8)
"""No kind of error is ever charged for less than a fifth, or more than four fifths."""
_SMOOTH = 1e-6


def adaptive_tversky(
    overlap: Float[Tensor, "..."], predicted: Float[Tensor, "..."], *, true: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Return the loss of each element from its soft counts; the gradient goes through alpha too.

    Args:
        overlap: TP = sum of probability times target.
        predicted: Sum of the probabilities, TP + FP.
        true: Sum of the target, TP + FN.

    Returns:
        Values in [0, 1].
    """
    false_positive = (predicted - overlap).clamp_min(0)  # rounding may leave -1e-7
    false_negative = (true - overlap).clamp_min(0)
    alpha = false_positive / (false_positive + false_negative + _SMOOTH)
    alpha = alpha.clamp(*ALPHA_RANGE)
    errors = alpha * false_positive + (1 - alpha) * false_negative
    return 1 - overlap / (overlap + errors + _SMOOTH)


def partial_tversky_loss(
    logits: Logits,
    target: Target,
    known: Known,
    *,
    bce_weight: int | float = 1.0,
    tversky_weight: int | float = 1.0,
    present_only: bool = False,
) -> Float[Tensor, ""]:
    """Return cross-entropy plus adaptive Tversky, each a mean over the known (sample, class) pairs.

    Args:
        logits: Any floating type; the loss is computed in float32 at least.
        target: Multi-hot; read only where ``known``.
        known: Which pairs are annotated. Nothing known gives exactly 0, with zero gradients.
        bce_weight: Weight of the voxel-mean binary cross-entropy.
        tversky_weight: Weight of the Tversky loss.
        present_only: Take Tversky only over pairs with a voxel of the class in the patch.

    Raises:
        ValueError: Shapes disagree.

    Taught in: 04
    """
    if logits.shape != target.shape or known.shape != logits.shape[:2]:
        raise ValueError(
            "logits and target must be (B, L, H, W, D) and known (B, L), not "
            f"{tuple(logits.shape)}, {tuple(target.shape)} and {tuple(known.shape)}; "
            "build them from one vocabulary."
        )
    bce, overlap, predicted, true = pair_sums(logits, target, known).sum(2)  # (P,) each
    voxels = logits[0, 0].numel()
    terms = adaptive_tversky(overlap, predicted, true=true)
    if present_only:
        terms = terms[true > 0]
    return bce_weight * _mean(bce / voxels) + tversky_weight * _mean(terms)


def _mean(values: Tensor) -> Tensor:
    """Return the mean; of nothing, an attached 0."""
    return values.sum() / max(len(values), 1)
