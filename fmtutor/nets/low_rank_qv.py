"""LoRA on the queries and values of a fused attention layer.

SAM makes queries, keys and values in one linear layer of 3 E outputs. SAMed adapts the first and
the last third of it,

    q = (W_q + B_q A_q) x        k = W_k x        v = (W_v + B_v A_v) x

with A (rank, E) drawn at random and B (E, rank) at zero, so that it begins as SAM. The library
`peft` adapts a linear layer as a whole: its factors would change the keys too, and share A between
queries and values.

Source: Hu et al., "LoRA", ICLR 2022; Zhang and Liu, "Customized Segment Anything Model for Medical
Image Segmentation" (SAMed), 2023.
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.vit import Block, ImageEncoder


class FusedLinear(nn.Linear):
    """A fused layer that takes over the weight and the bias of another one, under the same names.

    Args:
        linear: E in, 3 E out.
    """

    def __init__(self, linear: nn.Linear) -> None:
        if linear.out_features != 3 * linear.in_features:
            raise ValueError(
                "queries, keys and values are three times the features, got "
                f"{linear.in_features} in and {linear.out_features} out; pass a fused layer."
            )
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias = linear.weight, linear.bias


class LowRankQV(FusedLinear):
    """A fused layer with low-rank additions to queries and values.

    Args:
        linear: E in, 3 E out.
        rank: Rank of the additions; 4 in SAMed.
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__(linear)
        self.low_rank_a = nn.Parameter(torch.empty(2, rank, linear.in_features))
        self.low_rank_b = nn.Parameter(torch.zeros(2, linear.in_features, rank))
        for factor in self.low_rank_a.data:
            nn.init.kaiming_uniform_(factor, a=math.sqrt(5))

    def forward(self, x: Float[Tensor, "*N E"]) -> Float[Tensor, "*N E3"]:
        """Return queries, keys and values, one after the other."""
        low = functional.linear(x, self.low_rank_a.flatten(0, 1))
        low_q, low_v = low.chunk(2, -1)
        added_q = functional.linear(low_q, self.low_rank_b[0])
        added_v = functional.linear(low_v, self.low_rank_b[1])
        return with_added(super().forward(x), added_q, added_v)

    def merged(self) -> nn.Linear:
        """Return the one linear layer that gives the same, for use without further training."""
        added = torch.bmm(self.low_rank_b, self.low_rank_a)  # (2, E, E)
        change = torch.cat([added[0], torch.zeros_like(added[0]), added[1]])
        plain = nn.Linear(self.in_features, self.out_features, device=self.weight.device)
        with torch.no_grad():
            plain.weight.copy_(self.weight + change)
            plain.bias.copy_(self.bias)
        return plain


def with_added(qkv: Tensor, to_q: Tensor, to_v: Tensor) -> Tensor:
    """Return fused (..., 3 E) with additions (..., E) to queries and values."""
    q, k, v = qkv.chunk(3, -1)
    return torch.cat([q + to_q, k, v + to_v], -1)


def replace_qkv(encoder: ImageEncoder, change: Callable[[nn.Linear], nn.Linear]) -> None:
    """Replace the fused layer of every block."""
    for module in encoder.blocks:
        attention = cast(Block, module).attn
        attention.qkv = change(attention.qkv)
