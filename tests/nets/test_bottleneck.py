"""Bottlenecks: as the network was at the start, beside or behind it later."""

import torch
from torch import nn

from fmtutor.nets.bottleneck import ParallelBottleneck, ResidualBottleneck


def test_a_parallel_bottleneck_reads_the_stream_before_the_norm() -> None:
    norm, mlp, x = nn.LayerNorm(6), nn.Linear(6, 6), torch.randn(2, 3, 6)
    both = ParallelBottleneck(norm, mlp, width=2, scale=0.1)
    assert torch.equal(both(x), mlp(norm(x)))
    for p in both.bottleneck_up.parameters():
        nn.init.normal_(p)
    beside = both.bottleneck_up(torch.relu(both.bottleneck_down(x)))
    assert torch.allclose(both(x), mlp(norm(x)) + 0.1 * beside)
    assert (
        sum(p.numel() for n, p in both.named_parameters() if "bottleneck" in n) == 2 * 6 * 2 + 2 + 6
    )


def test_a_residual_bottleneck_reads_what_the_block_gives() -> None:
    block, x = nn.Conv3d(3, 5, 3, padding=1), torch.randn(1, 3, 4, 4, 4)
    both = ResidualBottleneck(block, 5, width=2)
    assert torch.equal(both(x), block(x))
    nn.init.ones_(both.bottleneck[-1].bias)
    assert torch.allclose(both(x), block(x) + 1)
