"""A published image in the common layout: linked, copied, packed or made from DICOM; never half."""

import errno
import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmtutor.data.cases import Case
from fmtutor.data.dicom import read_dicom
from fmtutor.data.nifti import read_nifti, write_nifti
from fmtutor.data.published_images import bytes_of, is_linked, write_image
from tests.data.dicom_series import OBLIQUE, write_series

VALUES = np.random.default_rng(1).integers(-1000, 1000, size=(4, 5, 6)).astype(np.int16)
AFFINE = np.diag([-1.5, 2.0, 3.0, 1.0])


def published(folder: Path, suffix: str) -> tuple[Path, Case]:
    path = folder / f"scan{suffix}"
    blank = Case(name="scan", image=VALUES.astype(np.float32), affine=AFFINE)
    write_nifti(VALUES, blank, path)
    return path, read_nifti(path)


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_packed_image_is_linked_and_costs_no_room(tmp_path):
    path, case = published(tmp_path, ".nii.gz")
    target = tmp_path / "new" / "images" / "a_0000.nii.gz"
    assert is_linked(path, target.parent), "asked of the nearest folder that exists"
    write_image(path, case, target)
    assert target.samefile(path)
    assert files(target.parent) == ["a_0000.nii.gz"]


def test_an_image_that_is_there_already_is_replaced_in_one_step(tmp_path):
    path, case = published(tmp_path, ".nii.gz")
    target = tmp_path / "out" / "a.nii.gz"
    target.parent.mkdir()
    target.write_bytes(b"older")
    (target.parent / ".a.nii.gz.part").write_bytes(b"left by a killed process")
    write_image(path, case, target)
    assert target.samefile(path)
    assert files(target.parent) == ["a.nii.gz"]


def test_where_the_file_system_has_no_links_the_image_is_copied(tmp_path, monkeypatch):
    path, case = published(tmp_path, ".nii.gz")
    monkeypatch.setattr(os, "link", no_links)
    target = tmp_path / "out" / "a.nii.gz"
    write_image(path, case, target)
    assert target.read_bytes() == path.read_bytes()
    assert not target.samefile(path)
    assert files(target.parent) == ["a.nii.gz"]


def test_an_image_on_another_disk_is_copied(tmp_path, monkeypatch):
    path, case = published(tmp_path, ".nii.gz")
    other, real = tmp_path / "other disk", Path.stat
    other.mkdir()

    def stat(self: Path, **more: bool) -> os.stat_result:
        found = real(self, **more)
        if self != other:
            return found
        return os.stat_result([*found[:2], found.st_dev + 1, *found[3:]])

    monkeypatch.setattr(Path, "stat", stat)
    assert not is_linked(path, other)
    write_image(path, case, other / "a.nii.gz")
    monkeypatch.undo()
    assert not (other / "a.nii.gz").samefile(path)
    assert (other / "a.nii.gz").read_bytes() == path.read_bytes()


def test_an_unpacked_image_is_packed_with_the_same_bytes(tmp_path):
    path, case = published(tmp_path, ".nii")
    assert not is_linked(path, tmp_path)
    target = tmp_path / "out" / "a.nii.gz"
    write_image(path, case, target)
    assert gzip.decompress(target.read_bytes()) == path.read_bytes()
    assert np.array_equal(read_nifti(target).image, case.image)


def test_a_dicom_series_becomes_nifti_on_its_own_grid(tmp_path):
    write_series(tmp_path / "series", directions=OBLIQUE)
    case = read_dicom(tmp_path / "series")
    target = tmp_path / "out" / "a.nii.gz"
    write_image(tmp_path / "series", case, target)
    back = read_nifti(target)
    assert np.array_equal(back.image, case.image)
    assert np.allclose(back.affine, case.affine, atol=1e-5)
    assert back.native.shape == case.native.shape, "stored as the series is, not turned"


def test_values_of_a_series_that_are_no_whole_numbers_are_kept(tmp_path):
    write_series(tmp_path / "series")
    case = read_dicom(tmp_path / "series")
    scaled = replace(case, image=case.image / 3)
    write_image(tmp_path / "series", scaled, tmp_path / "a.nii.gz")
    assert np.array_equal(read_nifti(tmp_path / "a.nii.gz").image, scaled.image)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ""])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, suffix):
    path, case = published(tmp_path, suffix or ".nii.gz")
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", no_links)
        patch.setattr(os, "replace", full)  # the last step: all bytes are in the part by then
        if suffix:
            patch.setattr(shutil, "copyfileobj", half)
            patch.setattr(shutil, "copyfile", half)
        image = path if suffix else path.parent
        with pytest.raises(OSError, match="No space left"):
            write_image(image, case, out / "a.nii.gz")
    assert files(out) == []
    write_image(path, case, out / "a.nii.gz")
    assert np.array_equal(read_nifti(out / "a.nii.gz").image, case.image)


def half(_: object, target: object, *__: object) -> None:
    """Write some bytes to a path or a file, and find the disk full."""
    if isinstance(target, Path):
        target.write_bytes(b"half")
    else:
        target.write(b"half")  # type: ignore[attr-defined]
    full()


def test_the_size_is_that_of_the_file_or_of_the_series(tmp_path):
    path, _ = published(tmp_path, ".nii")
    assert bytes_of(path) == len(path.read_bytes())
    write_series(tmp_path / "series")
    (tmp_path / "series" / "folder").mkdir()
    slices = [p for p in (tmp_path / "series").iterdir() if p.is_file()]
    assert bytes_of(tmp_path / "series") == sum(len(p.read_bytes()) for p in slices)
