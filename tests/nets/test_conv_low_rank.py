"""LoRA on convolutions of every kind: nothing at the start, of low rank, exact when merged."""

import pytest
import torch
from torch import nn

from fmtutor.nets.conv_low_rank import with_low_rank

X = torch.randn(1, 3, 6, 7, 8)
PLAIN = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 1, "bias": False},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (1, 1, 3), "padding": (0, 0, 1)},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "replicate"},
]
TRANSPOSED = [
    {"kernel_size": 2, "stride": 2, "bias": False},
    {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"kernel_size": (1, 2, 2), "stride": (1, 2, 2), "dilation": 1},
    {"kernel_size": 3, "dilation": 2, "padding": 1},
]
ALL = [(nn.Conv3d, options) for options in PLAIN]
ALL += [(nn.ConvTranspose3d, options) for options in TRANSPOSED]


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_it_starts_as_the_layer_and_merges_exactly(kind: type[nn.Module], options: dict) -> None:
    conv = kind(3, 5, **options)
    low = with_low_rank(conv, 2)
    assert torch.equal(low(X), conv(X))
    nn.init.normal_(low.low_rank_b.weight)
    assert not torch.allclose(low(X), conv(X), atol=0.1)
    assert torch.allclose(low.merged()(X), low(X), atol=1e-5)


@pytest.mark.parametrize(
    ("conv", "count"),
    [
        (nn.Conv3d(6, 5, 3), 2 * (6 * 27 + 5)),
        (nn.Conv3d(6, 5, 1), 2 * (6 + 5)),
        (nn.ConvTranspose3d(6, 5, 2, stride=2), 2 * (6 + 5 * 8)),
    ],
)
def test_it_costs_the_rank_times_both_sides_of_the_matrix(conv: nn.Module, count: int) -> None:
    low = with_low_rank(conv, 2)
    assert sum(p.numel() for n, p in low.named_parameters() if "low_rank" in n) == count
    nn.init.normal_(low.low_rank_b.weight)
    change = low.merged().weight - conv.weight
    matrix = change.flatten(1) if isinstance(conv, nn.Conv3d) else change.flatten(1).T
    assert int(torch.linalg.matrix_rank(matrix.double(), rtol=1e-5)) == 2


@pytest.mark.parametrize("kind", [nn.Conv3d, nn.ConvTranspose3d])
def test_groups_are_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="convolution of one group, got 2"):
        with_low_rank(kind(4, 4, 3, groups=2), 2)
