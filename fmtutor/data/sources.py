"""How a public dataset is had and what its label ids mean: the table behind ``data_scripts``.

One YAML file per source in ``tables/sources``; the *card* of the same name (`fmtutor.data.catalog`)
says what the dataset annotates, under which protocol and licence. Here stand its files with address
and checksum, its label ids, the labels that two sides share, and the scans to leave out, each with
the reason.

Checksums are published ones, or ones that an independent project recorded (``checksum_from`` says
which). Where there is none, the first download is trusted and its sha256 kept.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import STRUCTURES, expand, label_table
from fmtutor.data.catalog import Dataset, Target, dataset
from fmtutor.data.regions import Protocol, Region

_FOLDER = files("fmtutor.data") / "tables" / "sources"
_FIELDS = {
    "number", "folder", "store", "files", "by_hand", "labels", "label_table", "sides", "leave_out",
    "notes", "nested",
}  # fmt: skip
DIGESTS = ("sha256", "md5")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One file to fetch."""

    name: str
    """Path below the folder of downloads."""
    url: str
    """Public address."""
    checksum: str = ""
    """"sha256:..." or "md5:..."; "" where none is known."""
    checksum_from: str = ""
    """Who states the checksum."""
    size: int | None = None
    """Bytes, where they are known; else the server is asked."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A public dataset as it is published, and as `fmtutor.data.conversion` writes it."""

    card: Dataset
    """What it is."""
    number: int
    """nnU-Net's number of the converted dataset."""
    folder: str
    """Name of the converted dataset, without its number."""
    store: str
    """Folder that it is fetched into; sources from one archive share it."""
    files: tuple[Remote, ...]
    """What is fetched; empty where everything is got by hand."""
    by_hand: tuple[str, ...]
    """What a person must do, step by step."""
    labels: Mapping[int, str]
    """Published label id to structure; for sources of mask files the order they are painted in."""
    sides: Mapping[str, tuple[str, str]]
    """Structure that both sides share, to its left and its right one."""
    leave_out: Mapping[str, str]
    """Scan to the reason why it is not converted."""
    notes: tuple[str, ...]
    """What the conversion decides."""
    nested: bool = False
    """Whether its archives hold archives."""

    @property
    def name(self) -> str:
        """Name of the card, the table and the script."""
        return self.card.name

    @property
    def written(self) -> tuple[str, ...]:
        """Structures of the converted label maps, in order: label id 1, 2, 3, ..."""
        return self.split(self.labels.values())

    def split(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return structures as they are written: those of both sides as two, none twice."""
        return tuple(
            dict.fromkeys(part for name in names for part in self.sides.get(name, (name,)))
        )

    @property
    def protocol(self) -> Protocol:
        """What the converted dataset annotates, as regions of the written structures.

        Raises:
            ValueError: The card names a target that no label makes up.
        """
        return Protocol(self.name, tuple(r for t in self.card.targets for r in self._regions(t)))

    def _regions(self, target: Target) -> Iterator[Region]:
        covered = {*expand(target.name), *target.includes}
        covered |= {part for name in target.includes for part in expand(name, lesions=True)}
        parts = [name for name in self.written if name in covered]
        if not parts:
            raise ValueError(
                f"source {self.name!r}: the labels must make up every target of the card, got "
                f"{list(self.written)} for {target.name!r}; correct the table or the card."
            )
        if target.name not in self.sides or STRUCTURES[target.name].group == "lesion":
            yield Region(target.name, frozenset(parts))
            return
        for side in self.sides[target.name]:
            own = [name for name in parts if STRUCTURES[name].side == STRUCTURES[side].side]
            yield Region(side, frozenset(own))


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by name, checked.

    Raises:
        ValueError: A table breaks a rule; the message names it.
    """
    names = sorted(path.name for path in _FOLDER.iterdir() if path.name.endswith(".yaml"))
    found = {}
    for file_name in names:
        name = file_name.removesuffix(".yaml")
        found[name] = parse_source(name, yaml.safe_load((_FOLDER / file_name).read_text("utf-8")))
    return found


def source(name: str) -> Source:
    """Return one source.

    Raises:
        ValueError: There is none of this name; the message lists them.
    """
    return lookup(sources(), name, "source")


def parse_source(name: str, raw: Mapping[str, Any]) -> Source:
    """Build a source from the content of its file.

    Args:
        name: Key of the source, which is the name of its card too.
        raw: What the YAML file holds.

    Raises:
        ValueError: A field is unknown, a name is no structure, a checksum has no known kind, or
            there is neither a file nor a step by hand.
    """
    if wrong := set(raw) - _FIELDS:
        raise ValueError(f"source {name!r} has unknown fields {sorted(wrong)}; drop them.")
    if not raw.get("files") and not raw.get("by_hand"):
        raise ValueError(f"source {name!r} needs files or by_hand, got neither; add one.")
    labels = raw.get("labels") or label_table(raw["label_table"])
    sides = {key: tuple(pair) for key, pair in raw.get("sides", {}).items()}
    for used in [*labels.values(), *(part for pair in sides.values() for part in pair)]:
        lookup(STRUCTURES, used, f"structure of source {name!r}")
    return Source(
        card=dataset(name),
        number=raw["number"],
        folder=raw["folder"],
        store=raw.get("store", name),
        files=tuple(remote for entry in raw.get("files", ()) for remote in _remotes(entry)),
        by_hand=tuple(raw.get("by_hand", ())),
        labels={int(number): structure for number, structure in labels.items()},
        sides=sides,  # type: ignore[arg-type]
        leave_out={str(scan): reason for scan, reason in raw.get("leave_out", {}).items()},
        notes=tuple(raw.get("notes", ())),
        nested=raw.get("nested", False),
    )


def _remotes(entry: Mapping[str, Any]) -> Iterator[Remote]:
    """Return the file of an entry; with ``count`` it is one for each number that ``{}`` takes."""
    fields = {key: value for key, value in entry.items() if key != "count"}
    kind, _, digest = entry.get("checksum", "").partition(":")
    if "checksum" in entry and (kind not in DIGESTS or not digest):
        raise ValueError(
            f"a checksum is one of {DIGESTS}, a colon and the digest, got {entry['checksum']!r} "
            f"for {entry['name']}; write it so, or leave it out."
        )
    if "count" not in entry:
        yield Remote(**fields)
        return
    for number in range(entry["count"]):
        numbered = {key: fields[key].format(number) for key in ("name", "url")}
        yield Remote(**{**fields, **numbered})
