"""Attention over a grid of tokens, whole or in windows, with relative positions: 2D and 3D.

SAM pads the tokens to whole windows after the norm, and the padded tokens take part in the
softmax. `WindowAttention.plain` does just that; `WindowAttention.forward` computes the same answer
from the real tokens alone, with one more key that stands for all padding
(`fmtutor.nets.relative_positions`). SAM-Med3D pads 8^3 tokens to 14^3 in 8 of its 12 blocks, so
there the plain form spends 29 times the attention.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.tables import lookup
from fmtutor.nets.relative_positions import POSITIONS

Tokens = Float[Tensor, "B *grid E"]


class WindowAttention(nn.Module):
    """Multi-head self-attention with decomposed relative positions.

    Args:
        features: Features of a token (E); a multiple of ``heads``.
        heads: Attention heads.
        reach: Tokens along each axis that the position tables cover: the window, or the grid.
        windowed: Whether attention stays within windows of size ``reach``.
        positions: A key of `fmtutor.nets.relative_positions.POSITIONS`, or "none".
    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        reach: Sequence[int],
        windowed: bool,
        positions: str = "correct",
    ) -> None:
        super().__init__()
        self.heads, self.reach, self.windowed = heads, tuple(reach), windowed
        self.positions = None if positions == "none" else lookup(POSITIONS, positions, "positions")
        if positions == "sammed3d" and (len(self.reach) != 3 or len(set(self.reach)) != 1):
            raise ValueError(
                f"positions 'sammed3d' need a cube, got {self.reach}; use 'correct' elsewhere."
            )
        self.qkv = nn.Linear(features, 3 * features)
        self.proj = nn.Linear(features, features)
        tables = () if self.positions is None else self.reach
        self.relative = nn.ParameterList(
            nn.Parameter(torch.zeros(2 * size - 1, features // heads)) for size in tables
        )

    def forward(self, x: Tokens) -> Tokens:
        """Return the attended tokens; padding counts as in `plain` but is never computed."""
        if not self.windowed:
            return self.proj(self._attend(self.qkv(x), x.shape[1:-1]))
        qkv, out = self.qkv(x), torch.empty_like(x)
        for part, sides in window_groups(x.shape[1:-1], self.reach):
            region = (slice(None), *part)
            windows = split(qkv[region], sides)
            answer = self._attend(windows, self.reach)
            out[region] = join(answer, sides, out[region].shape)
        return self.proj(out)

    def plain(self, x: Tokens) -> Tokens:
        """Return the same, with padded tokens as tokens: the published form."""
        if not self.windowed:
            return self.proj(self._attend(self.qkv(x), x.shape[1:-1]))
        grid = x.shape[1:-1]
        missing = [-size % side for size, side in zip(grid, self.reach, strict=True)]
        ends = [amount for size in reversed(missing) for amount in (0, size)]
        padded = functional.pad(x, (0, 0, *ends))
        windows = self._attend(self.qkv(split(padded, self.reach)), self.reach)
        whole = join(self.proj(windows), self.reach, padded.shape)
        return whole[(slice(None), *(slice(size) for size in grid))]

    def _attend(self, qkv: Tensor, window: Sequence[int]) -> Tensor:
        """Attend within qkv (B, *grid, 3 E), padded in thought up to ``window``."""
        grid = qkv.shape[1:-1]
        q, k, v = self._per_head(qkv)  # (B, heads, *grid, e)
        pad_q, pad_k, pad_v = self.qkv.bias.view(3, self.heads, -1)
        keys, values, bias = k.flatten(2, -2), v.flatten(2, -2), None
        tables = list(self.relative)
        if self.positions is not None:
            bias = self.positions.bias(q, tables, pad_q)
            bias = bias.flatten(2, 1 + len(grid)).flatten(3)  # (B, heads, N, N)
        if tuple(grid) != tuple(window):
            if self.positions is None:
                mass = q.new_full(q.shape[:-1], math.log(_padded(grid, window)))
            else:
                mass = self.positions.log_mass(q, tables, pad_q, window)
            keys, values = _with_one_more(keys, pad_k), _with_one_more(values, pad_v)
            if bias is None:
                bias = q.new_zeros(*q.shape[:2], q[0, 0, ..., 0].numel(), keys.shape[2] - 1)
            bias = torch.cat([bias, mass.flatten(2).unsqueeze(-1)], -1)
        out = functional.scaled_dot_product_attention(
            q.flatten(2, -2), keys, values, attn_mask=None if bias is None else bias.to(q.dtype)
        )
        return out.transpose(1, 2).reshape(*qkv.shape[:-1], -1)

    def _per_head(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = qkv.unflatten(-1, (3, self.heads, -1))  # (B, *grid, 3, heads, e)
        q, k, v = parts.movedim(-3, 0).movedim(-2, 2)
        return q, k, v


def window_groups(
    grid: Sequence[int], window: Sequence[int]
) -> Iterator[tuple[tuple[slice, ...], tuple[int, ...]]]:
    """Yield the parts of a grid whose windows hold equally many real tokens.

    Along an axis those are the full windows, and the last one if it is cut short.

    Yields:
        The part's slices, and the real tokens of its windows along each axis.

    Example:
        >>> [sides for _, sides in window_groups((8, 28), (14, 14))]
        [(8, 14)]
    """
    along = []
    for size, side in zip(grid, window, strict=True):
        full = size - size % side
        pieces = [(slice(0, full), side), (slice(full, size), size - full)]
        along.append([(where, length) for where, length in pieces if where.stop > where.start])
    for group in product(*along):
        yield tuple(where for where, _ in group), tuple(length for _, length in group)


def split(x: Tensor, sides: Sequence[int]) -> Tensor:
    """Cut tokens (B, *grid, E) into windows (B * windows, *sides, E)."""
    grid = x.shape[1:-1]
    cut = [n for size, side in zip(grid, sides, strict=True) for n in (size // side, side)]
    dims = len(grid)
    order = [0, *range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2), 2 * dims + 1]
    return x.reshape(len(x), *cut, x.shape[-1]).permute(order).reshape(-1, *sides, x.shape[-1])


def join(windows: Tensor, sides: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Undo `split`: windows back to tokens of ``shape`` (B, *grid, E)."""
    grid, dims = shape[1:-1], len(sides)
    counts = [size // side for size, side in zip(grid, sides, strict=True)]
    order = [0, *(n for axis in range(dims) for n in (1 + axis, 1 + dims + axis)), 2 * dims + 1]
    x = windows.reshape(shape[0], *counts, *sides, windows.shape[-1]).permute(order)
    return x.reshape(*shape[:-1], windows.shape[-1])


def _with_one_more(rows: Tensor, vector: Tensor) -> Tensor:
    """Append one key or value, given per head (heads, e), to rows (B, heads, N, e)."""
    return torch.cat([rows, vector[None, :, None].expand(len(rows), -1, 1, -1).to(rows)], 2)


def _padded(grid: Sequence[int], window: Sequence[int]) -> int:
    """Return how many tokens of a window are padding."""
    return math.prod(window) - math.prod(grid)
