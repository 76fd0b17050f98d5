"""Black-box adapters: nothing at the start, a voxel or its neighbourhood later."""

import pytest
import torch
from torch import nn

from fmtutor.nets.feature_adapter import FeatureAdapter

X = torch.randn(1, 4, 5, 6, 7)


@pytest.mark.parametrize("kernel", [1, 3])
def test_it_starts_as_nothing(kernel: int) -> None:
    assert torch.equal(FeatureAdapter(4, kernel)(X), X)


@pytest.mark.parametrize(("kernel", "reach"), [(1, 1), (3, 5**3)])
def test_its_kernel_is_what_it_sees(kernel: int, reach: int) -> None:
    adapter = FeatureAdapter(4, kernel)
    for p in adapter.parameters():
        nn.init.constant_(p, 0.1)
    x = torch.rand(1, 4, 7, 7, 7).requires_grad_()
    adapter(x)[0, 0, 3, 3, 3].backward()
    assert x.grad is not None
    assert int((x.grad[0, 1] != 0).sum()) == reach
