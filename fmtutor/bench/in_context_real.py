"""In-context segmentation of the real volumes that no training saw.

Three ways of asking. *Within*: some slices of the volume are annotated and the others asked, as an
annotator does who draws five slices of sixty. *Across*: the examples are slices of another real
patient, the torso CT, whose novel structures are in no training. *Virtual*: they are slices of
virtual patients of the target centre, whose scanner and field of view differ most. For the MR the
latter two are of another modality.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fmtutor.bench.in_context_systems import systems_of
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.anatomy import NOVEL_STRUCTURES
from fmtutor.data.cases import Case
from fmtutor.data.domains import TARGET, region_of
from fmtutor.data.episodes import Episodes
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import VirtualSource
from fmtutor.data.task_bank import SliceSource, Task, TaskBank, bank_of
from fmtutor.data.task_sources import all_regions

VOLUMES = {
    "abdomen_ct_dicom": ("liver", "spleen", "stomach", "aorta", "colon", "vertebrae",
                         "autochthon_left", "autochthon_right"),
    "abdomen_mr": ("liver", "spleen", "stomach", "kidney_left", "kidney_right", "vertebrae",
                   "autochthon_left", "autochthon_right"),
    "thorax_ct": ("heart", "aorta", "pulmonary_artery"),
}  # fmt: skip
"""Structures of at least 20 ml in each real volume; autochthon and heart are in no training."""
UNTRAINED = {*NOVEL_STRUCTURES, "heart", "pulmonary_artery"}
ACROSS = 16
"""Examples from other patients."""
PATIENTS = 14
"""Virtual patients of the target centre that examples come from."""


def real_rows(models: Mapping[str, nn.Module], *, size: int = 64) -> list[dict[str, Any]]:
    """Score networks and the nearest copy on every real volume, both ways.

    Args:
        models: Networks by name.
        size: Pixels along each side of a slice.

    Returns:
        Rows of system, volume, structure, ml, way, support, dice, slices, seen.
    """
    systems, rows = systems_of(models), []
    pools = {
        "across": bank_of([_source("torso", [load_sample("torso")], 64)], size=size),
        "virtual": bank_of([_source("virtual", VirtualSource(TARGET, PATIENTS), 12)], size=size),
    }
    for volume, structures in VOLUMES.items():
        case = load_sample(volume)
        bank = bank_of([_source(volume, [case], max(case.image.shape))], size=size)
        for structure in structures:
            task = Task(volume, case.modality, "axial", structure)
            if task not in bank.rows:
                continue
            about = {
                "volume": volume, "structure": structure, "seen": structure not in UNTRAINED,
                "ml": case.volume_ml(*region_of(structure).structures & set(case.table.values())),
            }  # fmt: skip
            for episodes, way in _asked(bank, task, pools):
                for name, answer in systems.items():
                    about |= {"system": name, "way": way, "support": episodes.supports}
                    about |= {"slices": len(episodes.query)}
                    rows.append({**about, "dice": _pooled_dice(answer, episodes)})
    return rows


def _asked(bank: TaskBank, task: Task, pools: Mapping[str, TaskBank]) -> list[tuple[Episodes, str]]:
    """Return the episodes of each way; of a pool only where it shows the structure often enough."""
    rows = bank.rows[task]
    shown = np.unique(np.linspace(0, len(rows) - 1, min(5, len(rows) // 2) + 2)[1:-1].round())
    support = rows[shown.astype(int)]
    asked = [(_episodes(bank, task, np.setdiff1d(rows, support), bank, task, support), "within")]
    for way, pool in pools.items():
        twin = next((t for t in pool.rows if (t.axis, t.region) == (task.axis, task.region)), None)
        if twin is not None and len(pool.rows[twin]) >= ACROSS:
            drawn = pool.draw_rows(twin, ACROSS, rng_of(way, task.name))
            asked.append((_episodes(bank, task, rows, pool, twin, drawn), way))
    return asked


def _episodes(
    bank: TaskBank, task: Task, queries: np.ndarray, pool: TaskBank, twin: Task, shown: np.ndarray
) -> Episodes:
    """Return one episode a query slice, all with the same support."""
    images, masks = bank.pairs(task, queries)
    support_images, support_masks = pool.pairs(twin, shown)
    count = len(queries)
    return Episodes(
        query=images,
        target=masks > 0.5,
        support_images=support_images[None].expand(count, *support_images.shape),
        support_masks=support_masks[None].expand(count, *support_masks.shape),
        known=torch.ones(count, 1, dtype=torch.bool),
        names=(task.name,) * count,
    )


def _pooled_dice(answer: Any, episodes: Episodes) -> float:
    """Return the Dice over the pixels of all slices together, a few slices at a time."""
    overlap = total = 0
    for start in range(0, len(episodes.query), 8):
        part = episodes.part(slice(start, start + 8))
        mask, truth = answer(part) > 0.5, part.target[:, 0]
        overlap += int((mask & truth).sum())
        total += int(mask.sum()) + int(truth.sum())
    return 2 * overlap / max(total, 1)


def _source(name: str, cases: Sequence[Case] | VirtualSource, per_axis: int) -> SliceSource:
    def regions(case: Case) -> list:
        novel = [region_of(structure) for structure in NOVEL_STRUCTURES]
        return [*all_regions(case), *novel]

    return SliceSource(
        name=name, cases=cases, regions=regions, per_axis=per_axis, novel_allowed=True
    )
