"""The paper profile of a recipe, on a dataset in the common layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmtutor.bench.few_shot_grid import FAMILIES
from fmtutor.bench.paper_training import DATA_FILE, datasets_of, paper_recipe, train_paper
from fmtutor.bench.rehearsal import Cut
from fmtutor.core.files import read_json, write_json
from fmtutor.core.geometry import Grid
from fmtutor.data.nifti import write_nifti
from fmtutor.paradigms.partial import fseft

NAMES = {"spleen": 1, "lung_upper_lobe_left": 2, "gluteus_maximus_left": 3, "liver": 4}
SMALL = Cut(steps=2, width=4, patch=(64, 32, 32))


def dataset(folder: Path, names: dict[str, int] = NAMES) -> Path:
    """Write a raw dataset of three scans, one of them a few-shot list's, one of the test part."""
    grid = Grid((24, 20, 16), np.diag([3.0, 3.0, 3.0, 1.0]))
    for case in ("s0001", "s0002", "s0029"):
        labels = np.zeros(grid.shape, np.uint8)
        for number in names.values():
            labels[4 * number : 4 * number + 4, 5:12, 5:12] = number
        write_nifti(np.int16(labels * 30), grid, folder / "imagesTr" / f"{case}_0000.nii.gz")
        write_nifti(labels, grid, folder / "labelsTr" / f"{case}.nii.gz")
    write_json(folder / "dataset.json", {
        "channel_names": {"0": "CT"}, "labels": {"background": 0, **names}, "numTraining": 3,
        "file_ending": ".nii.gz",
    })  # fmt: skip
    few = {"structures": {"spleen": {"pool": ["s0009"], "test": ["s0029"]}}}
    parts = {"train": ["s0001", "s0029"], "test": ["s0002"]}
    write_json(folder / "splits.json", {"parts": parts, "few_shot": few})
    return folder


@pytest.mark.parametrize(
    ("name", "backbone", "width"),
    [("few_shot_unet", "genesis_unet", 64), ("few_shot_swin", "swin_unetr", 48)],
)
def test_a_base_has_the_published_network_and_no_new_organ(tmp_path, name, backbone, width):
    recipe, (source,) = paper_recipe(name, [dataset(tmp_path / "Dataset501_V1")], prepared=tmp_path)
    config = recipe.config
    assert (config.backbone, config.channels) == (backbone, (width,))
    assert (config.patch, config.steps, config.lr) == ((96, 96, 96), 255_000, 1e-4)
    assert config.classes == ("liver", "spleen")
    assert recipe.head_lr == 1.0
    new = {structure for family in FAMILIES.values() for structure in family}
    assert new.isdisjoint(fseft.Config.paper().classes)
    assert source[0].spacing_mm == pytest.approx((1.5, 1.5, 1.5))


def test_other_systems_learn_all_that_is_annotated(tmp_path):
    recipe, _ = paper_recipe("multitalent", [dataset(tmp_path / "D")], prepared=tmp_path)
    assert recipe.config.classes == tuple(f"D/{name}" for name in sorted(NAMES))


def test_no_scan_of_a_test_teaches_and_the_record_says_which_do(tmp_path):
    data, folder = dataset(tmp_path / "D"), tmp_path / "runs" / "few_shot_unet-paper-0"
    records = list(train_paper("few_shot_unet", [data], folder=folder, cut=SMALL))
    assert [record.step for record in records] == [0, 1]
    assert read_json(folder / DATA_FILE)["datasets"] == {
        "D": {"scans": ["s0001"], "regions": ["liver", "spleen"], "left_to_tests": 2}
    }
    assert (folder / "weights.safetensors").is_file()
    assert [p.name for p in (tmp_path / "runs" / "prepared").rglob("*.npz")] == ["s0001.npz"]
    assert list(train_paper("few_shot_unet", [data], folder=folder, cut=SMALL)) == []
    with pytest.raises(ValueError, match="goes on with the data and sizes that it began with"):
        next(train_paper("few_shot_unet", [data], folder=folder, cut=replace(SMALL, width=8)))


def test_what_cannot_teach_is_said(tmp_path):
    with pytest.raises(ValueError, match="name their folders with --data"):
        datasets_of([])
    one = dataset(tmp_path / "a" / "D")
    with pytest.raises(ValueError, match="datasets need names of their own"):
        datasets_of([one, dataset(tmp_path / "b" / "D")])
    with pytest.raises(ValueError, match="unknown recipe of paper 'suprem'"):
        paper_recipe("suprem", [one], prepared=tmp_path)
    bones = dataset(tmp_path / "Bones", {"hip_left": 1, "sacrum": 2})
    with pytest.raises(ValueError, match="Bones annotates hip_left, sacrum"):
        paper_recipe("few_shot_unet", [bones], prepared=tmp_path)
