"""ARENA: a low-rank change that chooses its own rank.

    y = W x + B diag(v) A x,    minimise  loss + lambda |v|_1

A gradient step on the loss is followed by the proximal step of the penalty, the soft threshold

    v_i <- sign(v_i) max(|v_i| - lr lambda, 0),

which makes values exactly zero: such a direction is gone, and the rank of the layer with it.

Source: Baklouti et al., "Regularized low-rank adaptation for few-shot organ segmentation", MICCAI
2025.
"""

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

START = 0.1
"""Value of every v at the start: small, and not zero, or B would never learn."""


class ArenaLinear(nn.Module):
    """A linear layer with a low-rank change that loses directions.

    Args:
        linear: E in, any number out.
        rank: Directions at the start.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base_layer = linear
        kept = {"device": linear.weight.device}
        self.low_rank_a = nn.Parameter(torch.empty(rank, linear.in_features, **kept))
        self.low_rank_v = nn.Parameter(torch.full((rank,), START, **kept))
        self.low_rank_b = nn.Parameter(torch.zeros(linear.out_features, rank, **kept))
        nn.init.kaiming_uniform_(self.low_rank_a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Return the changed layer of x (*, E)."""
        low = functional.linear(x, self.low_rank_a) * self.low_rank_v
        return self.base_layer(x) + functional.linear(low, self.low_rank_b)

    @property
    def rank(self) -> int:
        """Directions that are left."""
        return int(torch.count_nonzero(self.low_rank_v))

    @torch.no_grad()
    def shrink(self, by: float) -> None:
        """Take the proximal step: move every v towards zero, and to zero where it would cross."""
        self.low_rank_v.copy_(soft_threshold(self.low_rank_v, by))

    def merged(self) -> nn.Linear:
        """Return the one linear layer that gives the same."""
        linear = copy.deepcopy(self.base_layer)
        with torch.no_grad():
            linear.weight += self.low_rank_b * self.low_rank_v @ self.low_rank_a
        return linear


def soft_threshold(values: Float[Tensor, " N"], by: float) -> Float[Tensor, " N"]:
    """Return sign(v) max(|v| - by, 0).

    Example:
        >>> soft_threshold(torch.tensor([0.5, -0.25, 0.1]), 0.25)
        tensor([0.2500, -0.0000, 0.0000])
    """
    return values.sign() * (values.abs() - by).clamp_min(0)
