"""A folder in nnU-Net's raw layout is a dataset, whoever wrote it."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmtutor.data.nnunet_raw import read_dataset

AFFINE = np.array([[0, 0, -0.8, 90.5], [-1.3, 0, 0, 12.25], [0, -4.1, 0, 700.0], [0, 0, 0, 1]])
"""Axes run P, I, L; anisotropic."""
SHAPE = (6, 5, 9)
PLAIN = {"background": 0, "liver": 1, "spleen": 2}
REGIONS = {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3}


def make(folder: Path, *, channels: tuple[str, ...] = ("CT",), cases: int = 2, **plan) -> Path:
    """Write a dataset the way a user of nnU-Net would have it."""
    random = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for index in range(cases):
        for number in range(len(channels)):
            image = random.normal(size=SHAPE).astype(np.float32) + 100 * number
            path = folder / "imagesTr" / f"case_{index:03d}_{number:04d}.nii.gz"
            nib.save(nib.Nifti1Image(image, AFFINE), path)
        labels = random.integers(0, 3, size=SHAPE).astype(np.uint8)
        path = folder / "labelsTr" / f"case_{index:03d}.nii.gz"
        nib.save(nib.Nifti1Image(labels, AFFINE), path)
    values = {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": PLAIN,
        "numTraining": cases,
        "file_ending": ".nii.gz",
    } | plan
    kept = {key: value for key, value in values.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(kept))
    return folder


def test_cases_are_read_when_asked_for_in_ras(tmp_path: Path) -> None:
    dataset = read_dataset(make(tmp_path / "Dataset001_Abdomen"))
    assert len(dataset) == 2
    assert dataset.names == ("case_000", "case_001")
    case = dataset["case_001"]
    assert case.grid.orientation == "RAS"
    assert (case.name, case.modality) == ("case_001", "CT")
    assert case.provenance == "Dataset001_Abdomen/case_001"
    stored = nib.load(tmp_path / "Dataset001_Abdomen/labelsTr/case_001.nii.gz")
    assert np.array_equal(case.native.array_from_ras(case.labels), np.asarray(stored.dataobj))
    assert np.array_equal(dataset[1].image, case.image)
    assert [case.name for case in dataset] == ["case_000", "case_001"]


def test_without_a_list_of_annotated_labels_all_are_known(tmp_path: Path) -> None:
    dataset = read_dataset(make(tmp_path / "d"))
    assert dataset.known == {"liver", "spleen"}
    assert dataset[0].known == {"liver", "spleen"}
    assert [region.name for region in dataset.protocol.regions] == ["liver", "spleen"]


def test_only_annotated_labels_are_known(tmp_path: Path) -> None:
    dataset = read_dataset(make(tmp_path / "d", annotated=["spleen"]))
    assert dataset[0].known == {"spleen"}
    assert dataset.table == {1: "liver", 2: "spleen"}
    assert [region.name for region in dataset.protocol.regions] == ["spleen"]


def test_region_based_labels_become_regions_of_structures(tmp_path: Path) -> None:
    dataset = read_dataset(make(tmp_path / "d", labels=REGIONS, regions_class_order=[1, 2, 3]))
    assert dataset.table == {1: "label_1", 2: "label_2", 3: "enhancing"}
    whole, core, enhancing = dataset.protocol.regions
    assert whole.structures == {"label_1", "label_2", "enhancing"}
    assert core.structures == {"label_2", "enhancing"}
    assert (enhancing.name, enhancing.structures) == ("enhancing", {"enhancing"})
    case = dataset[0]
    assert np.array_equal(case.mask(*core.structures), case.labels >= 2)


def test_structures_name_the_ids_that_no_label_names_alone(tmp_path: Path) -> None:
    structures = {"1": "oedema", "2": "necrosis"}
    dataset = read_dataset(make(tmp_path / "d", labels=REGIONS, structures=structures))
    assert dataset.table == {1: "oedema", 2: "necrosis", 3: "enhancing"}


def test_labels_are_renamed_to_canonical_names(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "d", labels={"background": 0, "Leber": 1, "Milz": 2}, annotated=["Milz"]
    )
    dataset = read_dataset(folder, rename={"Leber": "liver", "Milz": "spleen"})
    assert dataset.table == {1: "liver", 2: "spleen"}
    assert dataset.known == {"spleen"}


def test_a_channel_is_chosen_by_number(tmp_path: Path) -> None:
    folder = make(tmp_path / "d", channels=("T1", "T2"))
    with pytest.raises(ValueError, match="choose channel="):
        read_dataset(folder)
    with pytest.raises(ValueError, match="no channel 2"):
        read_dataset(folder, channel=2)
    case = read_dataset(folder, channel=1)[0]
    assert case.modality == "MR"
    assert case.image.mean() == pytest.approx(100, abs=1)


def test_an_unknown_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="case_000, case_001"):
        read_dataset(make(tmp_path / "d"))["case_007"]


BAD_PLANS = {
    "a missing key": ({"file_ending": None}, "file_ending"),
    "a v1 dataset": ({"channel_names": None, "modality": {"0": "CT"}}, "channel_names"),
    "a wrong count": ({"numTraining": 9}, "says 9 and there are 2"),
    "another format": ({"file_ending": ".png"}, r"\.png"),
    "no background": ({"labels": {"liver": 1}}, "'background': 0"),
    "an ignore label": ({"labels": PLAIN | {"ignore": 3}}, "'ignore'"),
    "an unknown annotated name": ({"annotated": ["colon"]}, "colon"),
    "a list of files": ({"dataset": {}}, "lists of files"),
}


@pytest.mark.parametrize("kind", BAD_PLANS)
def test_a_bad_dataset_json_is_one_clear_error(tmp_path: Path, kind: str) -> None:
    plan, message = BAD_PLANS[kind]
    with pytest.raises(ValueError, match=message):
        read_dataset(make(tmp_path / "d", **plan))


def test_unpaired_images_and_labels_are_listed(tmp_path: Path) -> None:
    folder = make(tmp_path / "d")
    (folder / "labelsTr/case_000.nii.gz").unlink()
    (folder / "imagesTr/case_001_0000.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"\['case_000'\].*\['case_001'\]"):
        read_dataset(folder)


def test_a_label_id_that_dataset_json_lacks_is_found_on_reading(tmp_path: Path) -> None:
    folder = make(tmp_path / "d", labels={"background": 0, "liver": 1})
    with pytest.raises(ValueError, match=r"\[2\] in .*case_000"):
        read_dataset(folder)["case_000"]


def test_a_folder_without_dataset_json_and_broken_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"dataset\.json"):
        read_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_dataset(tmp_path)
