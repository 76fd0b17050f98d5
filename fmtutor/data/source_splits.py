"""Who trains and who is tested in a converted source: ``splits.json``.

The makers' own parts; scans of one patient, which must stay on one side of any split; and for the
two sets of the few-shot runs the published pools, tests and draws (`fmtutor.data.few_shot_splits`),
so that nnU-Net or anything else can repeat them without this package.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from fmtutor.core.files import read_json
from fmtutor.data.few_shot_splits import draw_support, published_split, published_structures
from fmtutor.data.scans import Scan

FEW_SHOT = {"totalsegmentator_v1": "totalsegmentator", "flare22": "flare22"}
"""Source to the name of its published few-shot lists."""
SPLITS_FILE = "splits.json"
"""Beside ``dataset.json``."""
SHOTS, SEEDS = (5, 10), (0, 1, 2)
"""The published numbers of shots, and seeds."""


def splits_of(source_name: str, scans: Iterable[Scan]) -> dict[str, Any]:
    """Return the splits of the scans that were converted.

    Args:
        source_name: Key of the source.
        scans: The converted ones.

    Returns:
        ``parts``: the makers' split by part; ``splits_final``: where they keep scans apart, the
        same as nnU-Net's file of that name, without the test scans if there are others to
        validate on; ``patients``: scans of those that have several; ``few_shot`` (for two
        sources): what `few_shot_lists` returns.
    """
    parts: dict[str, list[str]] = {}
    patients: dict[str, list[str]] = {}
    for scan in sorted(scans, key=lambda scan: scan.name):
        parts.setdefault(scan.part, []).append(scan.name)
        if scan.patient:
            patients.setdefault(scan.patient, []).append(scan.name)
    found: dict[str, Any] = {"parts": parts}
    if validated := parts.get("val") or parts.get("test"):
        found["splits_final"] = [{"train": parts.get("train", []), "val": validated}]
    if patients:
        found["patients"] = patients
    if source_name in FEW_SHOT:
        names = {name for listed in parts.values() for name in listed}
        found["few_shot"] = few_shot_lists(FEW_SHOT[source_name], names)
    return found


def few_shot_lists(dataset: str, converted: Collection[str]) -> dict[str, Any]:
    """Return the published few-shot lists of a dataset, drawn out, with what is missing.

    Args:
        dataset: One of `fmtutor.data.few_shot_splits.DATASETS`.
        converted: Names of the scans that there are.

    Returns:
        ``structures``: for each its pool, tests and draws by shots and seed; ``missing``: scans
        that a list names and that were not converted.
    """
    structures, named = {}, set()
    for structure in published_structures(dataset):
        split = published_split(structure, dataset)
        named |= {*split.pool, *split.test}
        structures[structure] = {
            "pool": list(split.pool),
            "test": list(split.test),
            "draws": {str(shots): _draws(split.pool, shots) for shots in SHOTS},
        }
    return {"structures": structures, "missing": sorted(named - set(converted))}


def _draws(pool: tuple[str, ...], shots: int) -> dict[str, Any]:
    found = {}
    for seed in SEEDS:
        draw = draw_support(len(pool), shots, seed)
        support = [pool[index] for index in draw.support]
        found[str(seed)] = {"support": support, "held_out": pool[draw.held_out]}
    return found


def teaching_scans(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the scans of a converted dataset that a base network may learn from.

    The makers' other parts are left to their tests. So are the pools and tests of the published
    few-shot lists: a base that has seen one of those would be scored on what it knows, and a
    support of five would not be all that it ever saw of them.

    Args:
        folder: Of the dataset; without ``splits.json`` in it, all its scans may teach.
        names: Its scans.

    Raises:
        ValueError: None is left.
    """
    if not (folder / SPLITS_FILE).is_file():
        return tuple(names)
    splits = read_json(folder / SPLITS_FILE)
    may = set(splits["parts"].get("train", ()))
    for lists in splits.get("few_shot", {}).get("structures", {}).values():
        may -= {*lists["pool"], *lists["test"]}
    if not may.intersection(names):
        raise ValueError(
            f"a base learns from training scans that no few-shot list names, {folder} has none "
            f"among its {len(names)}; convert the whole dataset."
        )
    return tuple(name for name in names if name in may)
