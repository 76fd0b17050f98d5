"""Canonical anatomy: one name per structure, its place in the body, its colour, its spellings.

Names follow TotalSegmentator v2 where it has one; lesions, MR composites, heart chambers, brain
structures and what other datasets draw are added. The tables are files beside this module:

- ``tables/structures.csv``: name, group, side, part_of, colour;
- ``tables/synonyms.csv``: other spellings;
- ``tables/labels/*.csv``: label id to structure, one file per label map.

Structures form a tree by ``part_of``: ``rib_left_1`` < ``ribs_left`` < ``ribs`` < ``bone``.
A lesion is part of its organ in the tree, but whether an organ's *mask* includes it is a protocol's
choice, so lesions are left out of `GROUPS` and, unless asked for, of `expand`.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from fmtutor.core.tables import unknown_name

_TABLES = files("fmtutor.data") / "tables"


@dataclass(frozen=True, kw_only=True)
class Structure:
    """One canonical structure."""

    name: str
    """Canonical name."""
    group: str
    """Kind of tissue: organ, gland, vessel, bone, muscle, heart, lung, brain, lesion or tissue."""
    side: str
    """"left", "right", or "" where the name has no side."""
    part_of: str
    """The next larger structure, or ""."""
    colour: str
    """Display colour, "#rrggbb"; it never changes, so figures can be compared."""


def read_table(path: str) -> list[dict[str, str]]:
    """Read one CSV file below ``tables/`` as a list of rows.

    Args:
        path: File below the table folder, such as ``"labels/totalsegmentator_v2.csv"``.
    """
    return list(csv.DictReader((_TABLES / path).read_text("utf-8").splitlines()))


def _structures() -> Mapping[str, Structure]:
    rows = [Structure(**row) for row in read_table("structures.csv")]
    return MappingProxyType({row.name: row for row in rows})


STRUCTURES: Mapping[str, Structure] = _structures()
"""Every canonical structure by name."""


def _groups() -> Mapping[str, tuple[str, ...]]:
    healthy = [row for row in STRUCTURES.values() if row.group != "lesion"]
    parents = {row.part_of for row in healthy}
    groups: dict[str, list[str]] = {}
    for leaf in (row for row in healthy if row.name not in parents):
        up = leaf.part_of
        while up:
            groups.setdefault(up, []).append(leaf.name)
            up = STRUCTURES[up].part_of
    return MappingProxyType({n: tuple(found) for n, found in groups.items() if len(found) > 1})


GROUPS: Mapping[str, tuple[str, ...]] = _groups()
"""Composite structure to its smallest parts, lesions left out: ``"vertebrae"`` to C1..L5.
A single part makes no composite: the sacrum is more than S1."""

_SYNONYMS: Mapping[str, str] = {row["synonym"]: row["name"] for row in read_table("synonyms.csv")}


def label_table(name: str) -> dict[int, str]:
    """Return label id to canonical structure for one file of ``tables/labels``."""
    return {int(row["id"]): row["name"] for row in read_table(f"labels/{name}.csv")}


TOTALSEGMENTATOR_V1 = label_table("totalsegmentator_v1")
"""The 104 classes of TotalSegmentator v1."""
TOTALSEGMENTATOR_V2 = label_table("totalsegmentator_v2")
"""The 117 classes of TotalSegmentator v2, CT."""
TOTALSEGMENTATOR_MR = label_table("totalsegmentator_mr")
"""The 50 classes of TotalSegmentator MR."""
BRAIN_TABLES: Mapping[str, dict[int, str]] = {
    name: label_table(f"brain_{name}") for name in ("desikan_killiany", "aal", "neuromorphometrics")
}
"""Brain atlases. Deep structures share their names; a cortical parcel is its atlas's own, as the
borders differ, and carries its prefix (dk, aal, nmm); lobes gather the parcels of every atlas."""

KNOWN_STRUCTURES: tuple[str, ...] = (
    "spleen", "kidney_left", "kidney_right", "gallbladder", "liver", "pancreas", "stomach",
    "duodenum", "aorta", "inferior_vena_cava", "small_bowel", "colon", "urinary_bladder",
    "spinal_cord", "vertebrae",
)  # fmt: skip
"""What training centres may annotate (DESIGN 2). "vertebrae" is C1..L5 as one class."""

NOVEL_STRUCTURES: tuple[str, ...] = (
    "gluteus_maximus_left", "gluteus_maximus_right", "gluteus_medius_left", "gluteus_medius_right",
    "gluteus_minimus_left", "gluteus_minimus_right", "iliopsoas_left", "iliopsoas_right",
    "autochthon_left", "autochthon_right", "hip_left", "hip_right", "sacrum",
)  # fmt: skip
"""What no training centre, no shipped model and no pre-training target may hold."""


def canonical(name: str) -> str:
    """Return the canonical name for any known spelling.

    Case, spaces, hyphens and underscores do not matter: "Gall Bladder" is ``gallbladder``.

    Raises:
        ValueError: Nobody spells a structure so; the message suggests near names.
    """
    if name in STRUCTURES:
        return name
    key = re.sub(r"[\s_-]+", "_", name.strip().lower())
    found = _SYNONYMS.get(key) or _BY_KEY.get(key)
    if found is None:
        raise unknown_name(name, [*STRUCTURES, *_SYNONYMS], "structure")
    return found


_BY_KEY: Mapping[str, str] = {name.lower(): name for name in STRUCTURES}


def expand(name: str, *, lesions: bool = False) -> tuple[str, ...]:
    """Return a structure and everything below it in the tree, so that any label table matches.

    Args:
        name: Any known spelling.
        lesions: Whether lesions of an organ count as part of it (parts of a lesion always do).

    Returns:
        Canonical names, the structure itself first.

    Example:
        >>> expand("liver", lesions=True)[:2]
        ('liver', 'liver_lesion')
    """
    found = [canonical(name)]
    lesions = lesions or STRUCTURES[found[0]].group == "lesion"
    for up in found:  # grows while it is read: breadth first
        rows = (row for row in STRUCTURES.values() if row.part_of == up)
        found += [row.name for row in rows if lesions or row.group != "lesion"]
    return tuple(found)


def table_parts(name: str, table: Iterable[str], *, lesions: bool = False) -> tuple[str, ...]:
    """Return the names of a label table that make up a structure; empty where it has none.

    Example:
        >>> table_parts("lungs", TOTALSEGMENTATOR_MR.values())
        ('lung_left', 'lung_right')
    """
    present = set(table)
    return tuple(part for part in expand(name, lesions=lesions) if part in present)


def crosswalk(names_from: Iterable[str], names_to: Iterable[str]) -> dict[str, str]:
    """Match two lists of class names by the structure they mean, never by their index.

    Args:
        names_from: Class names of one system, any spelling.
        names_to: Class names of another.

    Returns:
        Each of ``names_from`` that has an equal in ``names_to``, in order, with that equal.

    Raises:
        ValueError: A name is unknown, or two names of one list mean the same structure.
    """
    ours, theirs = _by_meaning(names_from), _by_meaning(names_to)
    return {spelling: theirs[meaning] for meaning, spelling in ours.items() if meaning in theirs}


def _by_meaning(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        meaning = canonical(name)
        if meaning in found:
            raise ValueError(
                f"names of one list must differ in meaning: {found[meaning]!r} and {name!r} are "
                f"both {meaning!r}; drop one."
            )
        found[meaning] = name
    return found


def colour_of(name: str) -> str:
    """Return the display colour of a structure, "#rrggbb"."""
    return STRUCTURES[canonical(name)].colour
