"""Archives checked and unpacked: all of one or nothing, inside its folder, room checked first.

An archive is unpacked into ``.NAME.part`` beside its folder, which gets its name by one rename when
the last file is out. Names that lead out of the folder and links are refused; what macOS leaves in
archives (``__MACOSX``, ``._*``) is passed over.
"""

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

CHUNK = 1 << 20
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
"""Archives that Python unpacks."""
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error)


@dataclass(frozen=True)
class _Member:
    """A regular file of an archive."""

    path: PurePosixPath
    size: int
    open: Callable[[], BufferedIOBase]


def is_archive(path: Path) -> bool:
    """Return whether `unpack` takes a file of this name."""
    return path.name.lower().endswith(SUFFIXES)


def check_whole(path: Path, *, name: str | None = None) -> None:
    """Read a file through whatever checks its format has: zip, tar or gzip; others have none.

    Args:
        path: The file.
        name: Name that tells the format, where the file's own does not.

    Raises:
        ValueError: It is cut off or damaged.
    """
    kind = (name or path.name).lower()
    try:
        if kind.endswith(SUFFIXES):
            with _members(path, kind) as members:
                for member in members:
                    with member.open() as stream:
                        _read_through(stream)
        elif kind.endswith(".gz"):
            with gzip.open(path) as stream:
                _read_through(stream)
    except _BROKEN as error:
        raise ValueError(f"{path.name} is cut off or damaged: {error}") from error


def unpacked_size(path: Path) -> int:
    """Return how many bytes the files of an archive have.

    Raises:
        ValueError: It is damaged, or holds a name that leads out of its folder.
    """
    try:
        with _members(path, path.name.lower()) as members:
            return sum(member.size for member in members)
    except _BROKEN as error:
        raise ValueError(f"{path.name} is cut off or damaged: {error}") from error


def unpack(
    path: Path,
    folder: Path,
    *,
    nested: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Unpack an archive into a new folder, or leave nothing.

    Args:
        path: One of `SUFFIXES`.
        folder: Where to; it must not exist.
        nested: Whether archives in the archive are unpacked too, each into the folder it lies in.
        progress: Is told the bytes of each piece that is written.

    Raises:
        FileExistsError: The folder exists.
        ValueError: The archive is damaged, locked or packed in a way that Python cannot read, or
            a name leads out of the folder.
        OSError: The disk is full or cannot be written.
    """
    if folder.exists():
        raise FileExistsError(f"an archive is unpacked into a new folder, {folder} exists.")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what a killed process left
    part.mkdir(parents=True)
    try:
        _write(path, part, progress)
        for inner in sorted(part.rglob("*.zip")) if nested else ():
            _write(inner, inner.parent, progress)
            inner.unlink()
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(path: Path, folder: Path, progress: Callable[[int], object]) -> None:
    with _members(path, path.name.lower()) as members:
        for member in members:
            target = folder / member.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with _damage_named(path), target.open("wb") as file:
                stream = member.open()
                while chunk := stream.read(CHUNK):
                    file.write(chunk)
                    progress(len(chunk))


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """A full disk stays an OSError; whatever the archive does becomes a ValueError."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name} is cut off or damaged: {error}") from error
    except RuntimeError as error:  # a password; a method of packing that zipfile does not know
        raise ValueError(
            f"Python must be able to unpack an archive, {path.name} it cannot ({error}); unpack it "
            "by another program into a folder of its name without the ending."
        ) from error


@contextmanager
def _members(path: Path, kind: str) -> Iterator[Iterator[_Member]]:
    """Open an archive; its files come in stored order and must be read as they come."""
    with _damage_named(path):
        if kind.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                yield _of_zip(archive, path.name)
        else:
            with tarfile.open(path, "r:*") as tar:
                yield _of_tar(tar, path.name)


def _of_zip(archive: zipfile.ZipFile, name: str) -> Iterator[_Member]:
    for entry in archive.infolist():
        inside = _inside(entry.filename, name)
        if inside is not None and not entry.is_dir():
            if (entry.external_attr >> 16) & 0o170000 == 0o120000:
                raise _refused(name, entry.filename)
            yield _Member(inside, entry.file_size, partial(archive.open, entry))  # type: ignore[arg-type]


def _of_tar(tar: tarfile.TarFile, name: str) -> Iterator[_Member]:
    for entry in tar:
        inside = _inside(entry.name, name)
        if inside is not None and not entry.isdir():
            if not entry.isreg():
                raise _refused(name, entry.name)
            yield _Member(inside, entry.size, partial(tar.extractfile, entry))  # type: ignore[arg-type]


def _inside(stored: str, name: str) -> PurePosixPath | None:
    """Return a stored path if it is to be written, None if it is macOS's own."""
    path = PurePosixPath(stored.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in stored[:3]:
        raise _refused(name, stored)
    if "__MACOSX" in path.parts or path.name == ".DS_Store" or path.name.startswith("._"):
        return None
    return path


def _refused(name: str, stored: str) -> ValueError:
    return ValueError(
        f"an archive holds plain files below its own folder, {name} has {stored!r}; nothing is "
        "unpacked, do not trust this file."
    )


def _read_through(stream: BufferedIOBase) -> None:
    while stream.read(CHUNK):
        pass
