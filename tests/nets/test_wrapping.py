"""Wrappers: named, put in place, merged, or refused with nothing changed."""

import pytest
import torch
from torch import nn

from fmtutor.nets.arena import ArenaLinear
from fmtutor.nets.bottleneck import ResidualBottleneck
from fmtutor.nets.scale_shift import ScaleShift
from fmtutor.nets.wrapping import merge_wrappers, names_of, wrap, wrappers_of


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)))


def test_names_are_those_of_a_type_below_a_module() -> None:
    assert names_of(network(), nn.Linear) == ["0", "1.0"]
    assert names_of(network(), (nn.Linear, nn.LayerNorm), under=("1",)) == ["1.0", "1.1"]


def test_wrappers_merge_to_plain_layers() -> None:
    net, x = network(), torch.randn(3, 4)
    wrap(net, ["0", "1.0"], lambda linear: ArenaLinear(linear, 2))
    wrap(net, ["1.1"], ScaleShift)
    for p in net.parameters():
        nn.init.normal_(p)
    expected = net(x)
    assert wrappers_of(net) == ["0", "1.0", "1.1"]
    merge_wrappers(net)
    assert [type(m) for m in (net[0], net[1][0], net[1][1])] == [nn.Linear] * 2 + [nn.LayerNorm]
    assert torch.allclose(net(x), expected, atol=1e-4)


def test_what_is_not_linear_is_refused_and_nothing_is_merged() -> None:
    net = nn.Sequential(ScaleShift(nn.Conv3d(2, 2, 1)))
    net.append(ResidualBottleneck(nn.Conv3d(2, 2, 1), 2, width=1))
    with pytest.raises(ValueError, match="got a ResidualBottleneck at '1'; keep"):
        merge_wrappers(net)
    assert wrappers_of(net) == ["0", "1"]
