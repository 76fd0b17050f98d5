"""Decomposed relative positions, and the mass of padded keys, against sums over every pair."""

import math

import pytest
import torch
from torch import Tensor

from fmtutor.nets.relative_positions import (
    POSITIONS,
    axis_terms,
    by_distance,
    correct_bias,
    correct_log_mass,
    sammed3d_bias,
    sammed3d_log_mass,
)
from tests.golden.recipe import drawn

E = 3


def queries(*grid: int) -> Tensor:
    """Return q (1, 2, *grid, e) in fp64, of the order of 1."""
    return drawn("queries.weight", (2 * math.prod(grid) * E,)).double().reshape(1, 2, *grid, E) - 1


def tables(*reach: int) -> list[Tensor]:
    return [4 * drawn(f"table{n}", (2 * size - 1, E)).double() for n, size in enumerate(reach)]


PAD = torch.tensor([[0.3, -0.8, 0.5], [-0.2, 0.4, 0.9]], dtype=torch.float64)


def test_a_row_depends_on_the_distance_alone() -> None:
    table = tables(5)[0]
    rows = by_distance(table, 5, 5)
    for query in range(5):
        for key in range(5):
            assert torch.equal(rows[query, key], table[query - key + 4])


def test_a_short_table_is_refused() -> None:
    with pytest.raises(ValueError, match="reach 4 tokens along an axis, got 6"):
        by_distance(tables(4)[0], 3, 6)


@pytest.mark.parametrize("grid", [(3, 5), (2, 4, 3)])
def test_the_correct_bias_is_a_sum_of_one_term_an_axis(grid: tuple[int, ...]) -> None:
    q, rows = queries(*grid), tables(*grid)
    bias = correct_bias(q, rows, PAD)
    assert bias.shape == (1, 2, *grid, *grid)
    for at in torch.cartesian_prod(*map(torch.arange, grid)).tolist():
        for key in torch.cartesian_prod(*map(torch.arange, grid)).tolist():
            vector = q[(0, 1, *at)]
            steps = zip(rows, at, key, grid, strict=True)
            expected = sum(vector @ table[a - k + size - 1] for table, a, k, size in steps)
            assert float((bias[(0, 1, *at, *key)] - expected).abs()) < 1e-12


def test_with_equal_queries_the_correct_bias_depends_on_differences_alone() -> None:
    grid = (4, 3, 5)
    q = torch.ones(1, 2, *grid, E, dtype=torch.float64)
    bias = correct_bias(q, tables(*grid), PAD)
    first, second = (slice(0, 3), slice(0, 2), slice(0, 4)), (slice(1, 4), slice(1, 3), slice(1, 5))
    near = bias[(0, 0, *first)][(slice(None),) * 3 + first]
    moved = bias[(0, 0, *second)][(slice(None),) * 3 + second]
    assert torch.allclose(near, moved, atol=1e-12)


def test_the_index_of_sam_med3d_depends_on_more_than_differences() -> None:
    q = torch.ones(1, 2, 3, 3, 3, E, dtype=torch.float64)
    bias = sammed3d_bias(q, tables(3, 3, 3), PAD)
    near, moved = bias[0, 0, :2, :2, :2, :2, :2, :2], bias[0, 0, 1:, 1:, 1:, 1:, 1:, 1:]
    assert torch.allclose(near, moved, atol=1e-12)  # a shift along all axes at once
    one_axis = bias[0, 0, 1:, :, :, 1:, :, :]
    assert not torch.allclose(bias[0, 0, :2, :, :, :2, :, :], one_axis, atol=1e-3)


@pytest.mark.parametrize(
    ("grid", "window"),
    [((3, 5), (4, 6)), ((3, 5), (3, 6)), ((2, 3, 2), (4, 3, 5)), ((1, 1, 1), (3, 2, 4))],
)
def test_the_mass_is_the_sum_over_all_padded_keys(
    grid: tuple[int, ...], window: tuple[int, ...]
) -> None:
    q, rows = queries(*grid), tables(*window)
    mass = correct_log_mass(q, rows, PAD, window)
    terms = axis_terms(q, rows, window)
    outside = []
    for key in torch.cartesian_prod(*map(torch.arange, window)).tolist():
        if any(k >= size for k, size in zip(key, grid, strict=True)):
            outside.append(sum(term[..., k] for term, k in zip(terms, key, strict=True)))
    assert len(outside) == math.prod(window) - math.prod(grid)
    assert torch.allclose(mass, torch.stack(outside).logsumexp(0), atol=1e-12)


@pytest.mark.parametrize("grid", [(2, 2, 2), (2, 3, 1), (3, 2, 4), (1, 4, 4)])
def test_the_mass_for_sam_med3d_is_the_sum_over_all_padded_keys(grid: tuple[int, ...]) -> None:
    """Against the bias of the padded window itself, whose padded queries are one vector."""
    size, q, rows = 4, queries(*grid), tables(4, 4, 4)
    inside = tuple(slice(side) for side in grid)
    whole = PAD.view(1, 2, 1, 1, 1, E).repeat(1, 1, size, size, size, 1)
    whole[(slice(None), slice(None), *inside)] = q
    bias = sammed3d_bias(whole, rows, PAD)[(slice(None), slice(None), *inside)]
    padded = torch.ones(size, size, size, dtype=torch.bool)
    padded[inside] = False
    expected = bias.flatten(-3)[..., padded.flatten()].logsumexp(-1)
    assert torch.allclose(sammed3d_log_mass(q, rows, PAD, (size,) * 3), expected, atol=1e-12)


def test_the_bias_within_a_cut_window_is_that_of_the_padded_one() -> None:
    grid, size = (2, 3, 4), 4
    inside = tuple(slice(side) for side in grid)
    q, rows = queries(*grid), tables(size, size, size)
    whole = PAD.view(1, 2, 1, 1, 1, E).repeat(1, 1, size, size, size, 1)
    whole[(slice(None), slice(None), *inside)] = q
    expected = sammed3d_bias(whole, rows, PAD)[(slice(None), slice(None), *inside, *inside)]
    assert torch.allclose(sammed3d_bias(q, rows, PAD), expected, atol=1e-12)


@pytest.mark.parametrize("name", POSITIONS)
def test_large_logits_do_not_overflow(name: str) -> None:
    q, rows = 500 * queries(2, 2, 2), tables(4, 4, 4)
    mass = POSITIONS[name].log_mass(q.float(), [t.float() for t in rows], PAD.float(), (4, 4, 4))
    assert bool(mass.isfinite().all())
    assert float(mass.max()) > 100  # exp of 89 overflows in fp32
