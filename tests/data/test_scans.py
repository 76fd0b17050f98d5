"""Scans are read in the forms they are published in, or refused with what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from fmtutor.data.scans import mask_files_scan, mask_series_scan, pictures_scan, series_scan
from fmtutor.data.sources import source
from tests.data_scripts.look_alikes import dicom_series, image_of, label_map, nifti, pictures

LIVER = {255: "liver"}
CHAOS = source("chaos_ct")


def put(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return put(dicom_series(image_of(0), lambda n: f"i{n:04d},0000b.dcm"), tmp_path / "series")


def test_pictures_go_with_the_slice_of_the_same_number(series, tmp_path):
    drawn = put(pictures(label_map(CHAOS), lambda n: f"liver_GT_{n:03d}.png"), tmp_path / "ground")
    case = pictures_scan("a", series, drawn, LIVER).read()
    assert np.array_equal(case.mask("liver"), label_map(CHAOS) > 0)
    assert np.array_equal(case.image, image_of(0))


def test_a_picture_too_few_is_refused(series, tmp_path):
    drawn = put(pictures(label_map(CHAOS), lambda n: f"liver_GT_{n:03d}.png"), tmp_path / "ground")
    (drawn / "liver_GT_004.png").unlink()
    with pytest.raises(ValueError, match=r"got 10 slices in .* and 9 pictures"):
        pictures_scan("a", series, drawn, LIVER).read()


def test_a_picture_of_another_size_is_refused(series, tmp_path):
    drawn = put(pictures(label_map(CHAOS)[:8], lambda n: f"{n:03d}.png"), tmp_path / "ground")
    with pytest.raises(ValueError, match=r"size \(12, 16\), got \(12, 8\)"):
        pictures_scan("a", series, drawn, LIVER).read()


def test_mask_slices_are_paired_by_name_and_the_later_structure_stays(series, tmp_path):
    drawn = label_map(CHAOS)
    vein = np.roll(drawn, 1, axis=0)
    folders = {
        "liver": [put(dicom_series(drawn, lambda n: f"i{n:04d},0000b.dcm"), tmp_path / "liver")],
        "portal_vein": [put(dicom_series(vein, lambda n: f"i{n:04d},0000b.dcm"), tmp_path / "v")],
    }
    table = {1: "liver", 2: "portal_vein", 3: "spleen"}
    scan = mask_series_scan("a", series, folders, table)
    case = scan.read()
    assert scan.annotated == case.known == {"liver", "portal_vein"}
    assert np.array_equal(case.mask("portal_vein"), vein > 0)
    assert np.array_equal(case.mask("liver"), (drawn > 0) & (vein == 0))


def test_a_slice_without_its_mask_is_refused(series, tmp_path):
    folder = put(dicom_series(label_map(CHAOS), lambda n: f"other_{n}"), tmp_path / "liver")
    with pytest.raises(ValueError, match=r"got none for \['i0009,0000b.dcm'"):
        mask_series_scan("a", series, {"liver": [folder]}, {1: "liver"}).read()


def test_a_label_map_beside_a_series_must_lie_on_its_voxels(series, tmp_path):
    labels = tmp_path / "label.nii.gz"
    labels.write_bytes(nifti(label_map(CHAOS)))
    case = series_scan("a", series, labels, LIVER).read()
    assert np.array_equal(case.mask("liver"), label_map(CHAOS) > 0)
    labels.write_bytes(nifti(label_map(CHAOS), affine=np.diag([1.5, -2.0, 3.0, 1.0])))
    with pytest.raises(ValueError, match="must share their voxels"):
        series_scan("a", series, labels, LIVER).read()


def test_mask_files_must_be_there_binary_and_on_the_grid(tmp_path):
    image, mask = tmp_path / "ct.nii.gz", tmp_path / "liver.nii.gz"
    image.write_bytes(nifti(image_of(0)))
    scan = mask_files_scan("a", image, {"liver": mask}, {1: "liver"})
    with pytest.raises(FileNotFoundError, match="got none for 'liver' of a"):
        scan.read()
    mask.write_bytes(nifti(label_map(CHAOS)))
    with pytest.raises(ValueError, match="a mask is of 0 and 1, got values from 0 to 255"):
        scan.read()
    mask.write_bytes(nifti(label_map(CHAOS)[:8] // 255))
    with pytest.raises(ValueError, match="must share a grid"):
        scan.read()
    mask.write_bytes(nifti(label_map(CHAOS) // 255))
    assert np.array_equal(scan.read().mask("liver"), label_map(CHAOS) > 0)
