"""A folder in the layout of TotalSegmentator v1 is read as it is unpacked."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmtutor.data.anatomy import STRUCTURES, canonical
from fmtutor.data.totalsegmentator_v1 import IDS, TotalSegmentatorV1

AFFINE = np.array([[0, 0, -1.5, 90.0], [-1.5, 0, 0, 12.0], [0, -1.5, 0, 700.0], [0, 0, 0, 1]])
"""Axes run P, I, L."""
SHAPE = (6, 5, 9)
MASKS = {
    "spleen": slice(0, 1),
    "gluteus_maximus_left": slice(1, 2),
    "heart_myocardium": slice(2, 4),
    "heart_atrium_left": slice(4, 5),
    "lung_upper_lobe_left": slice(5, 6),
    "lung_lower_lobe_left": slice(0, 0),
    "esophagus": slice(3, 4),
}
"""Slab of the first axis; the oesophagus overlaps the myocardium, the lower lobe is not shown."""
META = "image_id;age;gender;institute;study_type;split"


def write(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def mask_of(name: str) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[MASKS[name]] = 1
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for scan in ("s0029", "s0004"):
        image = random.integers(-1000, 1000, SHAPE).astype(np.int16)
        write(tmp_path / scan / "ct.nii.gz", image)
        for name in MASKS:
            write(tmp_path / scan / "segmentations" / f"{name}.nii.gz", mask_of(name))
    rows = "s0004;66;f;A;ct thorax;test\ns0029;51;m;C;ct abdomen;train\n"
    (tmp_path / "meta.csv").write_text(f"{META}\n{rows}", encoding="utf-8-sig")
    return tmp_path


def test_scans_and_their_rows_are_listed(folder: Path) -> None:
    dataset = TotalSegmentatorV1(folder)
    assert dataset.ids == ("s0004", "s0029")
    assert dataset.meta["s0029"]["study_type"] == "ct abdomen"
    assert [dataset.meta[scan]["split"] for scan in dataset.ids] == ["test", "train"]


def test_a_case_holds_the_structures_that_were_asked_for(folder: Path) -> None:
    case = TotalSegmentatorV1(folder).case("s0004", ["spleen", "gluteus_maximus_left"])
    assert (case.name, case.modality) == ("s0004", "CT")
    assert case.provenance == "totalsegmentator_v1/s0004"
    assert case.table == {1: "spleen", 94: "gluteus_maximus_left"}
    assert case.known == {"spleen", "gluteus_maximus_left"}
    assert case.labels is not None
    assert case.labels.dtype == np.uint8
    assert np.unique(case.labels).tolist() == [0, 1, 94]
    with pytest.raises(ValueError, match="does not annotate"):
        case.mask("esophagus")


def test_image_and_labels_come_to_ras_together(folder: Path) -> None:
    case = TotalSegmentatorV1(folder).case("s0004", ["spleen"])
    stored = np.asarray(nib.load(folder / "s0004" / "ct.nii.gz").dataobj)
    assert case.grid.orientation == "RAS"
    assert case.native is not None
    assert np.array_equal(case.native.array_from_ras(case.image), stored)
    back = case.native.array_from_ras(case.mask("spleen"))
    assert np.array_equal(back, mask_of("spleen") == 1)


def test_an_empty_mask_is_known_and_absent(folder: Path) -> None:
    case = TotalSegmentatorV1(folder).case("s0004", ["lung_lower_lobe_left"])
    assert "lung_lower_lobe_left" in case.known
    assert not case.mask("lung_lower_lobe_left").any()


def test_names_are_canonical_and_any_spelling_or_composite_is_read(folder: Path) -> None:
    assert len(IDS) == 104
    assert all(canonical(name) == name in STRUCTURES for name in IDS)
    dataset = TotalSegmentatorV1(folder)
    assert dataset.case("s0029", ["Oesophagus"]).known == {"esophagus"}
    assert dataset.case("s0029", ["lung_left"]).known == {
        "lung_upper_lobe_left",
        "lung_lower_lobe_left",
    }


def test_the_larger_id_stays_where_masks_overlap(folder: Path) -> None:
    names = ["heart_myocardium", "esophagus"]
    dataset = TotalSegmentatorV1(folder)
    case, other = dataset.case("s0004", names), dataset.case("s0004", names[::-1])
    assert IDS["heart_myocardium"] > IDS["esophagus"]
    assert case.mask("heart_myocardium").sum() == mask_of("heart_myocardium").sum()
    assert not case.mask("esophagus").any()
    assert np.array_equal(case.labels, other.labels)
    assert dataset.case("s0004", ["esophagus"]).mask("esophagus").sum() == 45


def test_a_missing_scan_says_which_there_are(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no scan 's0726' among the 2 in .* s0004 to s0029; unpack"
    ):
        TotalSegmentatorV1(folder).case("s0726", ["spleen"])


def test_a_missing_mask_or_image_names_its_file(folder: Path) -> None:
    dataset = TotalSegmentatorV1(folder)
    with pytest.raises(
        FileNotFoundError, match=r"none for 'aorta' of s0004/ct.nii.gz at .*aorta.nii.gz; unpack"
    ):
        dataset.case("s0004", ["aorta"])
    (folder / "s0029" / "ct.nii.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"s0029.ct.nii.gz; check the path"):
        dataset.case("s0029", ["spleen"])


@pytest.mark.parametrize("structures", [["prostate"], ["spleen", "kidney_cyst_left"], []])
def test_what_v1_does_not_draw_is_refused(folder: Path, structures: list[str]) -> None:
    with pytest.raises(ValueError, match=r"Known: adrenal_gland_left|at least one structure"):
        TotalSegmentatorV1(folder).case("s0004", structures)


def test_a_mask_on_another_grid_is_refused(folder: Path) -> None:
    path = folder / "s0004" / "segmentations" / "spleen.nii.gz"
    write(path, mask_of("spleen"), AFFINE * [[1], [1], [1.01], [1]])
    with pytest.raises(
        ValueError, match=r"must share a grid, got .* in s0004/ct.nii.gz and .*spleen"
    ):
        TotalSegmentatorV1(folder).case("s0004", ["spleen"])
    write(path, mask_of("spleen")[:-1])
    with pytest.raises(ValueError, match=r"\(6, 5, 9\) @ .* and \(5, 5, 9\) @ .*; unpack"):
        TotalSegmentatorV1(folder).case("s0004", ["spleen"])


def test_a_mask_is_of_zeros_and_ones(folder: Path) -> None:
    write(folder / "s0004" / "segmentations" / "spleen.nii.gz", 255 * mask_of("spleen"))
    with pytest.raises(ValueError, match=r"a mask is of 0 and 1, got values from 0 to 255"):
        TotalSegmentatorV1(folder).case("s0004", ["spleen"])


def test_a_folder_of_v2_is_refused(folder: Path) -> None:
    write(folder / "s0004" / "segmentations" / "vertebrae_S1.nii.gz", mask_of("spleen"))
    with pytest.raises(
        ValueError, match=r"those of TotalSegmentator v1, .*'vertebrae_S1'.*download v1"
    ):
        TotalSegmentatorV1(folder)


def test_a_folder_without_scans_says_what_it_has(folder: Path, tmp_path_factory) -> None:
    above = tmp_path_factory.mktemp("above")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere; unpack"):
        TotalSegmentatorV1(above / "nowhere")
    (above / "Totalsegmentator_dataset").mkdir()
    with pytest.raises(ValueError, match=r"has \['Totalsegmentator_dataset'\]; name the folder"):
        TotalSegmentatorV1(above)


def test_rows_need_a_file_with_ids(folder: Path) -> None:
    (folder / "meta.csv").write_text("image_id,age\ns0004,66\n")
    with pytest.raises(ValueError, match=r"column image_id, .* has \['image_id,age'\]; copy"):
        _ = TotalSegmentatorV1(folder).meta
    (folder / "meta.csv").unlink()
    with pytest.raises(FileNotFoundError, match="part of the release"):
        _ = TotalSegmentatorV1(folder).meta
