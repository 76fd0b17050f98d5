"""Regions, protocols and vocabularies: what a class means, to whom, and which channel it has.

A *region* is a named set of structures that one protocol draws as one class: "liver" is
{liver, liver_lesion} to one hospital and {liver} to the next. A *protocol* is the tuple of regions
that a dataset annotates. A *vocabulary* lays the regions of several protocols out as channels:
one per name (FSEFT, CLIP-Driven), or one per protocol and name (MultiTalent).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Region:
    """A class under one protocol."""

    name: str
    structures: frozenset[str]

    @classmethod
    def of(cls, name: str, *structures: str) -> "Region":
        """Return a region; without structures it is the structure of its own name."""
        return cls(name, frozenset(structures or (name,)))


@dataclass(frozen=True)
class Protocol:
    """The regions that one dataset annotates, in its own order."""

    name: str
    regions: tuple[Region, ...]

    def __post_init__(self) -> None:
        names = [region.name for region in self.regions]
        if len(set(names)) < len(names):
            raise ValueError(
                f"protocol {self.name!r} names a region twice: {names}; names must differ."
            )

    def region(self, name: str) -> Region | None:
        """Return the region of this name, or None where the protocol does not annotate it."""
        return next((region for region in self.regions if region.name == name), None)


@dataclass(frozen=True)
class Channel:
    """One output channel: a region name, and the protocol it belongs to (None: shared by all)."""

    name: str
    protocol: str | None = None


@dataclass(frozen=True)
class Vocabulary:
    """The classes of a system, as channels, with the protocols that teach them."""

    channels: tuple[Channel, ...]
    protocols: tuple[Protocol, ...]

    @classmethod
    def shared(cls, protocols: Sequence[Protocol]) -> "Vocabulary":
        """One channel per region name; protocols that use a name share its channel."""
        names = dict.fromkeys(region.name for protocol in protocols for region in protocol.regions)
        return cls(tuple(Channel(name) for name in names), tuple(protocols))

    @classmethod
    def per_protocol(cls, protocols: Sequence[Protocol]) -> "Vocabulary":
        """One channel per (protocol, region): nothing is shared, so nothing contradicts."""
        channels = [Channel(r.name, p.name) for p in protocols for r in p.regions]
        return cls(tuple(channels), tuple(protocols))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels; protocol-bound ones read "protocol/name"."""
        return tuple(
            c.name if c.protocol is None else f"{c.protocol}/{c.name}" for c in self.channels
        )

    def __len__(self) -> int:
        return len(self.channels)

    def region(self, channel: Channel, task: int) -> Region | None:
        """Return what a channel means under protocol number ``task``; None where it is unknown."""
        protocol = self.protocols[task]
        if channel.protocol not in (None, protocol.name):
            return None
        return protocol.region(channel.name)

    def known(self, task: int) -> np.ndarray:
        """Return bool (L,): the channels that protocol number ``task`` annotates."""
        return np.array([self.region(channel, task) is not None for channel in self.channels])

    def lut(self, task: int, table: Mapping[int, str], size: int = 256) -> np.ndarray:
        """Return bool (L, size): whether a label id belongs to a channel under protocol ``task``.

        Args:
            task: Index of the protocol.
            table: Label id to structure name.
            size: One more than the largest label id.
        """
        out = np.zeros((len(self), size), dtype=bool)
        for row, channel in enumerate(self.channels):
            region = self.region(channel, task)
            for number, structure in table.items():
                out[row, number] = region is not None and structure in region.structures
        return out
