"""Bottlenecks beside or behind a part of a network: narrow, not linear, zero at the start.

AdaptFormer puts one beside the MLP of a transformer block,

    y = MLP(LN(x)) + s W_up relu(W_down x),    s = 0.1,

where x is the stream before the layer norm. A residual adapter puts one behind a convolution block
f, and needs the neighbourhood of a voxel as well:

    y = z + W_up relu(W_mid * relu(W_down z)),    z = f(x).

Source: Chen et al., "AdaptFormer", NeurIPS 2022; Rebuffi, Bilen, Vedaldi, "Learning multiple visual
domains with residual adapters", NeurIPS 2017; Jie and Deng, "Convolutional bypasses are better
vision transformer adapters", 2022 (the three convolutions).
"""

import math

import torch
from torch import Tensor, nn


class ParallelBottleneck(nn.Module):
    """The norm and the MLP of a transformer block with a bottleneck beside both.

    Args:
        norm: Layer norm over E channels.
        mlp: E to E.
        width: Channels of the bottleneck; 16 as published for volumes.
        scale: Factor on its output.
    """

    def __init__(self, norm: nn.LayerNorm, mlp: nn.Module, *, width: int, scale: float) -> None:
        super().__init__()
        channels, device = norm.normalized_shape[-1], norm.weight.device
        self.norm, self.base_layer, self.scale = norm, mlp, scale
        self.bottleneck_down = nn.Linear(channels, width, device=device)
        self.bottleneck_up = nn.Linear(width, channels, device=device)
        nn.init.kaiming_uniform_(self.bottleneck_down.weight, a=math.sqrt(5))
        for start_at_zero in (self.bottleneck_down.bias, *self.bottleneck_up.parameters()):
            nn.init.zeros_(start_at_zero)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the block adds to its stream, from the stream (*, E)."""
        beside = self.bottleneck_up(torch.relu(self.bottleneck_down(x)))
        return self.base_layer(self.norm(x)) + self.scale * beside


class ResidualBottleneck(nn.Module):
    """A convolution block followed by a residual bottleneck of three convolutions.

    Args:
        block: Any module with one input.
        channels: Channels that it returns.
        width: Channels of the bottleneck.
    """

    def __init__(self, block: nn.Module, channels: int, *, width: int) -> None:
        super().__init__()
        device = next(block.parameters()).device
        self.base_layer = block
        self.bottleneck = nn.Sequential(
            nn.Conv3d(channels, width, 1, device=device),
            nn.ReLU(),
            nn.Conv3d(width, width, 3, padding=1, device=device),
            nn.ReLU(),
            nn.Conv3d(width, channels, 1, device=device),
        )
        for start_at_zero in self.bottleneck[-1].parameters():
            nn.init.zeros_(start_at_zero)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's features (B, C, H, W, D) and the change of them."""
        z = self.base_layer(x)
        return z + self.bottleneck(z)
