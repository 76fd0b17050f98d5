"""Supports and tests of the published datasets, from a folder, by the published lists.

TotalSegmentator v1 is read in its original layout, FLARE22 as ``data_scripts/flare22.py`` converts
it. All that cells will read is looked for before the first of them trains.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from fmtutor.bench.few_shot_grid import Cell, Setting
from fmtutor.bench.few_shot_tasks import classes_of
from fmtutor.data.cases import Case
from fmtutor.data.few_shot import Size, Volume
from fmtutor.data.few_shot_classes import prepare_all
from fmtutor.data.few_shot_splits import Split, draw_support, published_split
from fmtutor.data.nnunet_raw import NnunetDataset, read_dataset
from fmtutor.data.regions import Region
from fmtutor.data.totalsegmentator_v1 import TotalSegmentatorV1

SHOWN = 8
"""Missing files that a message names."""


@runtime_checkable
class Scans(Protocol):
    """A published dataset in a folder."""

    lists: str
    """Name of its published lists."""

    def case(self, scan: str, classes: Sequence[str]) -> Case:
        """Read a scan with the labels of some structures."""
        ...

    def lacking(self, scan: str, classes: Sequence[str]) -> list[str]:
        """Return what is missing to read it, by names within the folder."""
        ...


@dataclass(frozen=True)
class Totalsegmentator:
    """TotalSegmentator v1: a mask for each structure."""

    folder: Path
    lists = "totalsegmentator"

    @cached_property
    def dataset(self) -> TotalSegmentatorV1:
        """The folder, opened."""
        return TotalSegmentatorV1(self.folder)

    def case(self, scan: str, classes: Sequence[str]) -> Case:
        """Read a scan with some of its masks."""
        return self.dataset.case(scan, classes)

    def lacking(self, scan: str, classes: Sequence[str]) -> list[str]:
        """Return the scan, or the files of it, that are missing."""
        if scan not in self.dataset.ids:
            return [scan]
        files = ("ct.nii.gz", *(f"segmentations/{name}.nii.gz" for name in classes))
        return [f"{scan}/{file}" for file in files if not (self.folder / scan / file).is_file()]


@dataclass(frozen=True)
class Flare22:
    """FLARE22, converted: one label map, where the tests are scans like the others."""

    folder: Path
    lists = "flare22"

    @cached_property
    def dataset(self) -> NnunetDataset:
        """The folder, opened."""
        return read_dataset(self.folder)

    def case(self, scan: str, classes: Sequence[str]) -> Case:
        """Read a scan; its labels are all there."""
        return self.dataset[scan]

    def lacking(self, scan: str, classes: Sequence[str]) -> list[str]:
        """Return the scan where it is missing."""
        return [] if scan in self.dataset.names else [scan]


SCANS: Mapping[str, type[Totalsegmentator] | type[Flare22]] = {
    "totalsegmentator-v1": Totalsegmentator,
    "flare22": Flare22,
}
"""``data`` of a setting to how its folder is read."""


@dataclass(frozen=True)
class PublishedData:
    """A published dataset with its published pools and tests, as `FewShotData`."""

    setting: Setting
    folder: Path

    @cached_property
    def scans(self) -> Scans:
        """How the folder is read."""
        return SCANS[self.setting.data](self.folder)

    def support(self, structure: str, patch: Size, *, shots: int, seed: int) -> list[Volume]:
        """Return the scans that a seed draws from the published pool."""
        drawn = self.supporting(structure, shots, seed)
        return [self._volume(scan, structure, patch) for scan in drawn]

    def tests(self, structure: str, patch: Size) -> list[Volume]:
        """Return the published test scans."""
        return [self._volume(scan, structure, patch) for scan in self.split(structure).test]

    def real(self, structure: str, patch: Size) -> list[Volume]:
        """Return nothing: all of it is real."""
        return []

    def supporting(self, structure: str, shots: int, seed: int) -> tuple[str, ...]:
        """Return the names of the scans that a seed draws."""
        pool = self.split(structure).pool
        return tuple(pool[index] for index in draw_support(len(pool), shots, seed).support)

    def split(self, structure: str) -> Split:
        """Return the lists of a structure; the organs of one task share theirs."""
        return published_split(self._classes(structure)[0], self.scans.lists)

    def check(self, cells: Iterable[Cell]) -> None:
        """Look for every file that cells will read.

        Raises:
            FileNotFoundError: Scans or masks are missing; the message names them.
            ValueError: The folder is none of the dataset.
        """
        needed = {
            (scan, cell.structure)
            for cell in cells
            for scan in (
                *self.supporting(cell.structure, cell.shots, cell.seed),
                *self.split(cell.structure).test,
            )
        }
        missing = {
            file for scan, structure in needed
            for file in self.scans.lacking(scan, self._classes(structure))
        }  # fmt: skip
        lacking = sorted(missing, key=lambda file: ("/" in file, file))  # whole scans first
        if lacking:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            raise FileNotFoundError(
                f"these cells read {len({scan for scan, _ in needed})} published scans, "
                f"{self.folder} lacks {', '.join(lacking[:SHOWN])}{more}; unpack all of the "
                "dataset, or choose other cells with --structures and --seeds."
            )

    def _classes(self, structure: str) -> tuple[str, ...]:
        return classes_of(structure, self.setting.data)

    def _volume(self, scan: str, structure: str, patch: Size) -> Volume:
        classes = self._classes(structure)
        return prepare_all(
            self.scans.case(scan, classes), [Region.of(name) for name in classes],
            spacing_mm=self.setting.spacing_mm, patch=patch,
        )  # fmt: skip
