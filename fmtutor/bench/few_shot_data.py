"""Where the supports and the tests of a few-shot cell come from.

The virtual target centre: patients from number 100 on are the pool that supports are drawn from,
those below it the tests; a case counts for a structure where it shows at least 10 ml of it. The
published datasets: pools and tests as listed (`fmtutor.bench.few_shot_published`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fmtutor.bench.comparison import scoring_region
from fmtutor.bench.few_shot_grid import Setting
from fmtutor.bench.few_shot_published import PublishedData
from fmtutor.bench.few_shot_tasks import classes_of
from fmtutor.data.domains import TARGET, region_of
from fmtutor.data.few_shot import Size, Volume
from fmtutor.data.few_shot_classes import prepare_all
from fmtutor.data.few_shot_splits import draw_support
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import virtual_case

FIRST_OF_POOL = 100
"""Number of the target patient that the pool begins with; tests begin with 0."""
LEAST_ML = 10.0
"""What a case must show of a structure to be drawn or scored."""
MOST_LOOKED_AT = 99
"""Target patients that are looked at for tests or for a pool."""
VOLUMES_KEPT = 256
"""Prepared volumes that a process keeps for its next cells, 2 MB each in the quick setting."""


@runtime_checkable
class FewShotData(Protocol):
    """Supports, tests and real volumes of a structure, on the grid of a kind of backbone.

    A structure may be the multi-class task; its volumes then know all of its classes.
    """

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
        regions = [region_of(name) for name in classes_of(structure, "virtual")]
        if all(
            _ml(case.mask(*region.structures), case.grid.voxel_ml) >= LEAST_ML for region in regions
        ):
            found.append(number)
    raise ValueError(
        f"{wanted} patients must show {LEAST_ML:g} ml of {structure}, got {len(found)} among "
        f"{MOST_LOOKED_AT}; ask for fewer, or for a structure that the target centre has."
    )


@lru_cache(maxsize=VOLUMES_KEPT)
def _virtual_volume(
    number: int, structure: str, spacing_mm: tuple[float, float, float], patch: Size
) -> Volume:
    regions = [region_of(name) for name in classes_of(structure, "virtual")]
    case = virtual_case(TARGET, number)
    return prepare_all(case, regions, spacing_mm=spacing_mm, patch=patch)


def _real(
    names: tuple[str, ...], structure: str, spacing_mm: tuple[float, float, float], patch: Size
) -> Iterator[Volume]:
    """Yield the real volumes that annotate a structure and show enough of it."""
    for name in names:
        case = load_sample(name)
        regions = [scoring_region(one, case) for one in classes_of(structure, "virtual")]
        known = [region for region in regions if region is not None]
        if len(known) < len(regions):
            continue
        volume = prepare_all(case, known, spacing_mm=spacing_mm, patch=patch)
        if _ml(volume.target, volume.voxel_ml) >= LEAST_ML:
            yield volume


def _ml(mask: np.ndarray, voxel_ml: float) -> float:
    return float(mask.sum()) * voxel_ml
