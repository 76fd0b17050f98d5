"""A 1x1x1 convolution beside a larger one: the parallel residual adapter.

    y = F * x + A * x

A is a matrix, applied at every voxel. Once trained it folds into the centre of the kernel of F.

Source: Rebuffi, Bilen, Vedaldi, "Efficient parametrization of multi-domain deep neural networks",
CVPR 2018.
"""

import copy

import torch
from torch import Tensor, nn


class ParallelConv(nn.Module):
    """A convolution with a pointwise one beside it, without bias.

    Args:
        conv: Odd kernel, one group, padded so that the centre of its kernel lies on the voxel.
        zero_start: Start the new one at zero; else as torch starts any convolution.

    Raises:
        ValueError: The convolution has no such centre.
    """

    def __init__(self, conv: nn.Conv3d, *, zero_start: bool) -> None:
        super().__init__()
        centred = tuple(
            d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)
        )
        if any(k % 2 == 0 for k in conv.kernel_size) or conv.groups != 1:
            raise ValueError(
                f"a parallel convolution needs an odd kernel and one group, got {conv}; "
                "leave this layer as it is."
            )
        if conv.padding != centred:
            raise ValueError(
                f"a parallel convolution needs padding {centred}, got {conv.padding}; leave this "
                "layer as it is."
            )
        self.base_layer = conv
        self.parallel = nn.Conv3d(
            conv.in_channels,
            conv.out_channels,
            1,
            stride=conv.stride,
            bias=False,
            device=conv.weight.device,
        )
        if zero_start:
            nn.init.zeros_(self.parallel.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both (B, C, H, W, D)."""
        return self.base_layer(x) + self.parallel(x)

    def merged(self) -> nn.Conv3d:
        """Return the one convolution that gives the same."""
        conv = copy.deepcopy(self.base_layer)
        h, w, d = (size // 2 for size in conv.kernel_size)
        with torch.no_grad():
            conv.weight[:, :, h, w, d] += self.parallel.weight[:, :, 0, 0, 0]
        return conv
