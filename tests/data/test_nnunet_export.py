"""Datasets written for nnU-Net are read back as they were, on their native grids."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fmtutor.core.geometry import Grid
from fmtutor.data.cases import Case
from fmtutor.data.nnunet_export import write_dataset
from fmtutor.data.nnunet_raw import read_dataset
from fmtutor.data.regions import Protocol, Region

NATIVE = Grid(
    (6, 5, 9),
    np.array([[0, 0, -0.75, 90.5], [-1.25, 0, 0, 12.25], [0, -4.0, 0, 700.0], [0, 0, 0, 1]]),
)
"""Axes run P, I, L; anisotropic."""
TABLE = {5: "liver", 21: "liver_lesion", 40: "spleen", 90: "aorta"}
KNOWN = frozenset({"liver", "liver_lesion", "spleen"})
TUMOUR = Protocol(
    "tumour",
    (Region.of("tumour", "liver_lesion"), Region.of("liver", "liver", "liver_lesion")),
)


def case_of(name: str, seed: int = 0) -> Case:
    random = np.random.default_rng(seed)
    ras = NATIVE.to_ras()
    return Case(
        name=name,
        image=random.normal(size=ras.shape).astype(np.float32),
        affine=ras.affine,
        labels=random.choice([0, *TABLE], size=ras.shape).astype(np.uint8),
        table=TABLE,
        known=KNOWN,
        native=NATIVE,
    )


def test_cases_come_back_as_they_were_on_the_native_grid(tmp_path: Path) -> None:
    cases = [case_of("a", 0), case_of("b", 1)]
    write_dataset((case for case in cases), tmp_path / "Dataset501_Centre")
    stored = nib.load(tmp_path / "Dataset501_Centre/imagesTr/a_0000.nii.gz")
    assert stored.affine.tobytes() == NATIVE.affine.tobytes()
    dataset = read_dataset(tmp_path / "Dataset501_Centre")
    assert dataset.names == ("a", "b")
    for before, after in zip(cases, dataset, strict=True):
        assert np.array_equal(after.image, before.image)
        assert after.known == KNOWN
        for structure in KNOWN:
            assert np.array_equal(after.mask(structure), before.mask(structure))


def test_label_ids_are_consecutive_and_unknown_structures_become_background(tmp_path) -> None:
    write_dataset([case_of("a")], tmp_path / "d")
    plan = json.loads((tmp_path / "d/dataset.json").read_text())
    assert plan["labels"] == {"background": 0, "liver": 1, "liver_lesion": 2, "spleen": 3}
    assert plan["numTraining"] == 1
    labels = np.asarray(nib.load(tmp_path / "d/labelsTr/a.nii.gz").dataobj)
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert labels.dtype == np.uint8


def test_regions_are_written_as_region_based_labels_large_ones_first(tmp_path: Path) -> None:
    write_dataset([case_of("a")], tmp_path / "d", protocol=TUMOUR)
    text = (tmp_path / "d/dataset.json").read_text()
    plan = json.loads(text)
    assert plan["labels"] == {"background": 0, "liver": [1, 2], "tumour": 2}
    assert list(plan["labels"]) == ["background", "liver", "tumour"]  # nnU-Net relies on the order
    assert plan["regions_class_order"] == [1, 2]
    dataset = read_dataset(tmp_path / "d")
    assert set(dataset.protocol.regions) == set(TUMOUR.regions)
    assert dataset[0].known == {"liver", "liver_lesion"}


def test_a_known_structure_that_no_case_shows_stays_known(tmp_path: Path) -> None:
    case = replace(case_of("a"), known=KNOWN | {"pancreas"})
    write_dataset([case], tmp_path / "d")
    assert read_dataset(tmp_path / "d").known == KNOWN | {"pancreas"}


def bad_cases() -> dict[str, tuple[list[Case], str]]:
    good = case_of("a")
    return {
        "no cases": ([], "at least one case"),
        "one name twice": ([good, case_of("a", 1)], "'a' twice"),
        "no labels": ([replace(good, labels=None)], "has none"),
        "other structures": ([good, replace(case_of("b"), known=frozenset({"aorta"}))], "known"),
        "another modality": ([good, replace(case_of("b"), modality="MR")], "modality"),
    }


@pytest.mark.parametrize("kind", list(bad_cases()))
def test_cases_that_make_no_dataset_are_refused(tmp_path: Path, kind: str) -> None:
    cases, message = bad_cases()[kind]
    with pytest.raises(ValueError, match=message):
        write_dataset(cases, tmp_path / "d")
    assert not (tmp_path / "d/dataset.json").exists()


def test_a_protocol_of_unknown_structures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="aorta"):
        write_dataset([case_of("a")], tmp_path / "d", protocol=Protocol("p", (Region.of("aorta"),)))


def test_a_folder_with_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="not empty"):
        write_dataset([case_of("a")], tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["mine.txt"]
