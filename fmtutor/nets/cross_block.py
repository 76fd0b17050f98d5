"""The cross block, and what a network of them remembers of a support set.

A block takes a query and its supports one level further:

    z_i = CrossConv(u, v_i),
    u'  = LeakyReLU(Conv_q(mean_i z_i)),
    v_i' = LeakyReLU(Conv_s(z_i)).

Supports come in chunks: the mean is a running sum, so nothing but the outputs that are needed later
ever exists for all supports at once. Source: Butoi et al., ICCV 2023, equations 4 and 5.
Taught in: 07
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.cross_conv import (
    SLOPE,
    ConvLayer,
    CrossConv,
    Query,
    Supports,
    chunks,
    composed,
    each,
)

CHUNK = 8
"""Supports that are in work at once; any number gives the same answer."""


class CrossBlock(nn.Module):
    """A CrossConv with a convolution for the query and another for the supports.

    Args:
        query_channels: Channels of the query that comes in.
        support_channels: Channels of each support that comes in.
        features: Channels of everything that goes out.
        dims: 2 or 3 spatial axes.
        activation: Whether a LeakyReLU follows the CrossConv.
    """

    def __init__(
        self,
        query_channels: int,
        support_channels: int,
        features: int,
        *,
        dims: int = 2,
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.cross = CrossConv(
            query_channels, support_channels, features, dims=dims, activation=activation
        )
        self.target = ConvLayer(features, features, dims=dims)
        self.support = ConvLayer(features, features, dims=dims)

    def forward(
        self, query: Query, supports: Sequence[Supports], *, last: bool = False
    ) -> tuple[Query, list[Supports]]:
        """Return the new query and, chunk by chunk, the new supports.

        Args:
            query: (B, C, *grid).
            supports: Chunks (B, s, C', *grid), asked for one at a time.
            last: Only the query leaves the block, so the supports' own convolution is left out.
        """
        mean, out = self.meet(query, supports, last=last)
        return self.target(mean), out

    def meet(
        self, query: Query, supports: Sequence[Supports], *, last: bool = False
    ) -> tuple[Query, list[Supports]]:
        """Return the mean of the z_i and, chunk by chunk, the new supports (see `forward`)."""
        shared, total, count, out = self.cross.of_query(query)[:, None], 0, 0, []
        for index in range(len(supports)):
            chunk = supports[index]
            z = shared + each(self.cross.of_support, chunk)
            z = functional.leaky_relu(z, SLOPE, inplace=True) if self.cross.activation else z
            total, count = total + z.sum(1), count + chunk.shape[1]
            if not last:
                out.append(self.support.each(z))
        return total / count, out

    def of_mean(self, query: Query, mean_support: Query) -> Query:
        """Return the new query from the mean support alone: exact without an activation."""
        return self.target(self.cross.of_query(query) + self.cross.of_support(mean_support))

    def plain(self, query: Query, support: Supports) -> tuple[Query, Supports]:
        """Return the new query and supports in the published form."""
        z = self.cross.plain(query, support)
        return self.target(z.mean(1)), self.support.each(z)


@dataclass(frozen=True, eq=False, kw_only=True)
class Memory:
    """A support set as a network looks at it: in chunks, with what no query can change."""

    supports: tuple[Tensor, ...]
    """Chunks (b, s, 2, *grid): image and mask; b is 1 where all queries share the support."""
    mean: Tensor
    """(b, 2, *grid), their mean."""
    first: tuple[Tensor, ...] | None = None
    """What the first block makes of each chunk before it meets a query; None: made on the way."""

    @property
    def count(self) -> int:
        """S, the number of supports."""
        return sum(chunk.shape[1] for chunk in self.supports)

    @property
    def bytes(self) -> int:
        """Size of everything held."""
        held = (*self.supports, self.mean, *(self.first or ()))
        return sum(tensor.nbytes for tensor in held)


def look_at(images: Supports, masks: Supports, *, chunk: int) -> Memory:
    """Cut a support set into chunks.

    Args:
        images: (B, S, 1, *grid).
        masks: (B, S, 1, *grid).
        chunk: Supports per chunk.

    Raises:
        ValueError: There is no support, the shapes differ, or a chunk would be empty.
    """
    if images.shape != masks.shape or images.dim() < 5 or images.shape[1] < 1:
        raise ValueError(
            f"support images and masks must both be (B, S, 1, *grid) with S >= 1, got "
            f"{tuple(images.shape)} and {tuple(masks.shape)}; give one mask per image."
        )
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}; 8 is a good size.")
    support = torch.cat([images, masks.to(images.dtype)], 2)
    parts = tuple(support[:, part] for part in chunks(support.shape[1], chunk))
    return Memory(supports=parts, mean=support.mean(1))


def first_of(block: CrossBlock, chunk: Supports) -> Supports:
    """Return what the first block makes of a chunk before it meets a query.

    Without an activation this is both convolutions of the support path in one; with one, only
    the support half of the CrossConv is free of the query.
    """
    if block.cross.activation:
        return each(block.cross.of_support, chunk)
    return each(lambda pairs: composed(block.cross, block.support, pairs), chunk)


def remembered(block: CrossBlock, memory: Memory) -> Memory:
    """Return the memory with the first block's part stored, for repeated queries."""
    return replace(memory, first=tuple(first_of(block, chunk) for chunk in memory.supports))


def enter(
    block: CrossBlock, query: Query, memory: Memory, *, keep: Callable[[Supports], None]
) -> Query:
    """Run the first block; each chunk of new supports goes to ``keep`` and is not stored here.

    Args:
        block: The first block of a network.
        query: (B, C, *grid).
        memory: Of B support sets, or of one that all queries share.
        keep: Called with chunks (B, s, E, *grid), in order.

    Returns:
        The new query.
    """
    if memory.first is None and memory.count == 1:  # nothing to share: one pair is met as it is
        new, (support,) = block(query, memory.supports)
        keep(support)
        return new
    shared, total = block.cross.of_query(query), 0
    linear = not block.cross.activation
    ahead = block.support.linear(shared, bias=False)[:, None] if linear else shared[:, None]
    for index, chunk in enumerate(memory.supports):
        own = memory.first[index] if memory.first is not None else first_of(block, chunk)
        z = functional.leaky_relu(ahead + own, SLOPE, inplace=True)
        if linear:  # z is already the new support: Conv_s ran on both halves apart
            keep(z)
        else:
            total = total + z.sum(1)
            keep(block.support.each(z))
    mean = shared + block.cross.of_support(memory.mean) if linear else total / memory.count
    return block.target(mean)
