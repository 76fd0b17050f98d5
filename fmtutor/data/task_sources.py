"""Where the tasks of in-context training and of its tests come from, by name.

Training: the six partially labelled virtual centres (each with its own reading of its regions),
the wide centre (every structure of the torso that is not novel), and a brain. Tests: the target
centre, whose novel structures are in no training. The brain's tissue maps are free to use; the
atlas parcels of "brain_mni" carry non-commercial licences, so a network that learns from them must
not be shipped: they are a source only on request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fmtutor.data.anatomy import GROUPS, NOVEL_STRUCTURES, STRUCTURES, expand
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, TARGET, WIDE, Centre, region_of
from fmtutor.data.regions import Region
from fmtutor.data.resampling import resample_case
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import VirtualSource
from fmtutor.data.task_bank import SliceSource

MANY = ("vertebrae", "ribs")
"""Groups that are one task as a whole: their members look alike, and one slice shows several."""
BRAIN_SPACING_MM = (2.0, 2.0, 2.0)


@dataclass(frozen=True, eq=False)
class LoadedCases:
    """Samples as cases, loaded when they are asked for."""

    name: str
    """A key of `fmtutor.data.samples.SAMPLES`."""
    spacing_mm: tuple[float, float, float]
    """Spacing that they are brought to."""

    def __iter__(self) -> Iterator[Case]:
        yield resample_case(load_sample(self.name), self.spacing_mm)


def centre_source(centre: Centre, patients: int, *, weight: float = 1.0) -> SliceSource:
    """Return a virtual centre's own regions as tasks."""
    return SliceSource(
        name=centre.name,
        cases=VirtualSource(centre, patients),
        regions=lambda case: centre.protocol.regions,
        weight=weight,
    )


def wide_source(patients: int, *, weight: float = 4.0) -> SliceSource:
    """Return the wide centre with every structure that is labelled there as a task."""
    return SliceSource(
        name=WIDE.name, cases=VirtualSource(WIDE, patients), regions=all_regions, weight=weight
    )


def brain_source(*, atlas: bool = False) -> SliceSource:
    """Return the brain's tasks: its tissues, or the parcels of an atlas.

    Args:
        atlas: Take the Desikan-Killiany parcels of "brain_mni", whose licence is non-commercial.
    """
    name = "brain_mni" if atlas else "brain_tissue"
    regions = _every_structure if atlas else _tissues
    return SliceSource(
        name=name, cases=LoadedCases(name, BRAIN_SPACING_MM), regions=regions, per_axis=48
    )


def training_sources(*, patients: int, wide_patients: int) -> list[SliceSource]:
    """Return what the shipped in-context networks learn from.

    Args:
        patients: Virtual patients of each of the six centres.
        wide_patients: Virtual patients of the wide centre.
    """
    centres = [centre_source(centre, patients) for centre in CENTRES.values()]
    return [*centres, wide_source(wide_patients), brain_source()]


def novel_source(patients: int, *, per_axis: int = 12) -> SliceSource:
    """Return the target centre's novel structures: for tests, never for training."""
    return SliceSource(
        name=f"{TARGET.name}-novel",
        cases=VirtualSource(TARGET, patients),
        regions=lambda case: [region_of(name) for name in NOVEL_STRUCTURES],
        per_axis=per_axis,
        novel_allowed=True,
    )


def all_regions(case: Case) -> Sequence[Region]:
    """Return the scoring regions and each other structure of a case, without novel ones."""
    parts = {part for name in NOVEL_STRUCTURES for part in (name, *expand(name, lesions=True))}
    scored = WIDE.protocol.regions
    groups = [Region.of(name, *GROUPS[name]) for name in MANY if name in GROUPS]
    covered = {s for r in (*scored, *groups) for s in r.structures} | parts
    single = [Region.of(name) for name in sorted(set(case.table.values()) - covered)]
    names = {region.name for region in scored}
    return [*scored, *(group for group in groups if group.name not in names), *single]


def _tissues(case: Case) -> Sequence[Region]:
    tissues = [Region.of(name) for name in sorted(set(case.table.values()))]
    return [*tissues, Region.of("brain", *case.table.values())]


def _every_structure(case: Case) -> Sequence[Region]:
    ids, counts = np.unique(case.labels, return_counts=True)  # type: ignore[call-overload]
    large = {int(i) for i, n in zip(ids, counts, strict=True) if n >= 100}
    names = {name for number, name in case.table.items() if number in large}
    return [Region.of(name) for name in sorted(names) if name in STRUCTURES]
