"""Attention within windows: the padding in closed form against padding as tokens."""

import math

import pytest
import torch
from torch import Tensor

from fmtutor.nets.relative_positions import by_distance
from fmtutor.nets.window_attention import WindowAttention, join, split, window_groups
from tests.golden.recipe import drawn

CASES = [
    ("correct", (5, 7), (4, 3)),
    ("correct", (8, 6), (4, 3)),
    ("correct", (3, 5), (8, 6)),
    ("correct", (3, 4, 5), (4, 4, 4)),
    ("correct", (5, 2, 7), (3, 4, 2)),
    ("none", (5, 7), (4, 3)),
    ("none", (3, 4, 5), (4, 4, 4)),
    ("sammed3d", (3, 3, 3), (5, 5, 5)),
    ("sammed3d", (2, 4, 3), (4, 4, 4)),
    ("sammed3d", (5, 7, 4), (4, 4, 4)),
]
"""Positions, grid, window: padded along some axes, all or none; windows cut short and whole."""


def attention(
    positions: str, reach: tuple[int, ...], *, windowed: bool = True, features: int = 12
) -> WindowAttention:
    """Return attention of two heads in fp64 whose every parameter matters."""
    module = WindowAttention(features, 2, reach=reach, windowed=windowed, positions=positions)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(2 * drawn(name, value.shape))
    return module.double()


def tokens(*shape: int) -> Tensor:
    return drawn("tokens", (*shape[:-1], 1, shape[-1])).reshape(shape).double() * shape[-1] ** 0.5


@pytest.mark.parametrize(("positions", "grid", "window"), CASES)
def test_the_closed_form_equals_padding_as_tokens(
    positions: str, grid: tuple[int, ...], window: tuple[int, ...]
) -> None:
    module, x = attention(positions, window), tokens(2, *grid, 12)
    with torch.no_grad():
        ours, plain = module(x), module.plain(x)
    assert ours.shape == x.shape
    assert float((ours - plain).abs().max() / plain.abs().max()) < 1e-12


@pytest.mark.parametrize(("positions", "grid", "window"), CASES)
def test_the_closed_form_has_the_same_gradients(
    positions: str, grid: tuple[int, ...], window: tuple[int, ...]
) -> None:
    module, x = attention(positions, window), tokens(2, *grid, 12).requires_grad_()
    weights = tokens(2, *grid, 12).flip(0)
    wanted = [x, *module.parameters()]
    pairs = zip(
        torch.autograd.grad((module(x) * weights).sum(), wanted),
        torch.autograd.grad((module.plain(x) * weights).sum(), wanted),
        strict=True,
    )
    for ours, plain in pairs:
        assert float((ours - plain).abs().max()) <= 1e-11 * max(float(plain.abs().max()), 1)


def test_padding_changes_the_answer() -> None:
    module, x = attention("correct", (4, 4)), tokens(1, 3, 3, 12)
    alone = module.proj(module._attend(module.qkv(x), (3, 3)))
    assert float((module(x) - alone).detach().abs().max()) > 1e-3


def test_windows_do_not_see_each_other() -> None:
    module, x = attention("correct", (3, 4)), tokens(1, 7, 8, 12)
    changed = x.clone()
    changed[:, 3:6, 4:] += 1
    moved = (module(changed) - module(x)).detach().abs().amax(-1)[0] > 1e-9
    expected = torch.zeros(7, 8, dtype=torch.bool)
    expected[3:6, 4:] = True
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("grid", [(3, 5), (2, 3, 4)])
def test_attention_by_loops_over_pairs_is_the_same(grid: tuple[int, ...]) -> None:
    """The definition, pair by pair: a swapped axis shows, as no two sides are alike."""
    module = attention("correct", grid, windowed=False, features=6)
    x = tokens(1, *grid, 6)
    places = [tuple(p) for p in torch.cartesian_prod(*map(torch.arange, grid)).tolist()]
    parts = module.qkv(x).detach().unflatten(-1, (3, 2, 3))
    expected = torch.zeros_like(x)
    for head in range(2):
        q, k, v = parts[0, ..., 0, head, :], parts[0, ..., 1, head, :], parts[0, ..., 2, head, :]
        for at in places:
            logits = []
            for key in places:
                rows = [
                    table[at[axis] - key[axis] + grid[axis] - 1]
                    for axis, table in enumerate(module.relative)
                ]
                logits.append(q[at] @ k[key] / math.sqrt(3) + sum(q[at] @ row for row in rows))
            share = torch.stack(logits).softmax(0)
            values = torch.stack([v[key] for key in places])
            expected[0][at][3 * head : 3 * head + 3] = (share @ values).detach()
    assert torch.allclose(module(x), module.proj(expected), atol=1e-12)


def test_the_whole_grid_may_be_smaller_than_the_tables_reach() -> None:
    module, x = attention("correct", (6, 6), windowed=False), tokens(1, 3, 4, 12)
    small = attention("correct", (3, 4), windowed=False)
    with torch.no_grad():
        small.load_state_dict(
            module.state_dict()
            | {"relative.0": module.relative[0][3:8], "relative.1": module.relative[1][2:9]}
        )
    assert torch.allclose(module(x), small(x), atol=1e-12)


def test_a_shift_of_the_tokens_shifts_the_answer() -> None:
    """Relative positions know differences alone: equal windows give equal answers."""
    module, x = attention("correct", (4, 3)), tokens(1, 4, 3, 12)
    tiled = module(x.repeat(1, 2, 3, 1))
    for row in range(2):
        for column in range(3):
            part = tiled[:, 4 * row : 4 * row + 4, 3 * column : 3 * column + 3]
            assert torch.allclose(part, module(x), atol=1e-12)


@pytest.mark.parametrize("reach", [(4, 4), (4, 4, 5)])
def test_the_index_of_sam_med3d_needs_a_cube(reach: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="need a cube"):
        WindowAttention(12, 2, reach=reach, windowed=True, positions="sammed3d")


def test_an_unknown_way_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown positions 'corect'.*correct"):
        WindowAttention(12, 2, reach=(4, 4), windowed=True, positions="corect")


def test_a_grid_beyond_the_tables_is_refused() -> None:
    module = attention("correct", (3, 3), windowed=False)
    with pytest.raises(ValueError, match="reach 3 tokens along an axis, got 4"):
        module(tokens(1, 3, 4, 12))
    assert by_distance(module.relative[0], 3, 3).shape == (3, 3, 6)


@pytest.mark.parametrize(("grid", "window"), [((6, 4), (3, 2)), ((4, 6, 2), (2, 3, 2))])
def test_joining_undoes_splitting(grid: tuple[int, ...], window: tuple[int, ...]) -> None:
    x = torch.arange(2 * math.prod(grid) * 3.0).reshape(2, *grid, 3)
    windows = split(x, window)
    assert windows.shape == (2 * math.prod(grid) // math.prod(window), *window, 3)
    first = tuple(slice(side) for side in window)
    assert torch.equal(windows[0], x[(0, *first)])
    assert torch.equal(join(windows, window, x.shape), x)


@pytest.mark.parametrize("grid", [(8, 8), (7, 9), (3, 20, 5)])
def test_the_groups_of_windows_cover_every_token_once(grid: tuple[int, ...]) -> None:
    seen = torch.zeros(grid, dtype=torch.int)
    for part, sides in window_groups(grid, (4,) * len(grid)):
        seen[part] += 1
        found = seen[part].shape
        assert all(size % side == 0 for size, side in zip(found, sides, strict=True))
    assert bool((seen == 1).all())
