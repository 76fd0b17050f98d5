"""Segmentation tasks as an in-context system meets them: (source, modality, axis, region).

One volume with many labels is many tasks: each region, seen along each axis, is one. A `TaskBank`
holds square slices of all patients and knows which slices show what; drawing is hierarchical
(source, then modality, axis, region, each level uniformly), so that a source with many patients or
many labels does not drown the others.

Source: Butoi et al., "UniverSeg", ICCV 2023, section 4.1 (MegaMedical's tasks).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.anatomy import NOVEL_STRUCTURES, expand
from fmtutor.data.cases import Case
from fmtutor.data.regions import Region
from fmtutor.data.slices import AXES, SquareFrame, slices_of
from fmtutor.data.transforms import normalise

LEAST_SHARE = 0.004
"""Share of the square that a region must cover for a slice to show it (16 of 64x64 pixels)."""


@dataclass(frozen=True, order=True)
class Task:
    """One binary segmentation task."""

    source: str
    """Dataset that it comes from."""
    modality: str
    """"CT" or "MR"."""
    axis: str
    """One of `fmtutor.data.slices.AXES`."""
    region: str
    """What is to be segmented."""

    @property
    def name(self) -> str:
        """The task as "source/region axis"."""
        return f"{self.source}/{self.region} {self.axis}"


@dataclass(frozen=True, kw_only=True)
class SliceSource:
    """Cases of one dataset, and the regions that it offers as tasks."""

    name: str
    """Name of the dataset."""
    cases: Iterable[Case]
    """Its patients, with labels; read one at a time."""
    regions: Callable[[Case], Sequence[Region]]
    """What may be asked of a case."""
    per_axis: int = 8
    """Slices kept of each case and axis."""
    weight: float = 1.0
    """How often the source is drawn, relative to the others."""
    novel_allowed: bool = False
    """Whether novel structures may be tasks: never where a network is trained."""


@dataclass(eq=False)
class TaskBank:
    """Slices at one size, and for every task the rows of those that show it."""

    size: int
    images: np.ndarray
    """(N, size, size) uint8: intensities in [0, 1] times 255."""
    labels: np.ndarray
    """(N, size, size) uint16 label ids of their source."""
    patient: np.ndarray
    """(N,) number of the patient, over all sources."""
    level: np.ndarray
    """(N,) where along its axis the slice lies, 0 to 1."""
    rows: dict[Task, np.ndarray]
    """Rows that show each task's region."""
    every: dict[tuple[str, str], np.ndarray]
    """Rows of a (source, axis), also those that show nothing of a region."""
    ids: dict[tuple[str, str], np.ndarray]
    """Label ids of each (source, region)."""
    weights: dict[str, float]
    """How often each source is drawn."""
    tree: dict[str, dict[str, dict[str, list[str]]]] = field(default_factory=dict)
    """source -> modality -> axis -> regions, the levels that are drawn one after the other."""

    def __post_init__(self) -> None:
        for task in sorted(self.rows):
            axes = self.tree.setdefault(task.source, {}).setdefault(task.modality, {})
            axes.setdefault(task.axis, []).append(task.region)

    @property
    def tasks(self) -> list[Task]:
        """Every task, in a fixed order."""
        return sorted(self.rows)

    def draw_task(self, rng: np.random.Generator) -> Task:
        """Draw a source by its weight, then modality, axis and region, each uniformly."""
        sources = sorted(self.tree)
        weights = np.array([self.weights[name] for name in sources])
        source = sources[rng.choice(len(sources), p=weights / weights.sum())]
        modality = _one_of(self.tree[source], rng)
        axis = _one_of(self.tree[source][modality], rng)
        return Task(source, modality, axis, _one_of(self.tree[source][modality][axis], rng))

    def draw_rows(self, task: Task, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw rows that show a task, of different patients as far as there are so many.

        Raises:
            ValueError: There are fewer slices than asked for.
        """
        rows = self.rows[task]
        if len(rows) < count:
            raise ValueError(f"{task.name} has {len(rows)} slices, wanted {count}; ask for fewer.")
        return self._spread(rows, rng)[:count]

    def draw_test_rows(self, task: Task, supports: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a query and its support, none of it from the query's own patient.

        A source of one patient has no others: there the support is of other slices of it.

        Raises:
            ValueError: There are fewer than ``supports`` such slices.
        """
        rows = self.rows[task]
        query = rng.choice(rows)
        others = rows[self.patient[rows] != self.patient[query]]
        if len(np.unique(self.patient[rows])) == 1:
            others = rows[rows != query]
        support = self._spread(others, rng)[:supports]
        if len(support) < supports:
            raise ValueError(
                f"{task.name} has {len(support)} slices beside the query's patient, wanted "
                f"{supports}; ask for fewer."
            )
        return np.concatenate([[query], support])

    def _spread(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return rows in random order, one of each patient before the second of any."""
        order = rng.permutation(rows)
        _, first = np.unique(self.patient[order], return_index=True)
        head = order[np.sort(first)]
        return np.concatenate(
            [head, rng.permutation(np.setdiff1d(order, head, assume_unique=True))]
        )

    def pairs(self, task: Task, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return images and masks of rows, each (n, 1, size, size) float32."""
        images = torch.from_numpy(self.images[rows]).float()[:, None] / 255
        masks = np.isin(self.labels[rows], self.ids[task.source, task.region])
        return images, torch.from_numpy(masks).float()[:, None]


def bank_of(sources: Iterable[SliceSource], *, size: int, least_slices: int = 2) -> TaskBank:
    """Cut every case of every source into square slices, and index what they show.

    Args:
        sources: Where the tasks come from.
        size: Pixels along each side.
        least_slices: A task shown by fewer slices is left out.

    Raises:
        ValueError: A source offers a novel structure without being allowed to, or nothing is left.
    """
    build = _Building(size)
    for source in sources:
        for case in source.cases:
            build.add(source, case)
    return build.finished(least_slices)


class _Building:
    """Lists that grow case by case."""

    def __init__(self, size: int) -> None:
        self.size, self.patients = size, 0
        self.images: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.patient: list[int] = []
        self.level: list[float] = []
        self.rows: dict[Task, list[int]] = defaultdict(list)
        self.every: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.ids: dict[tuple[str, str], np.ndarray] = {}
        self.weights: dict[str, float] = {}

    def add(self, source: SliceSource, case: Case) -> None:
        if case.labels is None:
            raise ValueError(f"tasks need labels, got case {case.name!r} without; read them too.")
        regions = checked_regions(source, case)
        self.weights[source.name] = source.weight
        ids = {name: number for number, name in case.table.items()}
        wanted = {r.name: np.array([ids[s] for s in r.structures if s in ids]) for r in regions}
        for name, found in wanted.items():
            known = self.ids.get((source.name, name), np.array([], int))
            self.ids[source.name, name] = np.union1d(known, found)
        image = normalise(case.image, case.modality)
        for axis in range(3):
            self._add_axis(source, case, image, axis, wanted)
        self.patients += 1

    def _add_axis(
        self,
        source: SliceSource,
        case: Case,
        image: np.ndarray,
        axis: int,
        wanted: Mapping[str, np.ndarray],
    ) -> None:
        labels = slices_of(case.labels, axis)  # type: ignore[arg-type]
        shown = np.flatnonzero(labels.any((1, 2)))
        rng = rng_of("slices", source.name, case.name, axis)
        kept = np.sort(rng.permutation(shown)[: source.per_axis])
        if not len(kept):
            return
        spacing = tuple(mm for i, mm in enumerate(case.spacing_mm) if i != axis)
        frame = SquareFrame(shape=labels.shape[1:], spacing_mm=spacing, size=self.size)  # type: ignore[arg-type]
        squares = frame.image(slices_of(image, axis)[kept])[:, 0].mul(255).round().byte().numpy()
        maps = frame.labels(labels[kept])[:, 0].numpy().astype(np.uint16)
        start = sum(len(part) for part in self.images)
        self.images.append(squares)
        self.labels.append(maps)
        self.patient += [self.patients] * len(kept)
        self.level += list(kept / max(1, len(labels) - 1))
        rows = list(range(start, start + len(kept)))
        self.every[source.name, AXES[axis]] += rows
        for name, numbers in wanted.items():
            share = np.isin(maps, numbers).mean((1, 2))
            task = Task(source.name, case.modality, AXES[axis], name)
            self.rows[task] += [row for row, s in zip(rows, share, strict=True) if s >= LEAST_SHARE]

    def finished(self, least_slices: int) -> TaskBank:
        rows = {t: np.array(r) for t, r in self.rows.items() if len(r) >= least_slices}
        if not rows:
            raise ValueError("no task is shown by enough slices; give more cases or labels.")
        return TaskBank(
            size=self.size,
            images=np.concatenate(self.images),
            labels=np.concatenate(self.labels),
            patient=np.array(self.patient),
            level=np.array(self.level),
            rows=rows,
            every={key: np.array(value) for key, value in self.every.items()},
            ids=self.ids,
            weights=self.weights,
        )


def _one_of(names: Iterable[str], rng: np.random.Generator) -> str:
    ordered = sorted(names)
    return ordered[rng.integers(len(ordered))]


def checked_regions(source: SliceSource, case: Case) -> Sequence[Region]:
    """Return the regions of a case.

    Raises:
        ValueError: One holds a novel structure, and the source may not offer those.
    """
    regions = source.regions(case)
    novel = {part for name in NOVEL_STRUCTURES for part in (name, *expand(name, lesions=True))}
    for region in regions:
        if not source.novel_allowed and region.structures & novel:
            raise ValueError(
                f"source {source.name!r} must not offer novel structures, got {region.name!r}; "
                "they are kept for tests of few-shot and in-context learning."
            )
    return regions
