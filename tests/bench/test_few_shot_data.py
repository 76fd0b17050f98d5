"""The published scans that cells read, looked for before the first of them trains."""

from pathlib import Path

import pytest

from fmtutor.bench.few_shot_data import check_scans, published_support
from fmtutor.bench.few_shot_grid import Cell, cells_of
from fmtutor.data.few_shot_splits import published_split

SPLEEN = published_split("spleen", "totalsegmentator")


def cells() -> list[Cell]:
    return [c for c in cells_of("fseft-known", "paper") if (c.structure, c.seed) == ("spleen", 0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that the cells of the spleen read, all of them empty."""
    for scan in {*published_support("spleen", 10, 0), *SPLEEN.test}:
        masks = tmp_path / scan / "segmentations"
        masks.mkdir(parents=True)
        (tmp_path / scan / "ct.nii.gz").touch()
        (masks / "spleen.nii.gz").touch()
    return tmp_path


def test_a_whole_folder_passes(folder: Path) -> None:
    check_scans(cells(), folder)


def test_five_shots_are_the_first_of_ten() -> None:
    assert published_support("spleen", 5, 0) == published_support("spleen", 10, 0)[:5]
    assert set(published_support("spleen", 10, 0)) <= set(SPLEEN.pool)


def test_missing_scans_and_masks_are_named_with_a_way_out(folder: Path) -> None:
    (folder / SPLEEN.test[0]).rename(folder / "elsewhere")
    (folder / SPLEEN.test[1] / "segmentations" / "spleen.nii.gz").unlink()
    with pytest.raises(FileNotFoundError) as error:
        check_scans(cells(), folder)
    said = str(error.value)
    assert said.startswith("these cells read 15 published scans, ")
    assert f"lacks {SPLEEN.test[0]}, {SPLEEN.test[1]}/segmentations/spleen.nii.gz; unpack" in said
    assert "--structures" in said


def test_of_many_missing_scans_some_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r" and \d+ more; unpack all of the dataset"):
        check_scans(cells_of("fseft-known", "paper"), folder)
