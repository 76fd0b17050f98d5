"""A scale and a shift behind any layer: nothing at the start, part of the layer when merged."""

import pytest
import torch
from torch import nn

from fmtutor.nets.norms import BatchStatisticsNorm, InstanceNorm
from fmtutor.nets.scale_shift import ScaleShift

TOKENS, VOXELS = torch.randn(2, 3, 4), torch.randn(1, 4, 4, 5, 6)
LAYERS = {
    "linear": (nn.Linear(4, 6), TOKENS),
    "linear without bias": (nn.Linear(4, 6, bias=False), TOKENS),
    "layer norm": (nn.LayerNorm(4), TOKENS),
    "convolution": (nn.Conv3d(4, 6, 3), VOXELS),
    "transposed": (nn.ConvTranspose3d(4, 6, 2, stride=2, bias=False), VOXELS),
    "plain instance norm": (nn.InstanceNorm3d(4), VOXELS),
    "instance norm": (InstanceNorm(4), VOXELS),
    "batch norm": (nn.BatchNorm3d(4), VOXELS),
    "batch statistics": (BatchStatisticsNorm(4), VOXELS),
    "group norm": (nn.GroupNorm(2, 4), VOXELS),
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_starts_as_the_layer_and_merges_exactly(name: str) -> None:
    layer, x = LAYERS[name]
    layer.eval()
    both = ScaleShift(layer).eval()
    assert torch.equal(both(x), layer(x))
    for p in (both.feature_scale, both.feature_shift):
        nn.init.normal_(p)
    assert not torch.allclose(both(x), layer(x), atol=0.1)
    merged = both.merged()
    assert type(merged) is type(layer)
    assert torch.allclose(merged(x), both(x), atol=1e-5)


def test_a_norm_undoes_scale_and_shift_before_it() -> None:
    """Why SSF puts none between a convolution and its norm."""
    conv = ScaleShift(nn.Conv3d(4, 6, 3))
    norm = nn.InstanceNorm3d(6, eps=0)
    before = norm(conv(VOXELS))
    with torch.no_grad():
        conv.feature_scale.fill_(3.0)
        conv.feature_shift.fill_(-2.0)
    assert torch.allclose(norm(conv(VOXELS)), before, atol=1e-4)


def test_a_layer_without_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="got a ReLU; choose another layer"):
        ScaleShift(nn.ReLU())
