"""A low-rank change that loses directions: the proximal step, the rank, the merge."""

import pytest
import torch
from torch import nn

from fmtutor.nets.arena import START, ArenaLinear, soft_threshold

X = torch.randn(2, 5, 6)


def test_it_starts_as_the_layer_and_can_learn() -> None:
    linear = nn.Linear(6, 18)
    low = ArenaLinear(linear, 4)
    assert torch.equal(low(X), linear(X))
    low(X).square().sum().backward()
    assert low.rank == 4
    assert low.low_rank_b.grad is not None
    assert bool((low.low_rank_b.grad != 0).any())


def test_the_threshold_is_the_proximal_point_of_the_penalty() -> None:
    """prox(v) minimises (u - v)^2 / 2 + by |u|: no point of a grid is better."""
    grid = torch.linspace(-2, 2, 4001)
    for value in (-1.3, -0.2, 0.0, 0.45, 0.9):
        best = grid[((grid - value) ** 2 / 2 + 0.5 * grid.abs()).argmin()]
        found = soft_threshold(torch.tensor([value]), 0.5)
        assert float(found) == pytest.approx(float(best), abs=1e-3)


def test_shrinking_takes_directions_away() -> None:
    low = ArenaLinear(nn.Linear(6, 18), 4)
    with torch.no_grad():
        low.low_rank_v.copy_(torch.tensor([0.3, -0.2, 0.05, -0.01]))
    low.shrink(START)
    assert low.low_rank_v.tolist() == pytest.approx([0.2, -0.1, 0.0, 0.0])
    assert low.rank == 2


def test_merged_it_gives_the_same() -> None:
    low = ArenaLinear(nn.Linear(6, 18), 4)
    for p in low.parameters():
        nn.init.normal_(p)
    assert torch.allclose(low.merged()(X), low(X), atol=1e-5)
