"""Cards of public datasets: what each annotates, under which protocol, and what to mistrust.

One YAML file per dataset lies in ``tables/datasets``: the talk's 17 sources (its MSD row is six
tasks, so six cards), AbdomenCT-12organ, AbdomenAtlas, TotalSegmentator v2, FLARE22, ACDC and the
MR part of CHAOS. A card keeps the talk's printed numbers beside the dataset's own, and lists under
``slips`` where they differ. Licences are those the makers state as far as we know: the dataset's
page decides.

Datasets overlap: a scan of one is often a scan of another, and `Dataset.overlaps` says so. A test
set that overlaps a training set is no test set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import GROUPS, STRUCTURES, canonical, expand, label_table
from fmtutor.data.regions import Protocol, Region

_FOLDER = files("fmtutor.data") / "tables" / "datasets"
_ACCESS = ("open", "registration", "login", "private")
_FIELDS = {
    "title", "modality", "scans", "protocol", "licence", "access", "link", "citation",
    "targets", "target_table", "talk", "slips", "overlaps",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Target:
    """One annotated class of a dataset."""

    name: str
    """Canonical structure; a composite such as "kidneys" where sides share a label."""
    includes: tuple[str, ...] = ()
    """Lesions that this class's region holds under the dataset's protocol."""


@dataclass(frozen=True, kw_only=True)
class TalkRow:
    """The dataset's row in the talk's table of assembled datasets, as printed."""

    row: str
    """Its number there; "7-11" for the CT tasks of the MSD."""
    targets: int
    """Printed number of targets (of the whole row)."""
    scans: int
    """Printed number of scans (of the whole row)."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The card of one dataset."""

    name: str
    """Key of the card: the name of its file."""
    title: str
    """Name as people write it."""
    modality: str
    """"CT" or "MR"."""
    targets: tuple[Target, ...]
    """What it annotates."""
    scans: int
    """Number of scans (patients, where a patient has several)."""
    labelled: int
    """How many have labels that one can get."""
    protocol: tuple[str, ...]
    """Notes on how it was drawn: what belongs to an organ, what is merged."""
    slips: tuple[str, ...]
    """Where the talk or the literature is wrong about it."""
    overlaps: tuple[str, ...]
    """Datasets that share scans with it."""
    licence: str
    """Licence as far as known; check at the source."""
    access: str
    """"open", "registration", "login" or "private"."""
    link: str
    """Public address of the data, or of its description."""
    citation: str
    """Paper to cite."""
    talk: TalkRow | None = None
    """Row in the talk's table, where it has one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the targets."""
        return tuple(target.name for target in self.targets)

    def as_protocol(self) -> Protocol:
        """Return the targets as regions, each with every structure that it covers.

        Example:
            >>> sorted(dataset("lits").as_protocol().region("liver").structures)[:2]
            ['hepatic_vessel_lesion', 'liver']
        """
        return Protocol(self.name, tuple(Region.of(t.name, *_covered(t)) for t in self.targets))

    def coverage(self, structure: str) -> Literal["own", "merged", "none"]:
        """Say how a structure is annotated.

        Args:
            structure: Any known spelling.

        Returns:
            "own": a class of its own, or all its parts are classes; "merged": only inside a larger
            class, such as one kidney inside "kidneys"; "none": unknown here.
        """
        name, names = canonical(structure), set(self.names)
        parts = GROUPS.get(name) or _lesion_kinds(name)
        if name in names or (parts and names.issuperset(parts)):
            return "own"
        up = STRUCTURES[name].part_of if STRUCTURES[name].group != "lesion" else ""
        while up:
            if up in names:
                return "merged"
            up = STRUCTURES[up].part_of
        return "none"


def _lesion_kinds(name: str) -> tuple[str, ...]:
    kinds = expand(name)[1:] if STRUCTURES[name].group == "lesion" else ()
    return kinds if len(kinds) > 1 else ()


def _covered(target: Target) -> list[str]:
    return [
        *expand(target.name),
        *(part for name in target.includes for part in expand(name, lesions=True)),
    ]


@cache
def catalog() -> Mapping[str, Dataset]:
    """Return every card by name, checked.

    Raises:
        ValueError: A card breaks a rule; the message names the card, the rule and the value.
    """
    paths = sorted(path.name for path in _FOLDER.iterdir() if path.name.endswith(".yaml"))
    cards = {}
    for file_name in paths:
        name = file_name.removesuffix(".yaml")
        cards[name] = parse_card(name, yaml.safe_load((_FOLDER / file_name).read_text("utf-8")))
    for card in cards.values():
        for other in card.overlaps:
            if other not in cards or other == card.name:
                raise ValueError(
                    f"card {card.name!r}: overlaps must name another card, got {other!r}."
                )
    return cards


def dataset(name: str) -> Dataset:
    """Return one card.

    Raises:
        ValueError: There is no such card; the message lists the cards.
    """
    return lookup(catalog(), name, "dataset")


def parse_card(name: str, raw: Mapping[str, Any]) -> Dataset:
    """Build a card from the content of its file.

    Args:
        name: Key of the card.
        raw: What the YAML file holds.

    Raises:
        ValueError: A field is unknown or missing, a name is no structure, a count is impossible.
    """
    if wrong := set(raw) - _FIELDS:
        raise ValueError(
            f"card {name!r} has unknown fields {sorted(wrong)}; known: {sorted(_FIELDS)}."
        )
    if missing := _FIELDS - {"targets", "target_table", "talk", "slips", "overlaps"} - set(raw):
        raise ValueError(f"card {name!r} lacks {sorted(missing)}; add them.")
    scans, labelled = raw["scans"]["total"], raw["scans"]["labelled"]
    if not 0 < labelled <= scans:
        raise ValueError(
            f"card {name!r}: 0 < labelled <= total must hold, got {labelled} of {scans}."
        )
    if raw["access"] not in _ACCESS or raw["modality"] not in ("CT", "MR"):
        raise ValueError(
            f"card {name!r}: access is one of {_ACCESS} and modality CT or MR, got "
            f"{raw['access']!r} and {raw['modality']!r}."
        )
    return Dataset(
        name=name,
        targets=_targets(name, raw),
        scans=scans,
        labelled=labelled,
        talk=TalkRow(**raw["talk"]) if "talk" in raw else None,
        protocol=tuple(raw["protocol"]),
        slips=tuple(raw.get("slips", ())),
        overlaps=tuple(raw.get("overlaps", ())),
        **{key: raw[key] for key in ("title", "modality", "licence", "access", "link", "citation")},
    )


def _targets(name: str, raw: Mapping[str, Any]) -> tuple[Target, ...]:
    if ("targets" in raw) == ("target_table" in raw):
        raise ValueError(f"card {name!r} must have either targets or target_table, and not both.")
    listed = raw.get("targets") or list(label_table(raw["target_table"]).values())
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in listed]
    targets = tuple(Target(name=e["name"], includes=tuple(e.get("includes", ()))) for e in entries)
    names = [target.name for target in targets]
    for used in [*names, *(part for target in targets for part in target.includes)]:
        if used not in STRUCTURES:
            raise ValueError(
                f"card {name!r}: use canonical names; write {canonical(used)!r} for {used!r}."
            )
    if len(set(names)) < len(names):
        raise ValueError(f"card {name!r} names a target twice: {names}; drop one.")
    return targets


def which_annotates(structure: str, *, merged: bool = False) -> tuple[str, ...]:
    """Return the datasets that annotate a structure, by name.

    Args:
        structure: Any known spelling.
        merged: Whether to count datasets that draw it only inside a larger class.

    Example:
        >>> "kits" in which_annotates("kidney_left")
        False
        >>> "kits" in which_annotates("kidney_left", merged=True)
        True
    """
    wanted = ("own", "merged") if merged else ("own",)
    return tuple(name for name, card in catalog().items() if card.coverage(structure) in wanted)
