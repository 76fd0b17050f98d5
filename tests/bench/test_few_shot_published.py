"""The published scans that cells read, looked for before the first of them trains."""

from pathlib import Path

import pytest

from fmtutor.bench.few_shot_grid import Cell, cells_of, setting_of
from fmtutor.bench.few_shot_published import PublishedData
from fmtutor.data.few_shot_splits import published_split

WHOLE = setting_of("fseft-known", "paper")
SPLEEN = published_split("spleen", "totalsegmentator")


def drawn(shots: int) -> tuple[str, ...]:
    return PublishedData(WHOLE, Path()).supporting("spleen", shots, 0)


def cells() -> list[Cell]:
    return [c for c in cells_of("fseft-known", "paper") if (c.structure, c.seed) == ("spleen", 0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that the cells of the spleen read, all of them empty."""
    for scan in {*drawn(10), *SPLEEN.test}:
        masks = tmp_path / scan / "segmentations"
        masks.mkdir(parents=True)
        (tmp_path / scan / "ct.nii.gz").touch()
        (masks / "spleen.nii.gz").touch()
    return tmp_path


def test_a_whole_folder_passes(folder: Path) -> None:
    PublishedData(WHOLE, folder).check(cells())


def test_five_shots_are_the_first_of_ten() -> None:
    assert drawn(5) == drawn(10)[:5]
    assert set(drawn(10)) <= set(SPLEEN.pool)


def test_missing_scans_and_masks_are_named_with_a_way_out(folder: Path) -> None:
    (folder / SPLEEN.test[0]).rename(folder / "elsewhere")
    (folder / SPLEEN.test[1] / "segmentations" / "spleen.nii.gz").unlink()
    with pytest.raises(FileNotFoundError) as error:
        PublishedData(WHOLE, folder).check(cells())
    said = str(error.value)
    assert said.startswith("these cells read 15 published scans, ")
    assert f"lacks {SPLEEN.test[0]}, {SPLEEN.test[1]}/segmentations/spleen.nii.gz; unpack" in said
    assert "--structures" in said


def test_of_many_missing_scans_some_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r" and \d+ more; unpack all of the dataset"):
        PublishedData(WHOLE, folder).check(cells_of("fseft-known", "paper"))
