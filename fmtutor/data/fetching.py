"""One large public file onto the disk: room checked first, resumed, verified, then named.

A download grows in ``.NAME.part``; only a whole and verified file gets its name, by one rename. An
interrupted download goes on where it stopped, at the next call too, unless the server's file has
changed since (its ETag, date or length).

*Trust*: a file is compared with its published checksum. Where none is known, the first download is
trusted: what the archive format itself checks (zip and gzip carry CRC-32) is read through, and the
file's sha256 is kept in the ledger ``fetched.json``, so that a later change is seen. That guards
against a broken transfer, not against a server that gives another file the first time.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from filelock import FileLock, Timeout

from fmtutor.core.files import read_json, write_json
from fmtutor.data import downloads
from fmtutor.data.downloads import ATTEMPTS, DownloadError, Opener, download, redacted
from fmtutor.data.package_index import PipMissingError, read_pip_settings
from fmtutor.data.receipts import Receipt, digests_of, ledger, receipt_of, record
from fmtutor.data.sources import Remote
from fmtutor.data.unpacking import check_whole

RESERVE = 64 * 2**20
"""Bytes that stay free beside a download: its ledger, and whatever else the disk is used for."""


class SourceUnavailableError(RuntimeError):
    """A file of a source cannot be had; the message says the rule, the value and what to do."""


def fetch(remote: Remote, folder: Path, opener: Opener) -> Receipt:
    """Have a file of a source in a folder, whole and verified.

    Args:
        remote: What to have.
        folder: The folder of downloads.
        opener: Opens the address.

    Returns:
        Its receipt, which stands in the folder's ledger too.

    Raises:
        SourceUnavailableError: The server refuses, gives another file or an incomplete one, the
            disk has no room, or another process fetches into this folder.
    """
    target = folder / remote.name
    size, state = 0, dict[str, Any]()
    if not target.is_file():
        size, state = _probe(remote, opener)
        have = min(size, _bytes_of(part_of(target)))
        require_room(folder, size - have, remote.name)
    with _alone(folder):
        if target.is_file():
            return _kept(remote, target, folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = _resumable(target, state)
        _fill(remote, part, size, opener)
        receipt = _verified(remote, part, target)
        os.replace(part, target)
        _state_of(target).unlink(missing_ok=True)
        record(folder, remote.name, receipt)
        return receipt


def part_of(target: Path) -> Path:
    """Return where a download grows until it is whole."""
    return target.with_name(f".{target.name}.part")


def default_opener() -> Opener:
    """Return an opener with the proxy and the certificates that pip is configured for.

    Raises:
        ValueError: A certificate that pip names cannot be read.
    """
    try:
        settings = read_pip_settings()
    except PipMissingError:  # an environment without pip still has the system's settings
        return Opener()
    return Opener(cert=settings.cert, client_cert=settings.client_cert, proxy=settings.proxy)


def require_room(folder: Path, need: int, what: str) -> None:
    """Raise SourceUnavailableError unless the disk of a folder has room for ``need`` bytes more.

    Nothing is created to find out: the nearest folder that exists is asked.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < need + RESERVE:
        raise SourceUnavailableError(
            f"{what} needs {_mb(need)} and {_mb(RESERVE)} to spare in {folder}, got {_mb(free)} "
            f"free; free {_mb(need + RESERVE - free)} there or name a folder on another disk."
        )


def _probe(remote: Remote, opener: Opener) -> tuple[int, dict[str, Any]]:
    """Ask the server for the file's size and version, without fetching it."""
    headers, partial = _headers(remote, opener)
    total = headers.get("Content-Range", "").rpartition("/")[2] if partial else ""
    total = total if partial else headers.get("Content-Length", "")
    size = int(total) if total.isdigit() else remote.size
    if size is None:
        raise _unavailable(remote, "a download needs a stated size, and the server states none")
    if remote.size not in (None, size):
        raise _unavailable(
            remote, f"it must have {remote.size} bytes, the server's file has {size}: another file"
        )
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    return size, {"url": remote.url, "size": size, "version": version}


def _headers(remote: Remote, opener: Opener) -> tuple[Message, bool]:
    """Return what the server says of the file, and whether it gives parts of it."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(downloads.PAUSE_S * 2 ** (attempt - 1))
        try:
            with opener.open(remote.url, {"Range": "bytes=0-0"}) as response:
                return response.headers, response.status == 206
        except HTTPError as error:
            reason = f"the server answers HTTP {error.code}"
            if error.code < 500 and error.code != 429:
                break
        except (OSError, HTTPException) as error:
            reason = redacted(str(error)) or type(error).__name__
    raise _unavailable(remote, reason)


def _resumable(target: Path, state: dict[str, Any]) -> Path:
    """Return the part to go on with; one of another version of the file is dropped."""
    part, known = part_of(target), _state_of(target)
    if part.exists() and (not known.is_file() or read_json(known) != state):
        part.unlink()
    write_json(known, state)
    return part


def _state_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.part.json")


def _fill(remote: Remote, part: Path, size: int, opener: Opener) -> None:
    try:
        download(remote.url, part, size=size, opener=opener)
    except DownloadError as error:
        have = _bytes_of(part)
        raise _unavailable(
            remote,
            f"{size} bytes must come, got {have} in {ATTEMPTS} tries that brought nothing new "
            f"({error})",
            "run this again, it goes on from there; if it stops at the same byte each time, the "
            "server states a wrong size",
        ) from error
    except OSError as error:  # our own disk: full, read-only, over quota
        raise SourceUnavailableError(
            f"{remote.name} has {size} bytes, and after {_bytes_of(part)} the disk of "
            f"{part.parent} took no more ({error}); free {_mb(size - _bytes_of(part))} there and "
            "run this again, it goes on from there."
        ) from error


def _verified(remote: Remote, part: Path, target: Path) -> Receipt:
    """Return the receipt of a whole download; a wrong one is deleted."""
    digests = digests_of(part)
    kind, _, wanted = remote.checksum.partition(":")
    if kind and digests[kind] != wanted:
        _drop(target)
        raise _unavailable(
            remote,
            f"its {kind} must be {wanted} ({remote.checksum_from or 'published'}), got "
            f"{digests[kind]}; the download is deleted",
            "run this again; if it stays so, the makers have published another file, or something "
            "on the way changes it",
        )
    if not kind:
        try:
            check_whole(part, name=remote.name)
        except ValueError as error:
            _drop(target)
            raise _unavailable(
                remote, f"no checksum is known, and the file is damaged ({error})"
            ) from error
    return receipt_of(remote, part, digests["sha256"])


def _kept(remote: Remote, target: Path, folder: Path) -> Receipt:
    """Return the receipt of a file that is there, after comparing the two."""
    known, stat = ledger(folder).get(remote.name), target.stat()
    if known == receipt_of(remote, target, known.sha256 if known else ""):
        return known  # not touched since, and trusted on the same word
    digests = digests_of(target)
    kind, _, wanted = remote.checksum.partition(":")
    expected = f"{kind} {wanted}" if kind else f"sha256 {known.sha256}" if known else ""
    found = f"{kind} {digests[kind]}" if kind else f"sha256 {digests['sha256']}"
    if expected and expected != found:
        raise SourceUnavailableError(
            f"{target} must have {expected}, got {found} in {stat.st_size} bytes; delete it and "
            "run this again."
        )
    if not expected:  # the user's own copy
        try:
            check_whole(target, name=remote.name)
        except ValueError as error:
            raise SourceUnavailableError(
                f"{target} must be a whole file, got a damaged one ({error}); copy it again."
            ) from error
    receipt = receipt_of(remote, target, digests["sha256"])
    record(folder, remote.name, receipt)
    return receipt


def _drop(target: Path) -> None:
    part_of(target).unlink(missing_ok=True)
    _state_of(target).unlink(missing_ok=True)


def _bytes_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _unavailable(remote: Remote, reason: str, fix: str = "") -> SourceUnavailableError:
    fix = fix or "get it in a browser and put it there under this name, then run this again"
    return SourceUnavailableError(f"{remote.name} of {redacted(remote.url)}: {reason}; {fix}.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second process out of the folder; the lock goes when this process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise SourceUnavailableError(
            f"one process at a time fetches into {folder}, and another one does; wait for it."
        ) from error
