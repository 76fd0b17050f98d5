"""Class lists of published systems: channel order, their spelling, and what each channel means.

Channels of different systems are matched by structure, never by index: CLIP-Driven's channel 8 is
the inferior vena cava, and the same class has another place in every other list.
Files: ``tables/taxonomies/*.csv`` with channel, protocol, source_name, name, includes. An empty
name marks an output that exists and that no training label ever reached: MOTS has one for the
colon, VISTA3D five for ids it has given up.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import (
    STRUCTURES,
    TOTALSEGMENTATOR_V2,
    canonical,
    crosswalk,
    expand,
    read_table,
)
from fmtutor.data.regions import Protocol, Region

TAXONOMIES: Mapping[str, str] = {
    "clip_driven": "CLIP-Driven Universal Model: 32 classes; its ids 1 to 32 are channels 0 to 31",
    "fseft": "FSEFT's foundation model: 29 classes",
    "multitalent": "MultiTalent: 47 classes, one per (dataset, region), nothing shared",
    "abdomen_atlas_9": "AbdomenAtlas 1.0: 9 classes; that organs hold their tumours is not stated",
    "abdomen_atlas_25": "AbdomenAtlas 1.1: the 9 of 1.0, then 16 more; not CLIP-Driven's order",
    "mots": "DoDNet on MOTS: 7 tasks of an organ and a tumour output; 3 of the 14 never annotated",
    "uniseg": "UniSeg: 11 tasks of 1 to 3 softmax classes, so an organ has no tumour in it; "
    "channels count through the tasks",
    "hermes": "Hermes: 71 tokens over 10 datasets; a token is one label value of its dataset, so "
    "an organ has no tumour in it. Orders are those of the datasets' label values. Confirmed: "
    "LiTS, KiTS, AMOS, BTCV, CHAOS (63, 126, 189, 252), M&Ms (1 LV, 2 myocardium, 3 RV), brain. "
    "StructSeg head: two users' label lists agree. Not confirmed: StructSeg thorax; MultiTalent "
    "and one user list it as here, another swaps the lungs, and trachea with oesophagus",
    "vista3d": "VISTA3D: ids 1 to 132 are channels 0 to 131; 127 are supported, 5 deprecated",
    "totalsegmentator": "TotalSegmentator v2: 117 classes; its ids 1 to 117 are channels 0 to 116",
}
"""The class lists there are, with a line on each: size, order, and where the order comes from."""

_LABEL_TABLES: Mapping[str, Mapping[int, str]] = {"totalsegmentator": TOTALSEGMENTATOR_V2}
"""Systems whose outputs are a label table, so that the list is kept once."""


@dataclass(frozen=True, kw_only=True)
class OutputClass:
    """One output channel of a published system."""

    channel: int
    """Index among the outputs, from 0."""
    protocol: str
    """The dataset or task it belongs to where channels are not shared, else ""."""
    source_name: str
    """The class as its authors spell it."""
    name: str
    """Canonical structure; "" where no training label ever reached this output."""
    includes: tuple[str, ...]
    """Structures beyond its anatomical parts that the class's region holds: lesions, mostly."""

    @property
    def annotated(self) -> bool:
        """Whether any training label reached this output; else what it predicts means nothing."""
        return bool(self.name)

    def region(self, siblings: Collection[str] = ()) -> Region:
        """Return the class as a region of structures.

        Args:
            siblings: Structures with a class of their own under the same protocol. They are no
                part of this one unless ``includes`` says so: TotalSegmentator's sacrum has no S1.

        Raises:
            ValueError: The output was never annotated, so that it has no meaning.
        """
        if not self.annotated:
            raise ValueError(
                f"output {self.source_name!r} (channel {self.channel}) was never annotated and "
                "has no region; leave out outputs whose `annotated` is False."
            )
        parts = (part for part in expand(self.name)[1:] if part not in siblings)
        extra = (part for name in self.includes for part in expand(name, lesions=True))
        return Region.of(self.name, self.name, *parts, *extra)


@cache
def taxonomy(name: str) -> tuple[OutputClass, ...]:
    """Return the classes of a published system in the order of its channels.

    Raises:
        ValueError: There is no such list, or its file breaks a rule.
    """
    lookup(TAXONOMIES, name, "taxonomy")
    rows = _label_rows(name) if name in _LABEL_TABLES else _file_rows(name)
    if [row.channel for row in rows] != list(range(len(rows))):
        raise ValueError(f"taxonomy {name!r}: channels must count 0, 1, 2, ...; reorder the file.")
    for row in rows:
        named = (row.name,) if row.annotated else ()
        if wrong := [used for used in (*named, *row.includes) if used not in STRUCTURES]:
            raise ValueError(
                f"taxonomy {name!r}: {wrong} are not canonical names; see structures.csv."
            )
    return rows


def _file_rows(name: str) -> tuple[OutputClass, ...]:
    return tuple(
        OutputClass(
            channel=int(row["channel"]),
            protocol=row["protocol"],
            source_name=row["source_name"],
            name=row["name"],
            includes=tuple(row["includes"].split()),
        )
        for row in read_table(f"taxonomies/{name}.csv")
    )


def _label_rows(name: str) -> tuple[OutputClass, ...]:
    return tuple(
        OutputClass(channel=number - 1, protocol="", source_name=label, name=label, includes=())
        for number, label in sorted(_LABEL_TABLES[name].items())
    )


def protocols(name: str) -> tuple[Protocol, ...]:
    """Return a taxonomy as protocols: one per dataset where channels are not shared, else one.

    Outputs that were never annotated are left out.
    """
    groups: dict[str, list[OutputClass]] = {}
    for row in taxonomy(name):
        if row.annotated:
            groups.setdefault(row.protocol or name, []).append(row)
    return tuple(Protocol(key, _regions(rows)) for key, rows in groups.items())


def _regions(rows: Iterable[OutputClass]) -> tuple[Region, ...]:
    rows = tuple(rows)
    siblings = {row.name for row in rows}
    return tuple(row.region(siblings) for row in rows)


def channel_map(name_from: str, name_to: str) -> dict[int, int]:
    """Match the channels of two systems by the structure they mean.

    Args:
        name_from: A system, or ``"system/protocol"`` where its channels are not shared.
        name_to: Another.

    Returns:
        Channel of the first system to channel of the second, where both have the structure.
        Outputs that were never annotated match nothing. Whether the two draw the structure alike
        (a liver with or without its tumours) is for `protocols` to say.

    Raises:
        ValueError: A system has several channels for one structure (MultiTalent) and no protocol
            is named, so that a match by structure alone does not exist.

    Example:
        >>> channel_map("fseft", "clip_driven")[3]
        3
        >>> channel_map("hermes/kits", "fseft")
        {3: 17}
    """
    ours, theirs = (
        {row.name: row.channel for row in _shared(name)} for name in (name_from, name_to)
    )
    return {ours[a]: theirs[b] for a, b in crosswalk(ours, theirs).items()}


def _shared(name: str) -> tuple[OutputClass, ...]:
    system, _, protocol = name.partition("/")
    rows = taxonomy(system)
    bound = {row.protocol: row.protocol for row in rows}
    if protocol:
        lookup(bound, protocol, f"protocol of {system}")
    elif bound.keys() != {""}:
        raise ValueError(
            f"{name!r} has a channel per dataset and class; match within one protocol of it, as in "
            f"'{name}/{rows[0].protocol}'."
        )
    return tuple(row for row in rows if row.annotated and row.protocol == protocol)


def coverage(names: Sequence[str]) -> dict[str, list[str]]:
    """Return which systems know each of some structures.

    A system knows a structure that is one of its classes, or all of whose parts it knows: the
    five lobes make the lungs. A class larger than the structure does not count.

    Args:
        names: Structures, any spelling.

    Returns:
        Canonical name to the systems that know it, in the order of `TAXONOMIES`.

    Raises:
        ValueError: A name is unknown.

    Example:
        >>> coverage(["celiac_trunk"])
        {'celiac_trunk': ['clip_driven', 'fseft', 'abdomen_atlas_25']}
    """
    known = {system: {row.name for row in taxonomy(system)} for system in TAXONOMIES}
    return {
        structure: [system for system, own in known.items() if _covers(own, structure)]
        for structure in map(canonical, names)
    }


def _covers(own: Collection[str], structure: str) -> bool:
    if structure in own:
        return True
    parts = [
        row.name
        for row in STRUCTURES.values()
        if row.part_of == structure and row.group != "lesion"
    ]
    return len(parts) > 1 and all(_covers(own, part) for part in parts)
