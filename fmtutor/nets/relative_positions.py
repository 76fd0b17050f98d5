"""Decomposed relative positions, and the mass of padded keys in closed form.

SAM adds to each attention logit one term per axis, read from a table by the distance of query and
key along that axis. A padded key is all zero before the linear layer, so every padded key has the
same vector (the bias) and its logit differs from that of another one by its position alone. Since
the position's part is a sum over axes, its exponential is a product, and the sum over a box of
padded keys is a product of one-dimensional sums. All padding of a window then becomes one key.

Shapes: q (B, heads, *grid, e) unscaled queries of the real tokens of a window, tables one
(2 n - 1, e) per axis, window the sides that the tokens were padded to.

Source: Kirillov et al., "Segment Anything", ICCV 2023 (decomposed positions: Li et al., "MViTv2",
CVPR 2022); the index of `sammed3d_*` is that of the released SAM-Med3D code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Queries = Float[Tensor, "B heads *grid e"]
Tables = Sequence[Float[Tensor, "_ e"]]


def by_distance(table: Tensor, queries: int, keys: int) -> Float[Tensor, "queries keys e"]:
    """Return a table's rows for every pair of positions along one axis.

    Raises:
        ValueError: The table is too short for the distances that occur.
    """
    reach = (len(table) + 1) // 2
    if max(queries, keys) > reach:
        raise ValueError(
            f"the relative positions reach {reach} tokens along an axis, got {max(queries, keys)}; "
            "build the network for a larger image, or embed a smaller one."
        )
    at = torch.arange(queries)[:, None] - torch.arange(keys)[None] + reach - 1
    return table[at.to(table.device)]


def axis_terms(q: Queries, tables: Tables, keys: Sequence[int]) -> list[Tensor]:
    """Return for each axis what a query adds for each key position: (B, heads, *grid, keys)."""
    terms = []
    for axis, (table, size) in enumerate(zip(tables, keys, strict=True)):
        rows = by_distance(table, q.shape[2 + axis], size)  # (queries, keys, e)
        moved = q.movedim(2 + axis, -2)  # the axis in question next to the features
        terms.append(torch.einsum("...qe,qke->...qk", moved, rows).movedim(-2, 2 + axis))
    return terms


def correct_bias(q: Queries, tables: Tables, q_pad: Tensor) -> Tensor:
    """Return what position adds to the logits, (B, heads, *grid, *grid): a sum over axes."""
    grid = q.shape[2:-1]
    total: Tensor | None = None
    for axis, term in enumerate(axis_terms(q, tables, grid)):
        shape = [1] * len(grid)
        shape[axis] = grid[axis]
        spread = term.reshape(*q.shape[:-1], *shape)
        total = spread if total is None else total + spread
    assert total is not None
    return total


def correct_log_mass(q: Queries, tables: Tables, q_pad: Tensor, window: Sequence[int]) -> Tensor:
    """Return log sum over the padded keys of exp(position), (B, heads, *grid).

    The padded keys are split by the first axis along which they lie outside, so that only positive
    parts are added and nothing cancels.
    """
    grid = q.shape[2:-1]
    terms = axis_terms(q, tables, window)
    inside = [t[..., :size].logsumexp(-1) for t, size in zip(terms, grid, strict=True)]
    whole = [term.logsumexp(-1) for term in terms]
    parts = []
    for axis, (term, size) in enumerate(zip(terms, grid, strict=True)):
        if size < window[axis]:
            outside = term[..., size:].logsumexp(-1)
            parts.append(sum(inside[:axis]) + outside + sum(whole[axis + 1 :]))
    return torch.stack(parts).logsumexp(0)


def sammed3d_bias(q: Queries, tables: Tables, q_pad: Tensor) -> Tensor:
    """Return the bias as SAM-Med3D's released code adds it, (B, heads, *grid, *grid).

    For query (h, w, d) and key (a, b, c) it adds q(h, w, d) R0[h, c] + q(h, w, a) R1[w, c]
    + q(h, w, b) R2[b, c], where R[i, j] is a table's row for the distance i - j. The published
    weights learnt with it. It has a meaning on cubes only; of a window that the grid's end cuts
    short, a third index beyond the real tokens reads the query of a padded one.
    """
    height, width, depth = q.shape[2:-1]
    full = _filled_up(q, q_pad, max(height, width, depth))
    first, second, third = _sammed3d_terms(q, tables, full)
    return (
        first[..., :depth][:, :, :, :, :, None, None, :]
        + second[..., :height, :depth][:, :, :, :, None, :, None, :]
        + third[..., :width, :depth][:, :, :, :, None, None, :, :]
    )


def sammed3d_log_mass(q: Queries, tables: Tables, q_pad: Tensor, window: Sequence[int]) -> Tensor:
    """Return `correct_log_mass` for the index of `sammed3d_bias`.

    All terms share the key's column c; given c the rest is a product over a and b. A term reads
    the query at (h, w, a), which for a outside of the image is the padded query itself.
    """
    height, width, depth = q.shape[2:-1]
    first, second, third = _sammed3d_terms(q, tables, _filled_up(q, q_pad, window[2]))
    whole_a, whole_b = second.logsumexp(-2), third.logsumexp(-2)  # (B, heads, h, w, c)
    in_a = second[..., :height, :].logsumexp(-2)
    out_a, out_b = second[..., height:, :].logsumexp(-2), third[..., width:, :].logsumexp(-2)
    rest = torch.logaddexp(out_a + whole_b, in_a + out_b)  # a outside; or a inside and b outside
    beyond = torch.arange(window[2], device=q.device) >= depth
    column = torch.where(beyond, whole_a + whole_b, rest)
    return (first + column.unsqueeze(-2)).logsumexp(-1)


def _filled_up(q: Queries, q_pad: Tensor, size: int) -> Tensor:
    """Return the queries and padded ones behind them, ``size`` in all along the last axis."""
    pad = q_pad.view(1, q.shape[1], 1, 1, 1, -1)
    return torch.cat([q, pad.expand(*q.shape[:4], size - q.shape[-2], -1)], -2)


def _sammed3d_terms(q: Queries, tables: Tables, full: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the three terms over key columns c: (.., h, w, d, c), (.., h, w, a, c), (.., b, c)."""
    height, width, _ = q.shape[2:-1]
    size = full.shape[-2]
    first = torch.einsum("nmhwde,hce->nmhwdc", q, by_distance(tables[0], height, size))
    second = torch.einsum("nmhwae,wce->nmhwac", full, by_distance(tables[1], width, size))
    third = torch.einsum("nmhwbe,bce->nmhwbc", full, by_distance(tables[2], size, size))
    return first, second, third


@dataclass(frozen=True)
class Positions:
    """One way to index relative positions: its bias, and the mass of padded keys."""

    bias: Callable[[Tensor, Tables, Tensor], Tensor]
    log_mass: Callable[[Tensor, Tables, Tensor, Sequence[int]], Tensor]


POSITIONS = {
    "correct": Positions(correct_bias, correct_log_mass),
    "sammed3d": Positions(sammed3d_bias, sammed3d_log_mass),
}
"""Name to the way; "sammed3d" is what the published SAM-Med3D weights need."""
