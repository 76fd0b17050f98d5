"""FacT-TT: one low-rank change of all layers together, a tensor in three factors.

LoRA gives every layer two matrices of its own. FacT stacks the changes of all layers to one tensor
and factorises that: U (rank, E) and V (E, rank) are shared by all layers, and each layer has for
its queries and for its values one small S (rank, rank),

    W_l  <-  W_l + s V S_l U

V begins at zero, so that the network begins as it was.

Source: Jie and Deng, "FacT: Factor-Tuning for Lightweight Adaptation on Vision Transformer", AAAI
2023; on SAM: Chen et al., "MA-SAM", 2023.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.low_rank_qv import FusedLinear, replace_qkv, with_added
from fmtutor.nets.vit import ImageEncoder

DROPOUT = 0.1


class SharedFactors(nn.Module):
    """The factors U and V that all layers share.

    Args:
        features: Features of a token (E).
        rank: Rank of the changes; 32 in MA-SAM.
    """

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        self.u = nn.Linear(features, rank, bias=False)
        self.v = nn.Linear(rank, features, bias=False)
        nn.init.zeros_(self.v.weight)


class FactorQV(FusedLinear):
    """A fused layer whose queries and values are changed through shared factors.

    Args:
        linear: E in, 3 E out.
        shared: U and V; whoever owns the layers keeps them, so that they are saved once.
        scale: s.
    """

    def __init__(self, linear: nn.Linear, shared: SharedFactors, *, scale: float = 1.0) -> None:
        super().__init__(linear)
        rank = shared.u.out_features
        self.factor_q = nn.Linear(rank, rank, bias=False)
        self.factor_v = nn.Linear(rank, rank, bias=False)
        self.scale = scale
        self._shared = (shared,)  # in a tuple: its weights are registered once, by the encoder

    def forward(self, x: Float[Tensor, "*N E"]) -> Float[Tensor, "*N E3"]:
        """Return queries, keys and values, one after the other."""
        (shared,) = self._shared
        low = shared.u(x)
        added = [
            self.scale * shared.v(functional.dropout(factor(low), DROPOUT, self.training))
            for factor in (self.factor_q, self.factor_v)
        ]
        return with_added(super().forward(x), *added)


def add_factors(encoder: ImageEncoder, rank: int, *, scale: float = 1.0) -> SharedFactors:
    """Change every block of an image encoder; the shared factors become ``encoder.factors``."""
    shared = SharedFactors(encoder.patch_embed.out_channels, rank)
    encoder.add_module("factors", shared)
    replace_qkv(encoder, lambda linear: FactorQV(linear, shared, scale=scale))
    return shared
