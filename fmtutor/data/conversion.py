"""A public dataset into the common layout: nnU-Net v2's raw folder with an ``annotated`` list.

Label ids become 1, 2, 3, ... under canonical structure names, labels that both sides share are
split, and each annotated class is a region under the card's protocol; images keep their voxels
(`fmtutor.data.published_images`). Each file appears by rename, the label map last: a conversion
that was interrupted goes on, and ``dataset.json`` comes at the end. A scan that cannot be read is
reported and left out; the others are converted.
"""

import errno
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fmtutor.core.files import read_json, write_json, write_text
from fmtutor.data.cases import Case
from fmtutor.data.fetching import SourceUnavailableError, require_room
from fmtutor.data.nifti import write_nifti
from fmtutor.data.nnunet_export import dataset_plan
from fmtutor.data.published_images import bytes_of, is_linked, write_image
from fmtutor.data.regions import Region
from fmtutor.data.scans import Scan
from fmtutor.data.sides import body_middle, split_sides
from fmtutor.data.source_splits import SPLITS_FILE, splits_of
from fmtutor.data.sources import Source

RECORD = "conversion.json"
"""Beside ``dataset.json``: how the dataset was made, what was left out, what failed."""
LABELS_MB = 2
"""Room that is asked for per label map, in MB; they are compressed."""
READER = {"overwrite_image_reader_writer": "NibabelIOWithReorient"}
"""For nnU-Net: its usual reader refuses some of these images and ignores their orientation."""
_DISK = frozenset({errno.ENOSPC, errno.EROFS, errno.EDQUOT})
# What readers of NIfTI, DICOM and PNG raise on damaged files.
_UNREADABLE = (ValueError, OSError, EOFError, AttributeError, LookupError, RuntimeError)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one scan."""

    scan: str
    dataset: str
    """Folder of the converted dataset; "" for a scan that is left out."""
    status: Literal["written", "kept", "left out", "failed"]
    reason: str = ""
    """Why it is left out or failed."""


@dataclass(frozen=True, kw_only=True)
class _Target:
    """One folder to write: all scans of a source that annotate the same structures."""

    folder: Path
    written: tuple[str, ...]
    regions: tuple[Region, ...]
    scans: tuple[Scan, ...]

    def image(self, scan: Scan) -> Path:
        return self.folder / "imagesTr" / f"{scan.name}_0000.nii.gz"

    def labels(self, scan: Scan) -> Path:
        return self.folder / "labelsTr" / f"{scan.name}.nii.gz"

    def has(self, scan: Scan) -> bool:
        return self.labels(scan).is_file() and self.image(scan).is_file()


def convert(source: Source, scans: Iterable[Scan], raw: Path) -> Iterator[Outcome]:
    """Convert the scans of a source, yielding what became of each.

    Args:
        source: Its table.
        scans: What its folder holds.
        raw: nnU-Net's raw folder; the dataset's own folder is made in it.

    Raises:
        ValueError: There are no scans, two have one name, or the dataset's folder holds scans of
            something else.
        SourceUnavailableError: The disk is full.
    """
    found = sorted(scans, key=lambda scan: scan.name)
    names = [scan.name for scan in found]
    if not found or len(set(names)) < len(names):
        raise ValueError(
            f"source {source.name!r} needs scans of different names, got {len(names)} with "
            f"{len(set(names))} names; unpack the dataset as it is published."
        )
    for scan in found:
        if scan.name in source.leave_out:
            reason = source.leave_out[scan.name]
            yield Outcome(scan=scan.name, dataset="", status="left out", reason=reason)
    for target in _targets(source, found, raw):
        yield from _convert_into(source, target)


def _targets(source: Source, scans: Sequence[Scan], raw: Path) -> list[_Target]:
    """Return the folders that scans go to; more than one where scans annotate differently."""
    kept = [scan for scan in scans if scan.name not in source.leave_out]
    groups: dict[frozenset[str] | None, list[Scan]] = {}
    for scan in kept:
        groups.setdefault(scan.annotated, []).append(scan)
    out = []
    for index, key in enumerate(sorted(groups, key=lambda names: sorted(names or ()))):
        regions = source.protocol.regions
        own = source.written if key is None else source.split(key)
        drawn = tuple(name for name in source.written if name in own)
        chosen = [region for region in regions if region.structures <= set(drawn)]
        chosen.sort(key=lambda region: -len(region.structures))
        name = f"Dataset{source.number + index:03d}_{source.folder}"
        out.append(
            _Target(
                folder=raw / name,
                written=drawn,
                regions=tuple(chosen),
                scans=tuple(groups[key]),
            )
        )
    return out


def _convert_into(source: Source, target: _Target) -> Iterator[Outcome]:
    _begin(source, target)
    todo = [scan for scan in target.scans if not target.has(scan)]
    need = sum(bytes_of(scan.image) for scan in todo if not is_linked(scan.image, target.folder))
    require_room(target.folder, need + len(todo) * LABELS_MB * 10**6, "the converted dataset")
    outcomes = []
    for scan in target.scans:
        outcomes.append(_outcome(source, target, scan))
        yield outcomes[-1]
    _finish(source, target, outcomes)


def _outcome(source: Source, target: _Target, scan: Scan) -> Outcome:
    dataset = target.folder.name
    if target.has(scan):
        return Outcome(scan=scan.name, dataset=dataset, status="kept")
    try:
        case = scan.read()
        labels = _written_labels(source, target, case)
        write_image(scan.image, case, target.image(scan))
        write_nifti(labels, case, target.labels(scan))
    except _UNREADABLE as error:
        if getattr(error, "errno", None) in _DISK:
            raise SourceUnavailableError(
                f"{scan.name} could not be written to {target.folder} ({error}); free space there "
                "and run this again, it goes on with this scan."
            ) from error
        return Outcome(scan=scan.name, dataset=dataset, status="failed", reason=_told(error))
    return Outcome(scan=scan.name, dataset=dataset, status="written")


def _told(error: Exception) -> str:
    """Return the message of one of our errors; that of a library is named by its kind."""
    ours = isinstance(error, ValueError | OSError)
    return str(error) if ours else f"{type(error).__name__}: {error}"


def _written_labels(source: Source, target: _Target, case: Case) -> np.ndarray:
    """Return the label map in RAS with the ids of the converted dataset."""
    labels: np.ndarray = case.labels  # type: ignore[assignment]
    ids = {name: number for number, name in enumerate(target.written, start=1)}
    lut = np.zeros(max(case.table) + 1, np.int32)
    pairs: dict[int, tuple[int, int]] = {}
    for number, name in case.table.items():
        if source.sides.get(name, ("",))[0] in ids:  # a number until the sides are told apart
            lut[number] = len(ids) + 1 + len(pairs)
            left, right = source.sides[name]
            pairs[int(lut[number])] = (ids[left], ids[right])
        else:
            lut[number] = ids.get(name, 0)
    mapped = lut[labels]
    if not pairs:
        return mapped
    return split_sides(mapped, pairs, middle=body_middle(case.image), grid=case.grid)


def _begin(source: Source, target: _Target) -> None:
    """Refuse a folder that was made otherwise, and say how this one is made."""
    plan = _how(source, target)
    record = target.folder / RECORD
    if record.is_file() and read_json(record).get("how") != plan:
        raise ValueError(
            f"a dataset is converted in one way, {target.folder} was begun in another (a release "
            "of this package ago?); delete it and run this again."
        )
    listed = {target.labels(scan).name for scan in target.scans}
    found = {path.name for path in (target.folder / "labelsTr").glob("*.nii.gz")}
    if strange := sorted(found - listed):
        raise ValueError(
            f"a converted dataset holds its own scans, {target.folder} has {strange[:3]} of "
            "something else; move it away."
        )
    if not record.is_file():
        target.folder.mkdir(parents=True, exist_ok=True)
        write_json(record, {"how": plan})


def _how(source: Source, target: _Target) -> dict[str, Any]:
    regions = {region.name: sorted(region.structures) for region in target.regions}
    labels = {str(number): name for number, name in source.labels.items()}
    return {
        "source": source.name,
        "labels": labels,
        "written": list(target.written),
        "regions": regions,
    }


def _finish(source: Source, target: _Target, outcomes: Sequence[Outcome]) -> None:
    """Write ``dataset.json`` and what goes with it, if any scan was converted."""
    failed = {outcome.scan: outcome.reason for outcome in outcomes if outcome.status == "failed"}
    done = [scan for scan in target.scans if scan.name not in failed]
    card = source.card
    record = {
        "how": _how(source, target),
        "title": card.title,
        "licence": card.licence,
        "citation": card.citation,
        "protocol": [*card.protocol, *source.notes],
        "left_out": dict(source.leave_out),
        "failed": failed,
    }
    write_json(target.folder / RECORD, record)
    if not done:
        return
    ids = {name: number for number, name in enumerate(target.written, start=1)}
    write_json(target.folder / SPLITS_FILE, splits_of(source.name, done))
    plan = dataset_plan(card.modality, len(done), target.regions, ids) | READER
    text = json.dumps(plan, indent=1)
    # Not by `write_json`: nnU-Net reads a meaning into the order of the labels.
    write_text(target.folder / "dataset.json", text + "\n")
