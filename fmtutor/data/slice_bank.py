"""Slices of patients in memory, as scenes: where 2D promptable networks find structures.

Slices are cut once, at the network's size; those kept are drawn so that every structure of a case
has the same chance to be shown. Scenes are drawn by source, then axis, region and slice, so that a
gallbladder comes as often as a liver. Novel structures are in no bank: their label ids are erased.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fmtutor.core.configs import fingerprint
from fmtutor.core.files import atomic_path
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, WIDE
from fmtutor.data.samples import cache_folder
from fmtutor.data.scenes import Scene
from fmtutor.data.shelf import GROWTH
from fmtutor.data.slices import AXES, SquareFrame, slices_of
from fmtutor.data.task_bank import SliceSource, checked_regions
from fmtutor.data.task_sources import training_sources
from fmtutor.data.transforms import normalise

VERSION = 1
"""Of the cutting code; raise it when a bank would hold other slices for the same configuration."""
AXIS_WEIGHTS = {"sagittal": 0.25, "coronal": 0.25, "axial": 0.5}
"""How often each axis is drawn."""
IDS = 256


@dataclass(frozen=True, kw_only=True)
class SliceBankConfig:
    """How many slices of whom."""

    size: int = 128
    """Pixels along each side."""
    depth: int = 1
    """Neighbouring slices of a scene, odd; 5 for MA-SAM. Memory grows with it."""
    wide_patients: int = 300
    """Virtual patients of the wide centre."""
    patients: int = 16
    """Virtual patients of each of the six training centres."""
    axial: int = 4
    """Axial slices of each virtual patient; half as many of each other axis."""
    least_pixels: int = 30
    """Area that a structure must have for a slice to show it."""

    def __post_init__(self) -> None:
        if self.depth < 1 or self.depth % 2 == 0:
            raise ValueError(
                f"depth must be odd, for a middle slice, got {self.depth}; use 1 or 5."
            )


@dataclass(eq=False, kw_only=True)
class SliceBank:
    """Slices at one size, and for every region the rows that show it."""

    images: np.ndarray
    """(N, size, size, depth) uint8: intensities in [0, 1] times 255."""
    labels: np.ndarray
    """(N, size, size, depth) uint8 label ids of their source, all others erased."""
    source: np.ndarray
    """(N,) number of the source."""
    axis: np.ndarray
    """(N,) number of the axis, as in `AXES`."""
    patient: np.ndarray
    """(N,) number of the patient, over all sources."""
    regions: list[tuple[str, float, dict[str, list[int]]]]
    """Name, weight and regions (name to label ids) of each source."""
    least_pixels: int = 30
    """Area from which on a slice shows a region."""
    rows: dict[tuple[int, int], dict[str, np.ndarray]] = field(default_factory=dict)
    """(source, axis) to region to the rows that show it; counted from the labels."""

    def __post_init__(self) -> None:
        middle = self.labels[..., self.depth // 2].reshape(len(self.labels), -1)
        areas = np.stack([np.bincount(row, minlength=IDS) for row in middle])  # (N, IDS)
        for source, (_, _, regions) in enumerate(self.regions):
            for name, ids in regions.items():
                shown = (areas[:, ids].sum(1) >= self.least_pixels) & (self.source == source)
                for axis in range(len(AXES)):
                    if len(rows := np.flatnonzero(shown & (self.axis == axis))):
                        self.rows.setdefault((source, axis), {})[name] = rows
        if not self.rows:
            raise ValueError(
                f"no slice shows {self.least_pixels} pixels of any region; give more cases."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Pixels along each side."""
        return self.images.shape[1]

    @property
    def depth(self) -> int:
        """Slices of a scene."""
        return self.images.shape[3]

    def scene(self, rng: np.random.Generator) -> Scene:
        """Draw a source by weight, then axis, region and slice."""
        sources = sorted({source for source, _ in self.rows})
        source = sources[_weighted([self.regions[s][1] for s in sources], rng)]
        axes = [axis for s, axis in sorted(self.rows) if s == source]
        axis = axes[_weighted([AXIS_WEIGHTS[AXES[a]] for a in axes], rng)]
        shown = self.rows[source, axis]
        asked = sorted(shown)[rng.integers(len(shown))]
        row = int(rng.choice(shown[asked]))
        ids = {name: np.array(numbers) for name, numbers in self.regions[source][2].items()}
        return Scene(
            image=self.images[row].astype(np.float32) / 255,
            labels=self.labels[row],
            regions=ids,
            asked=asked,
        )


def training_slices(config: SliceBankConfig | None = None) -> SliceBank:
    """Return the slices that shipped 2D networks learn from, cut once and kept in the cache folder.

    The wide centre with every structure that is labelled there, the six training centres with what
    each annotates, and the tissues of a brain; no test volume, no target patient, nothing novel.
    """
    config = config or SliceBankConfig()
    path = bank_path(config)
    if not path.exists():
        _store(slice_bank(_sources(config), config), path)
    return _read(path, config)


def bank_path(config: SliceBankConfig) -> Path:
    """Return where a bank is kept: named by all that it depends on."""
    centres = "-".join(fingerprint(centre)[:4] for centre in (WIDE, *CENTRES.values()))
    name = f"v{VERSION}.{GROWTH}-{fingerprint(config)}-{centres}.npz"
    return cache_folder() / "slice_banks" / name


def slice_bank(sources: Iterable[SliceSource], config: SliceBankConfig) -> SliceBank:
    """Cut the cases of every source.

    Of each case ``source.per_axis`` axial slices are kept, and half as many of each other axis.

    Raises:
        ValueError: A source offers a novel structure, a case has no labels or label ids above 255,
            or no slice shows anything.
    """
    parts: list[dict[str, np.ndarray]] = []
    regions: list[tuple[str, float, dict[str, list[int]]]] = []
    patients = 0
    for number, source in enumerate(sources):
        regions.append((source.name, source.weight, {}))
        for case in source.cases:
            ids = _region_ids(source, case)
            for name, found in ids.items():
                known = regions[-1][2].get(name, [])
                regions[-1][2][name] = sorted({*known, *found})
            for axis in range(3):
                kept = source.per_axis if AXES[axis] == "axial" else max(1, source.per_axis // 2)
                part = _cut(case, ids, axis, kept, config)
                count = len(part["images"])
                keys = {"source": number, "axis": axis, "patient": patients}
                parts.append({**part, **{k: np.full(count, v) for k, v in keys.items()}})
            patients += 1
    arrays: dict[str, Any] = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    return SliceBank(regions=regions, least_pixels=config.least_pixels, **arrays)


def _region_ids(source: SliceSource, case: Case) -> dict[str, list[int]]:
    """Return the label ids of what the source offers of a case, as far as its table has them."""
    if case.labels is None or case.labels.max() >= IDS or max(case.table, default=0) >= IDS:
        raise ValueError(f"a bank needs label ids below {IDS}, got case {case.name!r}; relabel it.")
    offered = checked_regions(source, case)
    found = {r.name: [i for i, s in case.table.items() if s in r.structures] for r in offered}
    return {name: ids for name, ids in found.items() if ids}


def _cut(
    case: Case, ids: Mapping[str, list[int]], axis: int, count: int, config: SliceBankConfig
) -> dict[str, np.ndarray]:
    """Return some slices across an axis, each with its neighbours."""
    offered = np.zeros(IDS, np.uint8)
    for numbers in ids.values():
        offered[numbers] = numbers
    labels = offered[slices_of(case.labels, axis)]  # type: ignore[arg-type]
    kept = _chosen(labels, ids, count, rng_of("slice bank", case.name, axis))
    reach = np.arange(config.depth) - config.depth // 2
    rows = np.clip(kept[:, None] + reach, 0, len(labels) - 1).ravel()
    spacing = [mm for i, mm in enumerate(case.spacing_mm) if i != axis]
    shape = (labels.shape[1], labels.shape[2])
    frame = SquareFrame(shape=shape, spacing_mm=(spacing[0], spacing[1]), size=config.size)
    image = slices_of(normalise(case.image, case.modality), axis)[rows]
    squares = frame.image(image).mul(255).round().byte().numpy()
    maps = frame.labels(labels[rows]).byte().numpy()
    slabs = (len(kept), config.depth, config.size, config.size)
    images, ids_there = (np.moveaxis(m.reshape(slabs), 1, 3) for m in (squares, maps))
    return {"images": np.ascontiguousarray(images), "labels": np.ascontiguousarray(ids_there)}


def _chosen(
    labels: np.ndarray, ids: Mapping[str, list[int]], count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw slices: a region with equal chance, then one of the slices that show it."""
    places = np.arange(len(labels), dtype=np.int64)[:, None, None] * IDS + labels
    areas = np.bincount(places.ravel(), minlength=len(labels) * IDS).reshape(-1, IDS)
    shown = np.stack([areas[:, numbers].any(1) for numbers in ids.values()], 1)  # (n, regions)
    weight = (shown / np.maximum(shown.sum(0), 1)).sum(1)
    total = int((weight > 0).sum())
    if not total:
        return np.empty(0, int)
    return np.sort(rng.choice(len(labels), min(count, total), False, weight / weight.sum()))


def _sources(config: SliceBankConfig) -> list[SliceSource]:
    virtual = {WIDE.name, *CENTRES}
    found = training_sources(patients=config.patients, wide_patients=config.wide_patients)
    return [replace(s, per_axis=config.axial) if s.name in virtual else s for s in found]


def _store(bank: SliceBank, path: Path) -> None:
    names = ("images", "labels", "source", "axis", "patient")
    with atomic_path(path) as part:
        arrays = {name: getattr(bank, name) for name in names}
        np.savez_compressed(part, regions=json.dumps(bank.regions), **arrays)


def _read(path: Path, config: SliceBankConfig) -> SliceBank:
    with np.load(path) as file:
        arrays: dict[str, Any] = {name: file[name] for name in file.files}
    regions = [(name, weight, ids) for name, weight, ids in json.loads(str(arrays.pop("regions")))]
    return SliceBank(regions=regions, least_pixels=config.least_pixels, **arrays)


def _weighted(weights: list[float], rng: np.random.Generator) -> int:
    return int(rng.choice(len(weights), p=np.array(weights) / sum(weights)))
