"""Where the supports and the tests of a few-shot cell come from.

The virtual target centre: patients from number 100 on are the pool that supports are drawn from,
those below it the tests; a case counts for a structure where it shows at least 10 ml of it. The
published dataset: pools and tests as listed, from a folder in its original layout.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

from fmtutor.bench.comparison import scoring_region
from fmtutor.bench.few_shot_grid import Cell, Setting
from fmtutor.data.domains import TARGET, region_of
from fmtutor.data.few_shot import Size, Volume, prepare
from fmtutor.data.few_shot_splits import draw_support, published_split
from fmtutor.data.regions import Region
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import virtual_case
from fmtutor.data.totalsegmentator_v1 import TotalSegmentatorV1

FIRST_OF_POOL = 100
"""Number of the target patient that the pool begins with; tests begin with 0."""
LEAST_ML = 10.0
"""What a case must show of a structure to be drawn or scored."""
MOST_LOOKED_AT = 99
"""Target patients that are looked at for tests or for a pool."""
VOLUMES_KEPT = 256
"""Prepared volumes that a process keeps for its next cells, 2 MB each in the quick setting."""
DATASET = "totalsegmentator"
SHOWN = 8
"""Missing files that a message names."""


@runtime_checkable
class FewShotData(Protocol):
    """Supports, tests and real volumes of a structure, on the grid of a kind of backbone."""

    def support(self, structure: str, patch: Size, *, shots: int, seed: int) -> list[Volume]:
        """Return the volumes that a seed draws."""
        ...

    def tests(self, structure: str, patch: Size) -> list[Volume]:
        """Return the volumes that are scored."""
        ...

    def real(self, structure: str, patch: Size) -> list[Volume]:
        """Return the real volumes that are scored beside the tests."""
        ...


@dataclass(frozen=True)
class VirtualData:
    """Patients of the target centre."""

    setting: Setting
    """Grid, and how many cases."""

    def support(self, structure: str, patch: Size, *, shots: int, seed: int) -> list[Volume]:
        """Return the patients that a seed draws from the pool."""
        pool = _showing(structure, FIRST_OF_POOL, self.setting.pool)
        drawn = draw_support(len(pool), shots, seed).support
        return [self._volume(pool[index], structure, patch) for index in drawn]

    def tests(self, structure: str, patch: Size) -> list[Volume]:
        """Return the first test patients that show the structure."""
        numbers = _showing(structure, 0, self.setting.tests)
        return [self._volume(number, structure, patch) for number in numbers]

    def real(self, structure: str, patch: Size) -> list[Volume]:
        """Return the real volumes that show the structure; they grow and teach nothing."""
        return list(_real(self.setting.real, structure, self.setting.spacing_mm, patch))

    def _volume(self, number: int, structure: str, patch: Size) -> Volume:
        return _virtual_volume(number, structure, self.setting.spacing_mm, patch)


@dataclass(frozen=True)
class PublishedData:
    """TotalSegmentator v1 with the published pools and tests."""

    setting: Setting
    folder: Path

    def support(self, structure: str, patch: Size, *, shots: int, seed: int) -> list[Volume]:
        """Return the scans that a seed draws from the published pool."""
        scans = published_support(structure, shots, seed)
        return [self._volume(scan, structure, patch) for scan in scans]

    def tests(self, structure: str, patch: Size) -> list[Volume]:
        """Return the published test scans."""
        scans = published_split(structure, DATASET).test
        return [self._volume(scan, structure, patch) for scan in scans]

    def real(self, structure: str, patch: Size) -> list[Volume]:
        """Return nothing: all of it is real."""
        return []

    def _volume(self, scan: str, structure: str, patch: Size) -> Volume:
        case = TotalSegmentatorV1(self.folder).case(scan, [structure])
        spacing_mm = self.setting.spacing_mm
        return prepare(case, Region.of(structure), spacing_mm=spacing_mm, patch=patch)


def published_support(structure: str, shots: int, seed: int) -> tuple[str, ...]:
    """Return the scans that a seed draws from a structure's published pool."""
    pool = published_split(structure, DATASET).pool
    return tuple(pool[index] for index in draw_support(len(pool), shots, seed).support)


def check_scans(cells: Iterable[Cell], folder: Path) -> None:
    """Look for every file that cells will read, before the first of them trains.

    Raises:
        FileNotFoundError: Scans or masks are missing; the message names them.
        ValueError: The folder is none of TotalSegmentator v1.
    """
    there = set(TotalSegmentatorV1(folder).ids)
    needed = {
        (scan, cell.structure)
        for cell in cells
        for scan in (
            *published_support(cell.structure, cell.shots, cell.seed),
            *published_split(cell.structure, DATASET).test,
        )
    }
    lacking = sorted({scan for scan, _ in needed} - there)
    lacking += sorted(
        f"{scan}/{file}"
        for scan, structure in needed
        for file in ("ct.nii.gz", f"segmentations/{structure}.nii.gz")
        if scan in there and not (folder / scan / file).is_file()
    )
    if lacking:
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        raise FileNotFoundError(
            f"these cells read {len({scan for scan, _ in needed})} published scans, {folder} lacks "
            f"{', '.join(lacking[:SHOWN])}{more}; unpack all of the dataset, or choose other cells "
            "with --structures and --seeds."
        )


def data_of(setting: Setting, folder: Path | None) -> FewShotData:
    """Return the data of a setting.

    Raises:
        ValueError: The setting's dataset needs a folder, and none is given.
    """
    if setting.data == "virtual":
        return VirtualData(setting)
    if folder is None:
        raise ValueError(
            f"the published protocol runs on {setting.data}, got no folder; name it with --data."
        )
    return PublishedData(setting, folder)


@cache
def _showing(structure: str, first: int, wanted: int) -> tuple[int, ...]:
    """Return the numbers of the first patients from ``first`` on that show a structure.

    Raises:
        ValueError: There are not enough among those that are looked at.
    """
    found: list[int] = []
    for number in count(first):
        if len(found) == wanted:
            return tuple(found)
        if number - first >= MOST_LOOKED_AT:
            break
        case = virtual_case(TARGET, number)
        ml = float(case.mask(*region_of(structure).structures).sum()) * case.grid.voxel_ml
        if ml >= LEAST_ML:
            found.append(number)
    raise ValueError(
        f"{wanted} patients must show {LEAST_ML:g} ml of {structure}, got {len(found)} among "
        f"{MOST_LOOKED_AT}; ask for fewer, or for a structure that the target centre has."
    )


@lru_cache(maxsize=VOLUMES_KEPT)
def _virtual_volume(
    number: int, structure: str, spacing_mm: tuple[float, float, float], patch: Size
) -> Volume:
    case = virtual_case(TARGET, number)
    return prepare(case, region_of(structure), spacing_mm=spacing_mm, patch=patch)


def _real(
    names: tuple[str, ...], structure: str, spacing_mm: tuple[float, float, float], patch: Size
) -> Iterator[Volume]:
    """Yield the real volumes that annotate a structure and show enough of it."""
    for name in names:
        case = load_sample(name)
        region = scoring_region(structure, case)
        if region is None:
            continue
        volume = prepare(case, region, spacing_mm=spacing_mm, patch=patch)
        if float(volume.target.sum()) * volume.voxel_ml >= LEAST_ML:
            yield volume
