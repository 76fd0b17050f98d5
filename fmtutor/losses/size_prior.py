"""A prior on size: what the support says about how much of a volume a structure fills.

    p* = mean volume of the structure in the support / volume of the query
    e  = (p* - p) / max(p, p*),    penalty = w max(0, |e| - m)

where p is the share of the query that the network gives to the structure, the mean of its
probabilities. It needs no label of the query, so it adapts to the very volume that is asked about:
one step a pass, in the second half of training, on adapter and head alone.

The published code adds the margin on one side where it should subtract it. Value and place of the
hinge change with that, the slope does not; here it is as the paper writes it.

Source: Silva-Rodríguez, Dolz, Ben Ayed, workshop version of "Towards foundation models and few-shot
parameter-efficient fine-tuning for volumetric organ segmentation", MICCAI MedAGI 2023.
"""

import torch
from jaxtyping import Float
from torch import Tensor

MARGIN, WEIGHT = 0.3, 0.1
FEWEST_TO_TRIM = 5
"""Cases from which on outliers are left out of the mean."""


def target_proportion(support_ml: Float[Tensor, " S"], query_ml: float) -> Float[Tensor, ""]:
    """Return the share of the query volume that the structure should fill.

    From five cases on, those farther from the median than a standard deviation are left out; at
    least one is always kept.

    Args:
        support_ml: Volume of the structure in each case of the support.
        query_ml: Volume of the whole query.

    Raises:
        ValueError: The support is empty, or the query has no volume.

    Example:
        >>> target_proportion(torch.tensor([100.0, 110.0, 90.0, 105.0, 400.0]), 1000.0)
        tensor(0.1013)
    """
    if not support_ml.numel() or query_ml <= 0:
        raise ValueError(
            "a size prior needs at least one volume and a query above 0 ml, got "
            f"{support_ml.numel()} and {query_ml} ml."
        )
    if len(support_ml) >= FEWEST_TO_TRIM:
        distance = (support_ml - support_ml.quantile(0.5)).abs()
        support_ml = support_ml[distance <= support_ml.std(correction=0)]
    return support_ml.mean() / query_ml


def relative_error(
    target: Float[Tensor, "*N"], proportion: Float[Tensor, "*N"]
) -> Float[Tensor, "*N"]:
    """Return (p* - p) / max(p, p*), in [-1, 1]; 0 where both are 0."""
    largest = torch.maximum(target, proportion)
    return (target - proportion) / largest.clamp_min(torch.finfo(largest.dtype).tiny)


def size_penalty(
    probability: Float[Tensor, "B 1 H W D"],
    target: Float[Tensor, ""],
    *,
    margin: float = MARGIN,
    weight: float = WEIGHT,
) -> Float[Tensor, ""]:
    """Return the penalty, zero while the size is within the margin.

    Args:
        probability: Of the structure, at every voxel of the query or of a coarser grid of it.
        target: As `target_proportion` gives it.
        margin: Largest relative error that costs nothing.
        weight: Factor on the penalty.
    """
    error = relative_error(target, probability.mean())
    return weight * (error.abs() - margin).clamp_min(0)
