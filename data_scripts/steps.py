"""The steps that every script of this folder shares: fetch, unpack, convert, or say what would be.

A script gives its source's table and a function that finds the scans in the unpacked folder; the
rest is here. Nothing is done twice: what is fetched, unpacked or converted is kept.
"""

import errno
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from plan import lines
from tqdm import tqdm

from fmtutor.core.files import read_json, write_json
from fmtutor.core.tables import lookup
from fmtutor.data.conversion import convert
from fmtutor.data.downloads import Opener
from fmtutor.data.fetching import SourceUnavailableError, default_opener, fetch, require_room
from fmtutor.data.scans import Scan
from fmtutor.data.sources import Source
from fmtutor.data.unpacking import is_archive, unpack, unpacked_size

Step = Literal["fetch", "unpack", "convert"]
_QUIET = not sys.stderr.isatty()


@dataclass(frozen=True, kw_only=True)
class Options:
    """Fetch, unpack and convert a public dataset; what is already done is kept."""

    which: tyro.conf.Positional[tuple[str, ...]] = ()
    """Which of the script's datasets; none named means all of them."""
    data: Path
    """Folder for downloads and what they unpack to; on a disk with room for several copies."""
    out: Path | None = None
    """nnU-Net's raw folder; without it, nnUNet_raw in the folder of the data."""
    steps: tuple[Step, ...] = ("fetch", "unpack", "convert")
    """Which steps to run."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only say what would happen; nothing is written, and no server is asked."""

    @property
    def raw(self) -> Path:
        """nnU-Net's raw folder."""
        return self.out or self.data / "nnUNet_raw"


@dataclass(frozen=True)
class Place:
    """Where the files of a source lie."""

    downloads: Path
    unpacked: Path

    @classmethod
    def of(cls, source: Source, data: Path) -> "Place":
        """Return the place of a source in the folder of the data."""
        return cls(data / source.store / "downloads", data / source.store / "unpacked")


@dataclass(frozen=True)
class Work:
    """A source and how its scans are found."""

    source: Source
    scans: Callable[[Place], Iterable[Scan]]


def main(*works: Work) -> int:
    """Run the command line of a script and return its exit status."""
    return run(works, tyro.cli(Options, description=works[0].source.card.title))


def run(works: Iterable[Work], options: Options, *, opener: Opener | None = None) -> int:
    """Run the steps for the chosen sources; 1 if one of them, or a scan of one, failed."""
    by_name = {work.source.name: work for work in works}
    status = 0
    for name in options.which or by_name:
        try:
            status |= _one(lookup(by_name, name, "dataset of this script"), options, opener)
        except KeyboardInterrupt:
            print("stopped; run the same command again to go on", file=sys.stderr)
            return 130
        except (SourceUnavailableError, ValueError, OSError) as error:
            print(f"error: {error}{_full_disk(error, options)}", file=sys.stderr)
            status = 1  # the other datasets go on
    return status


def folder_named(root: Path, tail: str) -> Path:
    """Return the one folder below ``root`` whose path ends in ``tail``.

    Raises:
        FileNotFoundError: There is none, or there are several.
    """
    found = sorted(path for path in root.glob(f"**/{tail}") if path.is_dir())
    if len(found) != 1:
        raise FileNotFoundError(
            f"the unpacked dataset has one folder {tail}, {root} has {len(found)}; unpack it there "
            "as it is published."
        )
    return found[0]


def _full_disk(error: Exception, options: Options) -> str:
    """Return what to do where our own disk took no more, which the system says in few words."""
    if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        return ""
    return f"; free space on the disks of {options.data} and {options.raw}, then run this again"


def _one(work: Work, options: Options, opener: Opener | None) -> int:
    source, place = work.source, Place.of(work.source, options.data)
    if options.dry_run:
        print("\n".join(lines(source, place.downloads, place.unpacked, options.raw)))
        return 0
    print(f"{source.card.title} (licence: {source.card.licence})")
    if "fetch" in options.steps:
        _fetch_all(source, place, opener or default_opener())
    if "unpack" in options.steps:
        for archive in _archives(source, place):
            _unpack(archive, place, nested=source.nested)
    return _convert(work, place, options.raw) if "convert" in options.steps else 0


def _fetch_all(source: Source, place: Place, opener: Opener) -> None:
    for remote in source.files:
        receipt = fetch(remote, place.downloads, opener)
        print(f"fetched   {remote.name}: {receipt.size / 1e6:.1f} MB, {receipt.trust}")
        if receipt.trust == "first use":
            print(f"          no checksum is published; its sha256 is {receipt.sha256}")


def _archives(source: Source, place: Place) -> list[Path]:
    """Return what lies in the folder of downloads, fetched or put there by hand."""
    there = place.downloads.iterdir() if place.downloads.is_dir() else ()
    return sorted(path for path in there if is_archive(path) and not path.name.startswith("."))


def _unpack(archive: Path, place: Place, *, nested: bool) -> None:
    folder, record = place.unpacked / archive.stem, place.unpacked / f".{archive.name}.json"
    stat = archive.stat()
    this = {"size": stat.st_size, "changed_ns": stat.st_mtime_ns}
    if folder.is_dir():
        if record.is_file() and read_json(record) != this:
            raise ValueError(
                f"{folder} must be unpacked from {archive}, which has changed since; delete the "
                "folder and run this again."
            )
    else:
        size = unpacked_size(archive)
        require_room(place.unpacked, 3 * size if nested else size, f"{archive.name}, unpacked,")
        bar = tqdm(total=size, unit="B", unit_scale=True, desc=archive.name, disable=_QUIET)
        with _full_disk_named(archive, folder), bar:
            unpack(archive, folder, nested=nested, progress=bar.update)
        print(f"unpacked  {archive.name}: {size / 1e6:.1f} MB")
    if not record.is_file():
        write_json(record, this)


@contextmanager
def _full_disk_named(archive: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceUnavailableError(
            f"{archive.name} could not be unpacked into {folder} ({error}); nothing of it is left "
            "there; free space and run this again."
        ) from error


def _convert(work: Work, place: Place, raw: Path) -> int:
    try:
        scans = list(work.scans(place))
    except FileNotFoundError as error:
        raise ValueError(_by_hand(work.source, place, str(error))) from error
    if not scans:
        raise ValueError(_by_hand(work.source, place, f"no scans in {place.unpacked}"))
    counts = dict.fromkeys(("written", "kept", "left out", "failed"), 0)
    folders = set()
    for outcome in convert(work.source, scans, raw):
        counts[outcome.status] += 1
        folders |= {outcome.dataset} - {""}
        if outcome.status == "written":
            print(f"converted {outcome.scan}", flush=True)
        elif outcome.status != "kept":
            print(f"{outcome.status:9s} {outcome.scan}: {outcome.reason}", file=sys.stderr)
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    print(f"{told}; the card counts {work.source.card.labelled} labelled scans")
    print("\n".join(f"dataset   {raw / folder}" for folder in sorted(folders)))
    return int(counts["failed"] > 0)


def _by_hand(source: Source, place: Place, reason: str) -> str:
    told = [step.replace("UNPACKED", str(place.unpacked)) for step in source.by_hand]
    steps = "\n".join(f"  {number}. {step}" for number, step in enumerate(told, 1))
    return (
        f"{source.card.title} is not there yet: {reason}\n"
        f"page: {source.card.link} (access: {source.card.access})\n"
        f"downloads: {place.downloads}\nunpacked: {place.unpacked}\n"
        + (f"by hand:\n{steps}" if steps else "run the steps fetch and unpack first.")
    )
