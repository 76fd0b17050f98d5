"""The cross block, and what is kept of a support, equal the published form."""

import pytest
import torch
from torch import Tensor

from fmtutor.nets.cross_block import CrossBlock, enter, first_of, look_at, remembered
from tests.nets.test_cross_conv import drawn, relative, seeded

GRIDS = [(3, 7), (8, 6), (3, 4, 5)]


def block(grid: tuple[int, ...], *, activation: bool, query: int = 3) -> CrossBlock:
    made = drawn(CrossBlock(query, 2, 4, dims=len(grid), activation=activation))
    assert isinstance(made, CrossBlock)
    return made


def halves(supports: int, grid: tuple[int, ...], batch: int = 2) -> tuple[Tensor, Tensor]:
    images = seeded(batch, supports, 1, *grid, seed=1)
    return images, (seeded(batch, supports, 1, *grid, seed=2) > 0).double()


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("supports", "chunk"), [(1, 8), (5, 2), (5, 5), (9, 8)])
def test_any_chunk_gives_the_published_values_and_gradients(
    grid: tuple[int, ...], activation: bool, supports: int, chunk: int
) -> None:
    net = block(grid, activation=activation)
    query = seeded(2, 3, *grid).requires_grad_()
    support = torch.cat(halves(supports, grid), 2).requires_grad_()
    weights = seeded(2, 4, *grid, seed=3), seeded(2, supports, 4, *grid, seed=4)
    found = []
    for fast in (False, True):
        if fast:
            new, parts = net(query, support.split(chunk, 1))
            assert [part.shape[1] for part in parts] == [
                part.shape[1] for part in support.split(chunk, 1)
            ]
            out = torch.cat(parts, 1)
        else:
            new, out = net.plain(query, support)
        loss = (new * weights[0]).sum() + (out * weights[1]).sum()
        inputs = (query, support, *net.parameters())
        found.append((new.detach(), out.detach(), *torch.autograd.grad(loss, inputs)))
    for plain, ours in zip(*found, strict=True):
        assert relative(ours, plain) < 1e-13


@pytest.mark.parametrize("activation", [False, True])
def test_the_last_block_makes_no_supports_and_the_same_query(activation: bool) -> None:
    net = block((6, 5), activation=activation)
    query, support = seeded(2, 3, 6, 5), torch.cat(halves(5, (6, 5)), 2)
    new, parts = net(query, support.split(2, 1), last=True)
    assert parts == []
    assert relative(new, net.plain(query, support)[0]) < 1e-13


def test_a_block_without_activation_needs_the_mean_support_alone() -> None:
    net = block((6, 5), activation=False)
    query, support = seeded(2, 3, 6, 5), torch.cat(halves(5, (6, 5)), 2)
    assert relative(net.of_mean(query, support.mean(1)), net.plain(query, support)[0]) < 1e-13


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("stored", [False, True], ids=["made on the way", "remembered"])
def test_the_first_block_equals_the_published_one(
    grid: tuple[int, ...], activation: bool, stored: bool
) -> None:
    net = block(grid, activation=activation, query=1)
    query, (images, masks) = seeded(2, 1, *grid).requires_grad_(), halves(5, grid)
    weights = seeded(2, 4, *grid, seed=3), seeded(2, 5, 4, *grid, seed=4)
    found = []
    for fast in (False, True):
        if fast:
            memory = look_at(images, masks, chunk=2)
            kept: list[Tensor] = []
            new = enter(net, query, remembered(net, memory) if stored else memory, keep=kept.append)
            assert [part.shape[1] for part in kept] == [2, 2, 1]
            out = torch.cat(kept, 1)
        else:
            new, out = net.plain(query, torch.cat([images, masks], 2))
        loss = (new * weights[0]).sum() + (out * weights[1]).sum()
        inputs = (query, *net.parameters())
        found.append((new.detach(), out.detach(), *torch.autograd.grad(loss, inputs)))
    for plain, ours in zip(*found, strict=True):
        assert relative(ours, plain) < 1e-13


@pytest.mark.parametrize("activation", [False, True])
def test_one_support_serves_every_query(activation: bool) -> None:
    net = block((6, 5), activation=activation, query=1)
    query, (images, masks) = seeded(3, 1, 6, 5), halves(5, (6, 5), batch=1)
    memory, kept = look_at(images, masks, chunk=2), []
    new = enter(net, query, memory, keep=kept.append)
    support = torch.cat([images, masks], 2).expand(3, -1, -1, -1, -1)
    plain, out = net.plain(query, support)
    assert relative(new, plain) < 1e-13
    assert relative(torch.cat(kept, 1), out) < 1e-13


def test_a_memory_is_not_changed_by_the_queries_that_use_it() -> None:
    for activation in (False, True):
        net = block((6, 5), activation=activation, query=1)
        memory = remembered(net, look_at(*halves(5, (6, 5)), chunk=2))
        assert memory.first is not None
        before = [part.detach().clone() for part in (*memory.supports, *memory.first)]
        with torch.no_grad():
            enter(net, seeded(2, 1, 6, 5), memory, keep=lambda new: new.zero_())
        for old, new in zip(before, (*memory.supports, *memory.first), strict=True):
            assert torch.equal(old, new)


def test_what_is_remembered_does_not_depend_on_the_query_and_has_a_size() -> None:
    net = block((6, 5), activation=False, query=1)
    memory = look_at(*halves(5, (6, 5)), chunk=2)
    stored = remembered(net, memory)
    assert (memory.count, stored.count) == (5, 5)
    assert memory.bytes == 8 * 2 * (5 + 1) * 2 * 30
    assert stored.bytes == memory.bytes + 8 * 2 * 5 * 4 * 30
    assert stored.first is not None
    for own, chunk in zip(stored.first, memory.supports, strict=True):
        assert torch.equal(own, first_of(net, chunk))


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ((2, 0, 1, 6, 5), (2, 0, 1, 6, 5)),
        ((2, 3, 1, 6, 5), (2, 4, 1, 6, 5)),
        ((2, 3, 1, 6, 5), (2, 3, 1, 6, 6)),
        ((2, 3, 6, 5), (2, 3, 6, 5)),
    ],
    ids=["no support", "a mask too many", "another grid", "the channel left out"],
)
def test_supports_that_do_not_fit_are_refused(
    images: tuple[int, ...], masks: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"must both be \(B, S, 1, \*grid\) with S >= 1.*one mask"):
        look_at(torch.zeros(images), torch.zeros(masks), chunk=8)


def test_an_empty_chunk_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0; 8 is a good size"):
        look_at(*halves(2, (6, 5)), chunk=0)
