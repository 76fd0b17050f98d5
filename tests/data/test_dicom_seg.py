"""DICOM segmentations: what is written is read back, voxel for voxel, with coded names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from fmtutor.data.dicom import read_dicom
from fmtutor.data.dicom_seg import OWN_SCHEME, read_dicom_seg, structure_code, write_dicom_seg
from fmtutor.data.resampling import resample_case
from tests.data.dicom_series import AXIAL, OBLIQUE, SAGITTAL, write_series

TABLE = {
    3: "liver",
    40: "kidney_left",
    41: "gluteus_maximus_right",
    90: "liver_lesion",
    95: "aorta",
}


def labels_on(case) -> np.ndarray:
    """Return a label map with an empty slice at either end and without an aorta."""
    labels = np.random.default_rng(0).choice([0, 3, 40, 41, 90], size=case.image.shape)
    labels[:, :, [0, -1]] = 0
    return labels.astype(np.uint8)


@pytest.mark.parametrize(
    "directions", [AXIAL, SAGITTAL, OBLIQUE], ids=["axial", "sagittal", "oblique"]
)
def test_a_label_map_comes_back_voxel_for_voxel(tmp_path: Path, directions) -> None:
    write_series(tmp_path / "ct", directions=directions)
    case = read_dicom(tmp_path / "ct")
    labels = labels_on(case)
    write_dicom_seg(labels, tmp_path / "ct", path=tmp_path / "seg.dcm", table=TABLE)
    again = read_dicom_seg(tmp_path / "seg.dcm", case)
    assert set(again.table.values()) == {
        "liver",
        "kidney_left",
        "gluteus_maximus_right",
        "liver_lesion",
    }
    for number, name in TABLE.items():
        if name in again.known:
            assert np.array_equal(again.mask(name), labels == number), name


def test_segments_are_coded_with_type_side_and_reference_to_the_series(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", uid="1.2.3.4")
    case = read_dicom(tmp_path / "ct")
    write_dicom_seg(labels_on(case), tmp_path / "ct", path=tmp_path / "seg.dcm", table=TABLE)
    file = pydicom.dcmread(tmp_path / "seg.dcm")
    liver, kidney, gluteus, lesion = file.SegmentSequence
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert kind.CodeMeaning == "Kidney"
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert gluteus.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == OWN_SCHEME
    assert lesion.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert file.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3.4"


def test_a_series_with_emptied_identifiers_can_be_segmented(tmp_path: Path) -> None:
    def anonymise(index, header) -> None:
        header.SOPInstanceUID = header.SOPClassUID = ""
        header.SeriesInstanceUID = header.StudyInstanceUID = ""

    write_series(tmp_path / "ct", spoil=anonymise)
    case = read_dicom(tmp_path / "ct")
    write_dicom_seg(labels_on(case), tmp_path / "ct", path=tmp_path / "seg.dcm", table=TABLE)
    assert read_dicom_seg(tmp_path / "seg.dcm", case).mask("liver").any()


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    case = read_dicom(tmp_path / "ct")
    target = {"path": tmp_path / "seg.dcm", "table": TABLE}
    with pytest.raises(ValueError, match="on the grid of the series"):
        write_dicom_seg(np.ones((2, 2, 2), np.uint8), tmp_path / "ct", **target)
    with pytest.raises(ValueError, match=r"\[7\]"):
        write_dicom_seg(np.full(case.image.shape, 7, np.uint8), tmp_path / "ct", **target)
    with pytest.raises(ValueError, match="zeros only"):
        write_dicom_seg(np.zeros(case.image.shape, np.uint8), tmp_path / "ct", **target)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_segmentation_of_another_grid_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    case = read_dicom(tmp_path / "ct")
    write_dicom_seg(labels_on(case), tmp_path / "ct", path=tmp_path / "seg.dcm", table=TABLE)
    moved = case.affine.copy()
    moved[0, 3] += 0.5 * case.spacing_mm[0]
    others = [resample_case(case, (2.0, 2.0, 2.0)), replace(case, affine=moved)]
    others.append(replace(case, image=case.image[:4]))
    for other in others:
        with pytest.raises(ValueError, match="lie on the grid of its case"):
            read_dicom_seg(tmp_path / "seg.dcm", other)


def test_a_file_that_is_no_segmentation_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    case = read_dicom(tmp_path / "ct")
    (tmp_path / "text.dcm").write_text("no")
    for path in (tmp_path / "text.dcm", next((tmp_path / "ct").iterdir())):
        with pytest.raises(ValueError, match="not a DICOM segmentation"):
            read_dicom_seg(path, case)
    with pytest.raises(FileNotFoundError, match=r"none\.dcm"):
        read_dicom_seg(tmp_path / "none.dcm", case)


@pytest.mark.parametrize(
    ("structure", "meaning", "side"),
    [
        ("kidney_right", "Kidney", "right"),
        ("small_bowel", "Small intestine", None),
        ("vertebrae_L1", "L1 vertebra", None),
        ("rib_left_7", "Rib", "left"),
        ("hip_left", "hip left", "left"),
    ],
)
def test_structures_have_a_coded_type_and_a_side(structure, meaning, side) -> None:
    code, found = structure_code(structure)
    assert (code.meaning, found) == (meaning, side)
