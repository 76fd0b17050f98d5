"""What interactive systems are asked when they are scored: structures of patients no training saw.

Virtual patients of the target centre, whose scanner no training centre has, and real volumes. A
structure is *seen* if trainings hold it somewhere, *unseen* if none does: the novel structures,
and the heart. For the MR a seen structure is of an unseen modality.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import KNOWN_STRUCTURES, NOVEL_STRUCTURES, table_parts
from fmtutor.data.cases import Case
from fmtutor.data.domains import TARGET as TARGET_CENTRE
from fmtutor.data.domains import region_of
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import virtual_case

TARGET = "target"
VOLUMES: dict[str, tuple[str, ...]] = {
    TARGET: (*KNOWN_STRUCTURES, *NOVEL_STRUCTURES),
    "abdomen_ct_dicom": (*KNOWN_STRUCTURES, *NOVEL_STRUCTURES),
    "abdomen_mr": (*KNOWN_STRUCTURES, *NOVEL_STRUCTURES),
    "thorax_ct": ("heart",),
}
"""Volume to the structures asked of it, where it shows enough of them."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is asked; the default of a full run."""

    patients: int = 8
    """Virtual patients of the target centre."""
    per_structure: int = 1
    """Of them, how many are asked for each structure; they take turns."""
    least_ml: float = 10.0
    """Smaller structures are left out."""
    volumes: tuple[str, ...] = tuple(VOLUMES)
    """Keys of `VOLUMES`."""
    structures: tuple[str, ...] = ()
    """Ask these alone; none named means all."""

    def __post_init__(self) -> None:
        for name in self.volumes:
            lookup(VOLUMES, name, "volume")
        if not 1 <= self.per_structure <= self.patients:
            raise ValueError(
                f"a structure is asked of 1 to {self.patients} patients, got "
                f"{self.per_structure}; raise patients, or ask fewer."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """One structure of one case."""

    volume: str
    """A key of `VOLUMES`."""
    case: Case
    """With labels, which no system is shown."""
    structure: str
    """Canonical name."""

    @cached_property
    def mask(self) -> np.ndarray:
        """The truth, bool (H, W, D): an organ with its lesions."""
        return truth_of(self.case, self.structure)

    @cached_property
    def ml(self) -> float:
        """Volume of the truth."""
        return float(self.mask.sum()) * self.case.grid.voxel_ml

    @property
    def key(self) -> str:
        """Text that no other question has."""
        return f"{self.volume}/{self.case.name}/{self.structure}"

    def about(self) -> dict[str, Any]:
        """Return what every row of this question says of it."""
        return {
            "volume": self.volume, "case": self.case.name, "structure": self.structure,
            "seen": self.structure in KNOWN_STRUCTURES, "ml": round(self.ml, 1),
        }  # fmt: skip


def truth_of(case: Case, structure: str) -> np.ndarray:
    """Return a structure's mask; empty where the case's table has none of it."""
    names = set(case.table.values())
    parts = (region_of(structure).structures | set(table_parts(structure, names))) & names
    return case.mask(*parts)


def questions(extent: Extent | None = None) -> Iterator[Question]:
    """Yield what is asked, volume by volume; a question's arrays are made when it comes.

    Which patients show a structure is looked up in a fixed order, structure i beginning with
    patient i: nothing is drawn, so nothing is chosen by its score.
    """
    extent = extent or Extent()
    for volume in extent.volumes:
        asked = [s for s in VOLUMES[volume] if not extent.structures or s in extent.structures]
        if volume == TARGET:
            yield from _target(asked, extent)
            continue
        case = load_sample(volume)
        for structure in asked:
            question = Question(volume=volume, case=case, structure=structure)
            if question.ml >= extent.least_ml:
                yield question


def _target(asked: list[str], extent: Extent) -> Iterator[Question]:
    for first, structure in enumerate(asked):
        found = 0
        for turn in range(extent.patients):
            case = virtual_case(TARGET_CENTRE, (first + turn) % extent.patients)
            question = Question(volume=TARGET, case=case, structure=structure)
            if question.ml >= extent.least_ml:
                yield question
                found += 1
            if found == extent.per_structure:
                break
