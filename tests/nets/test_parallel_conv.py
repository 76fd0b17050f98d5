"""A pointwise convolution beside a larger one, folded into its kernel when merged."""

import pytest
import torch
from torch import nn

from fmtutor.nets.parallel_conv import ParallelConv

X = torch.randn(1, 3, 6, 7, 8)


def test_it_starts_at_zero_or_at_random() -> None:
    conv = nn.Conv3d(3, 4, 3, padding=1)
    assert torch.equal(ParallelConv(conv, zero_start=True)(X), conv(X))
    assert not torch.allclose(ParallelConv(conv, zero_start=False)(X), conv(X), atol=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1, "stride": 2, "bias": False},
        {"kernel_size": 3, "padding": 2, "dilation": 2, "padding_mode": "reflect"},
        {"kernel_size": (1, 3, 5), "padding": (0, 1, 2)},
    ],
)
def test_it_folds_into_the_centre_of_the_kernel(options: dict) -> None:
    both = ParallelConv(nn.Conv3d(3, 4, **options), zero_start=False)
    assert torch.allclose(both.merged()(X), both(X), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 2, "stride": 2}, "odd kernel"),
        ({"kernel_size": 3, "padding": 1, "groups": 3}, "one group"),
        ({"kernel_size": 3}, r"needs padding \(1, 1, 1\)"),
    ],
)
def test_a_kernel_without_a_centre_on_the_voxel_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParallelConv(nn.Conv3d(3, 3, **options), zero_start=True)
