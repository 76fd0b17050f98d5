"""Archives come out whole and inside their folder, or not at all."""

import errno
import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from fmtutor.data import unpacking
from fmtutor.data.unpacking import check_whole, is_archive, unpack, unpacked_size

FILES = {"set/images/a.nii.gz": b"image" * 4000, "set/labels/a.nii.gz": b"labels" * 3000}
LITTER = {"__MACOSX/set/._a": b"x", "set/images/._a.nii.gz": b"x", "set/.DS_Store": b"x"}


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


KINDS = pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz"])


@KINDS
def test_an_archive_is_unpacked_without_what_macos_leaves(tmp_path, name):
    path = write_archive(tmp_path / name, FILES | LITTER)
    assert is_archive(path)
    check_whole(path)
    assert unpacked_size(path) == sum(map(len, FILES.values()))
    unpack(path, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert {name for name in found if (tmp_path / "out" / name).is_file()} == set(FILES)
    assert all((tmp_path / "out" / name).read_bytes() == FILES[name] for name in FILES)


@KINDS
def test_a_truncated_archive_leaves_nothing(tmp_path, name):
    path = write_archive(tmp_path / name, FILES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="cut off or damaged"):
        check_whole(path)
    with pytest.raises(ValueError, match="cut off or damaged"):
        unpack(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == [name]


@KINDS
@pytest.mark.parametrize("stored", ["../evil", "/evil", "set/../../evil"])
def test_names_that_lead_out_are_refused(tmp_path, name, stored):
    path = write_archive(tmp_path / name, FILES | {stored: b"x"})
    with pytest.raises(ValueError, match="below its own folder"):
        unpack(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        entry = tarfile.TarInfo("set/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    link = zipfile.ZipInfo("set/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    for name in ("a.tar", "a.zip"):
        with pytest.raises(ValueError, match="do not trust"):
            unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    path = write_archive(tmp_path / "set.zip", FILES)
    real = Path.open

    def full(self: Path, mode: str = "r", *more: object) -> object:
        if "w" in mode and "labels" in str(self):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["set.zip"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    path = write_archive(tmp_path / "set.zip", FILES)
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half").write_bytes(b"x")
    unpack(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "set.zip"]
    assert not (tmp_path / "out" / "half").exists()


def test_archives_in_an_archive_come_out_where_they_lie(tmp_path):
    inner = write_archive(tmp_path / "inner.zip", {"MASKS/liver/image_0": b"mask"}).read_bytes()
    path = write_archive(tmp_path / "set.zip", {"set/1/MASKS.zip": inner})
    unpack(path, tmp_path / "out", nested=True)
    assert (tmp_path / "out/set/1/MASKS/liver/image_0").read_bytes() == b"mask"
    assert not (tmp_path / "out/set/1/MASKS.zip").exists()


def test_a_folder_that_exists_is_left_alone(tmp_path):
    path = write_archive(tmp_path / "set.zip", FILES)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="new folder"):
        unpack(path, tmp_path / "out")


def test_a_gzip_file_is_read_through(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"voxels" * 1000))
    check_whole(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"scan\.nii\.gz is cut off"):
        check_whole(path)
    assert unpacking.is_archive(path) is False
