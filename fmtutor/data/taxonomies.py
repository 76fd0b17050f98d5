"""Class lists of published systems: channel order, their spelling, and what each channel means.

Channels of different systems are matched by structure, never by index: CLIP-Driven's channel 8 is
the inferior vena cava, and the same class has another place in every other list.
Files: ``tables/taxonomies/*.csv`` with channel, protocol, source_name, name, includes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import STRUCTURES, crosswalk, expand, read_table
from fmtutor.data.regions import Protocol, Region

TAXONOMIES: Mapping[str, str] = {
    "clip_driven": "CLIP-Driven Universal Model: 32 classes; its ids 1 to 32 are channels 0 to 31",
    "fseft": "FSEFT's foundation model: 29 classes",
    "multitalent": "MultiTalent: 47 classes, one per (dataset, region), nothing shared",
}
"""The class lists there are, with a line on each."""


@dataclass(frozen=True, kw_only=True)
class OutputClass:
    """One output channel of a published system."""

    channel: int
    """Index among the outputs, from 0."""
    protocol: str
    """The dataset it belongs to where channels are not shared, else ""."""
    source_name: str
    """The class as its authors spell it."""
    name: str
    """Canonical structure."""
    includes: tuple[str, ...]
    """Lesions that the class's region holds."""

    @property
    def region(self) -> Region:
        """The class as a region of structures."""
        lesions = (part for name in self.includes for part in expand(name, lesions=True))
        return Region.of(self.name, *expand(self.name), *lesions)


@cache
def taxonomy(name: str) -> tuple[OutputClass, ...]:
    """Return the classes of a published system in the order of its channels.

    Raises:
        ValueError: There is no such list, or its file breaks a rule.
    """
    lookup(TAXONOMIES, name, "taxonomy")
    rows = tuple(_output_class(row) for row in read_table(f"taxonomies/{name}.csv"))
    if [row.channel for row in rows] != list(range(len(rows))):
        raise ValueError(f"taxonomy {name!r}: channels must count 0, 1, 2, ...; reorder the file.")
    for row in rows:
        if wrong := [used for used in (row.name, *row.includes) if used not in STRUCTURES]:
            raise ValueError(
                f"taxonomy {name!r}: {wrong} are not canonical names; see structures.csv."
            )
    return rows


def _output_class(row: Mapping[str, str]) -> OutputClass:
    return OutputClass(
        channel=int(row["channel"]),
        protocol=row["protocol"],
        source_name=row["source_name"],
        name=row["name"],
        includes=tuple(row["includes"].split()),
    )


def protocols(name: str) -> tuple[Protocol, ...]:
    """Return a taxonomy as protocols: one per dataset where channels are not shared, else one."""
    groups: dict[str, list[Region]] = {}
    for row in taxonomy(name):
        groups.setdefault(row.protocol or name, []).append(row.region)
    return tuple(Protocol(protocol, tuple(regions)) for protocol, regions in groups.items())


def channel_map(name_from: str, name_to: str) -> dict[int, int]:
    """Match the channels of two systems that share one channel per structure.

    Returns:
        Channel of the first system to channel of the second, where both have the structure.

    Raises:
        ValueError: A system has several channels for one structure (MultiTalent), so that a match
            by structure alone does not exist.

    Example:
        >>> channel_map("fseft", "clip_driven")[3]
        3
    """
    ours, theirs = (
        {row.name: row.channel for row in _shared(name)} for name in (name_from, name_to)
    )
    return {ours[a]: theirs[b] for a, b in crosswalk(ours, theirs).items()}


def _shared(name: str) -> tuple[OutputClass, ...]:
    rows = taxonomy(name)
    if any(row.protocol for row in rows):
        raise ValueError(
            f"{name!r} has a channel per dataset and class; match within one protocol of it."
        )
    return rows
