"""Depth adapters: they look along the stack, at the same place, and nowhere else."""

import pytest
import torch
from torch import nn

from fmtutor.core.seeds import torch_rng
from fmtutor.nets.depth_adapters import DepthAdapter, add_depth_adapters
from fmtutor.nets.sam import Sam
from fmtutor.paradigms.interactive.sizes import TINY


def test_a_token_reaches_its_neighbours_in_the_stack_alone() -> None:
    adapter = DepthAdapter(8, 4, slices=5)
    x = torch.randn(10, 3, 4, 8, generator=torch_rng("depth"))
    moved = x.clone()
    moved[2, 1, 1] += torch.randn(8, generator=torch_rng("moved"))
    changed = ((adapter(moved) - adapter(x)).abs().amax(-1) > 0).nonzero().tolist()
    assert changed == [[1, 1, 1], [2, 1, 1], [3, 1, 1]]


def test_with_its_last_layer_at_zero_it_changes_nothing() -> None:
    adapter = DepthAdapter(8, 4, slices=2)
    nn.init.zeros_(adapter.up.weight)
    x = torch.randn(4, 2, 2, 8, generator=torch_rng("zero"))
    assert torch.equal(adapter(x), x)


def test_every_block_gets_two_and_no_more() -> None:
    encoder = Sam(TINY).image_encoder
    assert len(add_depth_adapters(encoder, 8, slices=5)) == 2 * TINY.depth
    with pytest.raises(ValueError, match="has adapters already"):
        add_depth_adapters(encoder, 8, slices=5)


def test_broken_stacks_are_refused() -> None:
    with pytest.raises(ValueError, match="give whole stacks"):
        DepthAdapter(8, 4, slices=5)(torch.zeros(6, 2, 2, 8))
