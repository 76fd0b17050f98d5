"""LoRA on convolutions of every kind, with an exact merge.

A kernel of a convolution is a matrix between the patch under it and the output channels. The change
of it has rank r,

    W + B A,    A: (C_in k^3) -> r, as a convolution of the same shape;    B: r -> C_out, 1x1x1,

so it costs r (C_in k^3 + C_out) parameters. In a transposed convolution it is the output that has
k^3 values per voxel, so there A is the 1x1x1 convolution and B the transposed one:
r (C_in + C_out k^3). A starts at random and B at zero.

The library `peft` has the first form too; `fmtutor.nets.peft_conv` says where it is sound.

Source: Hu et al., "LoRA", ICLR 2022. The form for transposed convolutions is ours.
"""

import copy

import torch
from torch import Tensor, nn


class LowRankConv(nn.Module):
    """A convolution with a low-rank change: any kernel, stride, dilation and padding mode.

    Args:
        conv: The convolution, of one group.
        rank: Rank of the change.

    Raises:
        ValueError: It has groups.
    """

    def __init__(self, conv: nn.Conv3d, rank: int) -> None:
        super().__init__()
        refuse_groups(conv)
        self.base_layer = conv
        device = conv.weight.device
        self.low_rank_a = nn.Conv3d(
            conv.in_channels,
            rank,
            conv.kernel_size,  # type: ignore[arg-type]
            stride=conv.stride,  # type: ignore[arg-type]
            padding=conv.padding,  # type: ignore[arg-type]
            dilation=conv.dilation,  # type: ignore[arg-type]
            padding_mode=conv.padding_mode,
            bias=False,
            device=device,
        )
        self.low_rank_b = nn.Conv3d(rank, conv.out_channels, 1, bias=False, device=device)
        nn.init.zeros_(self.low_rank_b.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the changed convolution of x (B, C, H, W, D)."""
        return self.base_layer(x) + self.low_rank_b(self.low_rank_a(x))

    def merged(self) -> nn.Conv3d:
        """Return the one convolution that gives the same."""
        conv = copy.deepcopy(self.base_layer)
        b = self.low_rank_b.weight.flatten(1)
        with torch.no_grad():
            conv.weight += torch.einsum("or,rihwd->oihwd", b, self.low_rank_a.weight)
        return conv


class LowRankTransposedConv(nn.Module):
    """A transposed convolution with a low-rank change.

    Args:
        conv: The transposed convolution, of one group.
        rank: Rank of the change.

    Raises:
        ValueError: It has groups.
    """

    def __init__(self, conv: nn.ConvTranspose3d, rank: int) -> None:
        super().__init__()
        refuse_groups(conv)
        self.base_layer = conv
        device = conv.weight.device
        self.low_rank_a = nn.Conv3d(conv.in_channels, rank, 1, bias=False, device=device)
        self.low_rank_b = nn.ConvTranspose3d(
            rank,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            stride=conv.stride,  # type: ignore[arg-type]
            padding=conv.padding,  # type: ignore[arg-type]
            output_padding=conv.output_padding,  # type: ignore[arg-type]
            dilation=conv.dilation,  # type: ignore[arg-type]
            bias=False,
            device=device,
        )
        nn.init.zeros_(self.low_rank_b.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the changed transposed convolution of x (B, C, H, W, D)."""
        return self.base_layer(x) + self.low_rank_b(self.low_rank_a(x))

    def merged(self) -> nn.ConvTranspose3d:
        """Return the one transposed convolution that gives the same."""
        conv = copy.deepcopy(self.base_layer)
        a = self.low_rank_a.weight.flatten(1)
        with torch.no_grad():
            conv.weight += torch.einsum("ri,rohwd->iohwd", a, self.low_rank_b.weight)
        return conv


def with_low_rank(conv: nn.Conv3d | nn.ConvTranspose3d, rank: int) -> nn.Module:
    """Return the convolution with a low-rank change, whichever of the two kinds it is."""
    if isinstance(conv, nn.ConvTranspose3d):
        return LowRankTransposedConv(conv, rank)
    return LowRankConv(conv, rank)


def refuse_groups(conv: nn.Conv3d | nn.ConvTranspose3d) -> None:
    """Raise the error of a convolution with groups, whose kernel cannot hold a dense change."""
    if conv.groups != 1:
        raise ValueError(
            f"a low-rank change needs a convolution of one group, got {conv.groups}; leave this "
            "layer as it is."
        )
