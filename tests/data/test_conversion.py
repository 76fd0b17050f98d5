"""Scans become a dataset in the common layout, one whole file at a time."""

import errno
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmtutor.core.files import read_json, write_json
from fmtutor.data import conversion
from fmtutor.data.conversion import convert
from fmtutor.data.fetching import SourceUnavailableError
from fmtutor.data.nnunet_raw import read_dataset
from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source
from tests.data_scripts.look_alikes import image_of, label_map, nifti, truth

KITS = source("kits")
DATASET = "Dataset512_KiTS21"


@pytest.fixture
def scans(tmp_path: Path) -> list[Scan]:
    found = []
    for number in (0, 1):
        image, labels = tmp_path / f"{number}.nii.gz", tmp_path / f"{number}_seg.nii.gz"
        image.write_bytes(nifti(image_of(number)))
        labels.write_bytes(nifti(label_map(KITS)))
        found.append(label_map_scan(f"case_{number}", image, labels, KITS.labels))
    return found


def statuses(scans: list[Scan], raw: Path, of=KITS) -> dict[str, str]:
    return {outcome.scan: outcome.status for outcome in convert(of, scans, raw)}


def test_sides_are_split_with_their_lesions(scans, tmp_path):
    assert statuses(scans, tmp_path / "raw") == {"case_0": "written", "case_1": "written"}
    dataset = read_dataset(tmp_path / "raw" / DATASET)
    for structure in KITS.written:
        assert np.array_equal(dataset["case_1"].mask(structure), truth(KITS, structure))
    plan = read_json(dataset.folder / "dataset.json")
    assert plan["annotated"] == ["kidney_left", "kidney_right", "kidney_lesion"]
    assert plan["labels"]["kidney_left"] == [1, 3, 5]
    record = read_json(dataset.folder / "conversion.json")
    assert "The kidney region includes the tumour." in record["protocol"]


def test_an_interrupted_conversion_goes_on(scans, tmp_path):
    run = convert(KITS, scans, tmp_path / "raw")
    next(run)
    run.close()
    assert not (tmp_path / "raw" / DATASET / "dataset.json").exists()
    assert statuses(scans, tmp_path / "raw") == {"case_0": "kept", "case_1": "written"}
    assert len(read_dataset(tmp_path / "raw" / DATASET)) == 2


def test_a_full_disk_stops_with_what_to_do_and_leaves_no_half_scan(scans, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(conversion, "write_nifti", full)
    with pytest.raises(SourceUnavailableError, match=r"case_0 .*No space left.*free space there"):
        statuses(scans, tmp_path / "raw")
    assert list((tmp_path / "raw").rglob("labelsTr/*")) == []
    assert not (tmp_path / "raw" / DATASET / "dataset.json").exists()
    monkeypatch.undo()
    assert set(statuses(scans, tmp_path / "raw").values()) == {"written"}


def test_labels_that_the_table_lacks_fail_the_scan_alone(scans, tmp_path):
    strange = label_map(KITS)
    strange[0, 0, 0] = 9
    (tmp_path / "1_seg.nii.gz").write_bytes(nifti(strange))
    found = {outcome.scan: outcome for outcome in convert(KITS, scans, tmp_path / "raw")}
    assert found["case_0"].status == "written"
    assert "label ids must be in the table, got [9]" in found["case_1"].reason
    assert read_dataset(tmp_path / "raw" / DATASET).names == ("case_0",)


def test_labels_on_another_grid_are_refused(scans, tmp_path):
    moved = np.diag([-1.5, -2.0, 3.0, 1.0])
    moved[0, 3] = 40
    (tmp_path / "0_seg.nii.gz").write_bytes(nifti(label_map(KITS), affine=moved))
    assert statuses(scans, tmp_path / "raw")["case_0"] == "failed"


def test_scans_that_are_known_to_be_broken_are_left_out_with_the_reason(scans, tmp_path):
    of = replace(KITS, leave_out={"case_1": "its header is wrong"})
    outcomes = list(convert(of, scans, tmp_path / "raw"))
    assert [(o.scan, o.status, o.reason) for o in outcomes if o.reason] == [
        ("case_1", "left out", "its header is wrong")
    ]
    assert read_dataset(tmp_path / "raw" / DATASET).names == ("case_0",)


def test_a_folder_begun_in_another_way_is_not_gone_on_with(scans, tmp_path):
    statuses(scans, tmp_path / "raw")
    write_json(tmp_path / "raw" / DATASET / "conversion.json", {"how": {}})
    with pytest.raises(ValueError, match=r"begun in another .* delete it"):
        statuses(scans, tmp_path / "raw")


def test_scans_of_something_else_are_not_mixed_in(scans, tmp_path):
    statuses(scans, tmp_path / "raw")
    with pytest.raises(ValueError, match=r"has \['case_1.nii.gz'\] of something else"):
        statuses(scans[:1], tmp_path / "raw")


def test_names_must_differ_and_there_must_be_scans(scans, tmp_path):
    for given in ([], [scans[0], scans[0]]):
        with pytest.raises(ValueError, match="needs scans of different names"):
            statuses(given, tmp_path / "raw")


def test_an_unpacked_image_is_packed(scans, tmp_path):
    plain = tmp_path / "plain.nii"
    plain.write_bytes(nifti(image_of(3), packed=False))
    labels = tmp_path / "0_seg.nii.gz"
    scan = label_map_scan("plain", plain, labels, KITS.labels)
    statuses([scan], tmp_path / "raw")
    path = read_dataset(tmp_path / "raw" / DATASET).image_path("plain")
    assert np.array_equal(nib.load(path).get_fdata(), nib.load(plain).get_fdata())
