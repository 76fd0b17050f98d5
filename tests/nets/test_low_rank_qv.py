"""LoRA on queries and values: begins as the layer was, leaves keys alone, merges back."""

import pytest
import torch
from torch import nn

from fmtutor.core.seeds import torch_rng
from fmtutor.nets.low_rank_qv import LowRankQV

X = torch.randn(2, 3, 4, 8, generator=torch_rng("low rank"))


def layer(rank: int = 2, *, trained: bool = False) -> tuple[nn.Linear, LowRankQV]:
    linear = nn.Linear(8, 24)
    low = LowRankQV(linear, rank)
    if trained:
        nn.init.normal_(low.low_rank_b)
    return linear, low


def test_it_begins_as_the_layer_it_takes_over() -> None:
    linear, low = layer()
    assert torch.equal(low(X), linear(X))
    assert low.weight is linear.weight
    assert set(low.state_dict()) == {"weight", "bias", "low_rank_a", "low_rank_b"}


def test_keys_never_change_and_queries_and_values_do() -> None:
    linear, low = layer(trained=True)
    change = (low(X) - linear(X)).unflatten(-1, (3, 8)).abs().amax((0, 1, 2, 4))
    assert (change > 0).tolist() == [True, False, True]


def test_merged_it_gives_the_same_answer() -> None:
    _, low = layer(trained=True)
    assert torch.allclose(low.merged()(X), low(X), atol=1e-5)


def test_a_layer_that_is_not_fused_is_refused() -> None:
    with pytest.raises(ValueError, match="pass a fused layer"):
        LowRankQV(nn.Linear(8, 16), 2)
