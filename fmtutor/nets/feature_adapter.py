"""Black-box adapters: two convolutions on finished features, beside a skip connection.

    y = x + W2 * relu(W1 * x)

W2 starts at zero, so y = x at the start. With kernels of 3^3 it is the spatial adapter, which can
look at neighbours of a voxel and so mends borders; with kernels of 1^3 the "MLP" adapter, which
cannot.

Source: Silva-Rodríguez, Dolz, Ben Ayed, Medical Image Analysis 2025.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FeatureAdapter(nn.Module):
    """A residual pair of convolutions without bias.

    Args:
        channels: Features per voxel, in and out.
        kernel: 3 for the spatial adapter, 1 for the MLP adapter.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, kernel, padding="same", bias=False)
        self.conv2 = nn.Conv3d(channels, channels, kernel, padding="same", bias=False)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Float[Tensor, "B E H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return adapted features."""
        return x + self.conv2(torch.relu(self.conv1(x)))
