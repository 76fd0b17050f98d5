"""Cases out in nnU-Net v2's raw layout, for nnU-Net itself and for `nnunet_raw.read_dataset`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fmtutor.core.files import write_text
from fmtutor.data.cases import Case
from fmtutor.data.nifti import write_nifti
from fmtutor.data.regions import Protocol, Region


def write_dataset(
    cases: Iterable[Case], folder: str | Path, *, protocol: Protocol | None = None
) -> None:
    """Write labelled cases on their native grids, with ``dataset.json`` last.

    Label ids become 1, 2, 3, ... in the order of the first case's table, as nnU-Net wants them.
    Cases are written as they come, so a generator of large cases is fine.

    Args:
        cases: All of one modality, with the same structures known.
        folder: The dataset's folder, such as ``nnUNet_raw/Dataset501_Centre1``; new or empty.
        protocol: The regions to train on; those of several structures become nnU-Net's
            region-based labels, the largest first. Without it each known structure is a label.

    Raises:
        ValueError: There are no cases, one has no labels or differs in modality or known
            structures, two have one name, the folder is not empty, or the protocol asks for
            structures that the cases do not know.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"a dataset is written to a new folder, {folder} is not empty; choose another."
        )
    first: Case | None = None
    names: list[str] = []
    for case in cases:
        first = first or case
        regions = _regions(first, protocol)
        ids = _ids(first, regions)
        labels = _checked_labels(case, first, names)
        write_nifti(case.image, case, folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        numbers = _renumbered(labels, case.table, ids)
        write_nifti(numbers, case, folder / "labelsTr" / f"{case.name}.nii.gz")
        names.append(case.name)
    if first is None:
        raise ValueError(f"a dataset needs at least one case, got none for {folder}.")
    text = json.dumps(dataset_plan(first.modality, len(names), regions, ids), indent=1)
    # Not by `write_json`: nnU-Net reads a meaning into the order of the labels.
    write_text(folder / "dataset.json", text + "\n")


def _regions(case: Case, protocol: Protocol | None) -> tuple[Region, ...]:
    """Return the labels to write; larger regions first, as nnU-Net paints later ones over them."""
    if protocol is None:
        drawn = [name for name in case.table.values() if name in case.known]
        return tuple(map(Region.of, [*drawn, *sorted(case.known - set(drawn))]))
    wanted = frozenset().union(*(region.structures for region in protocol.regions))
    if unknown := sorted(wanted - case.known):
        raise ValueError(f"a protocol needs known structures, case {case.name!r} lacks {unknown}.")
    return tuple(sorted(protocol.regions, key=lambda region: -len(region.structures)))


def _ids(case: Case, regions: tuple[Region, ...]) -> dict[str, int]:
    """Number the structures of the regions from 1, in the order of the table."""
    used = frozenset().union(*(region.structures for region in regions))
    ordered = [name for name in case.table.values() if name in used]
    ordered += sorted(used - set(ordered))
    return {name: number for number, name in enumerate(ordered, start=1)}


def _checked_labels(case: Case, first: Case, names: list[str]) -> np.ndarray:
    if case.labels is None:
        raise ValueError(f"a training case needs labels, {case.name!r} has none.")
    if case.name in names:
        raise ValueError(f"case names must differ, got {case.name!r} twice.")
    for what in ("modality", "known"):
        if getattr(case, what) != getattr(first, what):
            raise ValueError(
                f"cases of a dataset share their {what}, {case.name!r} differs from "
                f"{first.name!r}; write one dataset for each."
            )
    return case.labels


def _renumbered(labels: np.ndarray, table: Mapping[int, str], ids: Mapping[str, int]) -> np.ndarray:
    """Return the label map with the dataset's ids; structures that no region has become 0."""
    lut = np.zeros(max(int(labels.max()), 0, *table) + 1, dtype=np.int32)
    for number, name in table.items():
        lut[number] = ids.get(name, 0)
    return lut[labels]


def dataset_plan(
    modality: str, count: int, regions: tuple[Region, ...], ids: Mapping[str, int]
) -> dict[str, Any]:
    """Return the content of ``dataset.json``.

    Args:
        modality: Name of the one channel.
        count: Number of training cases.
        regions: The annotated labels, the largest first.
        ids: Structure to label id, in the order of the ids.
    """
    labels: dict[str, Any] = {"background": 0}
    for region in regions:
        numbers = sorted(ids[name] for name in region.structures)
        labels[region.name] = numbers if len(numbers) > 1 else numbers[0]
    plan = {
        "channel_names": {"0": modality},
        "labels": labels,
        "numTraining": count,
        "file_ending": ".nii.gz",
        "annotated": [region.name for region in regions],
        "structures": {str(number): name for name, number in ids.items()},
    }
    if any(isinstance(numbers, list) for numbers in labels.values()):
        plan["regions_class_order"] = [ids[_last(region, regions, ids)] for region in regions]
    return plan


def _last(region: Region, regions: tuple[Region, ...], ids: Mapping[str, int]) -> str:
    """Return the structure that stands for a region when nnU-Net turns regions into ids again."""
    smaller = [other.structures for other in regions if other.structures < region.structures]
    own = region.structures - frozenset().union(*smaller)
    return min(own or region.structures, key=lambda name: ids[name])
