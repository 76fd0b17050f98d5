"""DICOM series: every voxel in its place, every broken series one clear error."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from fmtutor.core.geometry import world_to_voxel
from fmtutor.data.dicom import read_dicom
from fmtutor.data.nifti import read_nifti, write_nifti
from fmtutor.data.samples import sample
from tests.data.dicom_series import (
    AXIAL,
    COLUMN,
    INTERCEPT,
    OBLIQUE,
    ROW,
    SAGITTAL,
    SHAPE,
    SLICE,
    SLOPE,
    slice_position,
    write_series,
)


@pytest.mark.parametrize(
    "directions", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"]
)
def test_each_pixel_lies_where_its_header_says_in_hu(tmp_path: Path, directions) -> None:
    values = write_series(tmp_path / "ct", directions=directions)
    case = read_dicom(tmp_path / "ct")
    assert case.name == "ct"
    assert case.grid.orientation == "RAS"
    assert case.image.dtype == np.float32
    for k, r, c in [(0, 0, 0), (4, 5, 6), (1, 4, 2), (3, 0, 5)]:
        lps = slice_position(k, directions) + c * COLUMN * np.array(directions[:3])
        ras = (lps + r * ROW * np.array(directions[3:])) * [-1, -1, 1]
        voxel = world_to_voxel(ras, case.affine)
        np.testing.assert_allclose(voxel, np.round(voxel), atol=1e-6)
        assert case.image[tuple(np.round(voxel).astype(int))] == values[k, r, c] * SLOPE + INTERCEPT


def test_the_native_grid_has_columns_rows_and_slices(tmp_path: Path) -> None:
    write_series(tmp_path)
    native = read_dicom(tmp_path).native
    assert native.shape == SHAPE[::-1]
    assert native.orientation == "LPS"
    assert native.spacing_mm == (COLUMN, ROW, SLICE)  # not the slice thickness


def test_slice_scaling_may_differ_between_slices(tmp_path: Path) -> None:
    def spoil(index, header) -> None:
        header.RescaleSlope = 1.0 + index

    values = write_series(tmp_path, spoil=spoil)
    case = read_dicom(tmp_path)
    stored = case.native.array_from_ras(case.image).transpose(2, 1, 0)
    assert np.array_equal(stored[3], values[3] * 4.0 + INTERCEPT)


def test_a_series_goes_to_nifti_with_its_affine(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", directions=OBLIQUE)
    case = read_dicom(tmp_path / "ct")
    write_nifti(case.image, case, tmp_path / "ct.nii.gz")
    again = read_nifti(tmp_path / "ct.nii.gz")
    np.testing.assert_allclose(again.affine, case.affine, atol=1e-4)
    assert np.array_equal(again.image, case.image)


def test_other_files_and_series_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "slices")
    write_series(tmp_path / "report", modality="SR")
    (tmp_path / "notes.txt").write_text("hello")
    assert read_dicom(tmp_path).modality == "CT"


def test_magnetic_resonance_is_told_from_ct(tmp_path: Path) -> None:
    write_series(tmp_path, modality="MR")
    assert read_dicom(tmp_path).modality == "MR"


def test_one_of_several_series_is_chosen_by_its_uid(tmp_path: Path) -> None:
    write_series(tmp_path / "a", uid="1.2.3.1")
    write_series(tmp_path / "b", uid="1.2.3.2", directions=SAGITTAL)
    with pytest.raises(
        ValueError, match=r"series_uid=(.|\n)*1\.2\.3\.1(.|\n)*1\.2\.3\.2: CT, 5 files"
    ):
        read_dicom(tmp_path)
    assert read_dicom(tmp_path, series_uid="1.2.3.2").native.orientation != "LPS"
    with pytest.raises(ValueError, match=r"no CT or MR series '9'"):
        read_dicom(tmp_path, series_uid="9")


def drop(*gone: int):
    return lambda index, header: index in gone


def move(header, by_mm: tuple[float, float, float]) -> None:
    header.ImagePositionPatient = [
        float(x + by) for x, by in zip(header.ImagePositionPatient, by_mm, strict=True)
    ]


BAD = {
    "a missing slice": (drop(2), r"every 4\.00 mm.* 604\.00 to 612\.00"),
    "two slices in one place": (lambda i, h: move(h, (0, 0, -4.0 * (i == 2))), r"two at 604\.00"),
    "uneven slices": (lambda i, h: move(h, (0, 0, 1.0 * (i == 2))), "evenly"),
    "a gantry tilt": (lambda i, h: move(h, (0, 0.8 * i, 0)), r"gantry tilt of 11\.3"),
    "a scout": (
        lambda i, h: setattr(h, "ImageOrientationPatient", list(SAGITTAL)) if i == 0 else None,
        "agree in",
    ),
    "another spacing": (
        lambda i, h: setattr(h, "PixelSpacing", [1, 1]) if i == 0 else None,
        "agree",
    ),
    "no position": (lambda i, h: h.__delattr__("ImagePositionPatient"), "no ImagePositionPatient"),
    "several frames": (lambda i, h: setattr(h, "NumberOfFrames", 3), "3 frames"),
    "colour": (lambda i, h: setattr(h, "SamplesPerPixel", 3), "colour"),
    "cut pixels": (lambda i, h: setattr(h, "PixelData", h.PixelData[:20]), "cannot be read"),
    "no spacing": (lambda i, h: setattr(h, "PixelSpacing", [0, 1]), "spacing must be positive"),
    "another kind": (lambda i, h: setattr(h, "Modality", "PT"), "has none(.|\n)*PT, 5 files"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_broken_series_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    spoil, message = BAD[kind]
    write_series(tmp_path, spoil=lambda i, h: spoil(i, h) is True)
    with pytest.raises(ValueError, match=message):
        read_dicom(tmp_path)


def test_a_folder_without_dicom_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="no DICOM file"):
        read_dicom(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_dicom(tmp_path / "nowhere")


def test_a_single_slice_takes_its_thickness_as_depth(tmp_path: Path) -> None:
    write_series(tmp_path, spoil=drop(1, 2, 3, 4))
    case = read_dicom(tmp_path)
    assert case.image.shape == (7, 6, 1)
    assert case.spacing_mm[2] == 6.0


@pytest.mark.network
def test_the_real_series_lies_on_the_grid_of_its_reference_segmentation() -> None:
    folder = sample("abdomen_ct_dicom")
    case = read_dicom(folder / "example_ct_dicom")
    reference = nib.load(folder / "example_seg_dicom.nii.gz")
    labels = nib.as_closest_canonical(reference)
    np.testing.assert_allclose(case.affine, labels.affine, atol=1e-3)
    assert case.image.shape == labels.shape == (512, 512, 20)
    numbers = np.asarray(labels.dataobj)
    liver, spleen = case.image[numbers == 5], case.image[numbers == 1]
    assert 60 < np.median(liver) < 130  # HU with contrast
    assert 60 < np.median(spleen) < 150
    assert case.image.min() == -1024
    write_back = case.native.array_from_ras(case.image)
    middle = pydicom.dcmread(next((folder / "example_ct_dicom").iterdir()))
    index = round((float(middle.ImagePositionPatient[2]) + 804.5) / 2.0)
    assert np.array_equal(write_back[:, :, index].T, middle.pixel_array - 1024.0)
