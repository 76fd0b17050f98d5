"""What a script would do, in words: nothing is written, no server is asked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from fmtutor.data.fetching import part_of
from fmtutor.data.source_splits import FEW_SHOT
from fmtutor.data.sources import Remote, Source

SHOWN = 3
"""Files of a long list that are named."""


def lines(source: Source, downloads: Path, unpacked: Path, raw: Path) -> Iterator[str]:
    """Yield the plan for a source, a line each."""
    card = source.card
    yield f"{card.title}: {card.modality}, {card.labelled} labelled of {card.scans} scans"
    yield f"licence   {card.licence}; access: {card.access}; {card.link}"
    yield from (f"protocol  {note}" for note in card.protocol)
    yield from (f"by hand   {step}" for step in source.by_hand)
    for remote in source.files[:SHOWN]:
        yield from _fetching(remote, downloads)
    if len(source.files) > SHOWN:
        yield f"fetch     and {len(source.files) - SHOWN} more such files"
    yield _room(source, downloads)
    yield f"unpack    {downloads} -> {unpacked}"
    yield f"convert   {unpacked} -> {raw / f'Dataset{source.number:03d}_{source.folder}'}"
    annotated = [region.name for region in source.protocol.regions]
    yield f"          {len(annotated)} annotated: {', '.join(annotated)}"
    for name, (left, right) in source.sides.items():
        yield f"          {name} split into {left} and {right}"
    yield from (f"leave out {scan}: {reason}" for scan, reason in source.leave_out.items())
    yield from (f"note      {note}" for note in source.notes)
    lists = " and the published few-shot lists" if source.name in FEW_SHOT else ""
    yield f"splits    the makers' parts{lists} -> splits.json"
    yield "dry run: nothing was written, no server was asked"


def _fetching(remote: Remote, downloads: Path) -> Iterator[str]:
    target = downloads / remote.name
    part = part_of(target)
    if target.is_file():
        state = f"already there ({target.stat().st_size} bytes), would be compared"
    elif part.is_file():
        state = f"would go on after {part.stat().st_size} bytes"
    else:
        state = "would be fetched"
    size = f"{remote.size} bytes" if remote.size else "size asked from the server before"
    trust = (
        f"{remote.checksum} ({remote.checksum_from})"
        if remote.checksum
        else "no checksum is published: the first download is trusted and its sha256 recorded"
    )
    yield f"fetch     {remote.name}: {state}; {size}"
    yield f"          {remote.url}"
    yield f"          {trust}"


def _room(source: Source, downloads: Path) -> str:
    there = next(path for path in (downloads, *downloads.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free / 1e9
    sizes = [remote.size for remote in source.files]
    known = sum(size for size in sizes if size) / 1e9
    need = f"{known:.1f} GB to fetch, " if source.files and all(sizes) else ""
    return f"disk      {need}{free:.1f} GB free at {there}; checked again before each step"
