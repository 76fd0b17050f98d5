"""Few-shot cells with a prior on size: every test case is asked by a network taught for it.

The arms of a cell have the same support, start, steps and rates; only the penalty differs
(`ARMS`). What the case itself contributes is its image, and in the arm "oracle" the one number that
the prior estimates.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fmtutor.bench.few_shot_cell import (
    WINDOWS_AT_ONCE,
    FeatureBatches,
    base_of,
    begun,
    counted,
    feature_cache,
)
from fmtutor.bench.few_shot_data import data_of
from fmtutor.bench.few_shot_grid import Cell, Setting
from fmtutor.bench.machine import machine
from fmtutor.core.configs import to_dict
from fmtutor.core.devices import best_device
from fmtutor.core.seeds import seed_everything, seed_of
from fmtutor.data.few_shot import FewShotBatch, FixedPatches, Volume
from fmtutor.engine.metrics import dice
from fmtutor.engine.windows import Windows
from fmtutor.losses.size_prior import target_proportion
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.training import Schedule
from fmtutor.paradigms.adapt.transduction import (
    Query,
    Transduction,
    begin,
    query_features,
    transduce,
)

ARMS = {
    "without": "the same steps with the penalty weighted 0",
    "support": "the size that the support's volumes say, as published",
    "oracle": "the true size of the case, which nobody has: an upper bound of any prior on size",
}
COLUMNS = ("case", "arm", "prior_ml", "soft_ml", "predicted_ml", "reference_ml", "dice")
"""Of a row: p* and p in millilitres (the sum of probabilities on the pooled grid), the mask's and
the reference's volume, Dice. The arm without prior keeps the support's p* for comparison."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A test case with the features of its windows in memory."""

    volume: Volume
    windows: Windows
    features: list[Tensor]
    pooled: Tensor
    """As training sees it (1, E, h, w, d)."""

    @property
    def ml(self) -> float:
        """Millilitres of the whole volume."""
        return self.volume.image.size * self.volume.voxel_ml

    @torch.inference_mode()
    def answer(self, net: FewShotNet) -> tuple[np.ndarray, float]:
        """Return a network's mask (H, W, D), and the share it gives to the structure, p."""
        device = best_device()

        def logits(numbers: Sequence[int]) -> Tensor:
            return net.head(torch.stack([self.features[n] for n in numbers]).to(device))

        net.eval().to(device)
        mask = self.windows.blend(logits, batch=WINDOWS_AT_ONCE) > 0.5
        share = torch.sigmoid(net.head(self.pooled.to(device)).float()).mean()
        return mask.numpy(), float(share)


class HeldBatches:
    """Feature batches, each made once: a support's fixed crops come in the same groups."""

    def __init__(self, batches: FeatureBatches) -> None:
        self.batches, self.made = batches, dict[tuple[int, ...], FewShotBatch]()

    def __call__(self, step: int) -> FewShotBatch:
        """Return batch number ``step``."""
        key = tuple(self.batches.patches.numbers(step))
        if key not in self.made:
            self.made[key] = self.batches(step)
        return self.made[key]


def run_transduction(cell: Cell, setting: Setting) -> dict[str, Any]:
    """Run one cell in all arms.

    Args:
        cell: What to adapt to what; a black-box method.
        setting: At which scale; with kept features.

    Returns:
        Plain values for JSON: the cell, what was trained for how long, a row of `COLUMNS` for each
        test case and arm.
    """
    data, patch, began = data_of(setting, None), setting.patch[cell.kind], time.process_time()
    base = base_of(cell, None)
    seed_everything(seed_of("few-shot start", cell.structure, cell.seed))
    net = begun(base, cell.spec, cell.structure)
    support = data.support(cell.structure, patch, shots=cell.shots, seed=cell.seed)
    learning = learning_of(net, cell, setting, support)
    support_ml = torch.tensor([float(v.target.sum()) * v.voxel_ml for v in support])
    rows: list[list[Any]] = []
    with TemporaryDirectory() as folder:
        taught = teacher(net, learning, Path(folder))
        plain = taught(None)
        for volume in data.tests(cell.structure, patch):
            asked = asked_of(net, volume, setting)
            truth_ml = float(volume.reference.sum()) * volume.voxel_ml
            share = target_proportion(support_ml, asked.ml)
            targets = {"support": share, "oracle": torch.tensor(truth_ml / asked.ml)}
            rows.append(row(plain, asked, "without", float(share) * asked.ml))
            for arm, target in targets.items():
                adapted_to_it = taught(Query(asked.pooled, target))
                rows.append(row(adapted_to_it, asked, arm, float(target) * asked.ml))
    return {
        "cell": to_dict(cell), **counted(net), "base": base.name, "steps": learning.steps,
        "on_query": learning.steps - learning.schedule.most, "rows": rows,
        "cpu_seconds": round(time.process_time() - began, 1), "machine": machine(),
    }  # fmt: skip


def learning_of(
    net: FewShotNet, cell: Cell, setting: Setting, support: Sequence[Volume]
) -> Transduction:
    """Return how a cell learns from its support, as `run_cell` does but for the early stop."""
    patches = FixedPatches(
        support, size=setting.patch[cell.kind], batch=setting.batch[cell.kind],
        seed=seed_of("few-shot patches", cell.structure, cell.seed), per_volume=setting.per_volume,
    )  # fmt: skip
    scope = cell.spec.scope
    schedule = Schedule(
        shots=cell.shots, steps=setting.steps[scope], lr_scale=setting.lr_scale[scope],
        head_lr_scale=setting.lr_scale["head"], stop=False,
        precision=setting.precision,  # type: ignore[arg-type]
    )  # fmt: skip
    batches = HeldBatches(FeatureBatches(net, patches, setting))
    return Transduction(spec=cell.spec, batches=batches, schedule=schedule, seed=cell.seed)


def teacher(
    net: FewShotNet, learning: Transduction, folder: Path
) -> Callable[[Query | None], FewShotNet]:
    """Do the first half of a training; return what does the second for a query, or for none.

    None takes the support's own features with a weight of 0, which no network feels.
    """
    for _ in begin(net, learning, folder):
        pass

    def taught(query: Query | None) -> FewShotNet:
        rule = learning if query else replace(learning, weight=0.0)
        own = copy.deepcopy(net)
        seen = query or Query(learning.batches(0).input[:1], torch.tensor(0.5))
        for _ in transduce(own, rule, seen, begun=folder):
            pass
        return own

    return taught


def asked_of(net: FewShotNet, volume: Volume, setting: Setting) -> Asked:
    """Return a test case with its features, which are kept on disk for other cells."""
    image = torch.from_numpy(volume.image)[None]
    windows = Windows(volume.image.shape, setting.patch[net.kind], overlap=setting.overlap)
    cache = feature_cache(
        net.backbone, lambda n: windows.crop(image, n), count=len(windows), setting=setting
    )
    features = list(cache)
    return Asked(volume, windows, features, query_features(windows, features))


def row(net: FewShotNet, asked: Asked, arm: str, prior_ml: float) -> list[Any]:
    """Return one row of `COLUMNS`."""
    (mask, share), volume = asked.answer(net), asked.volume
    truth = volume.reference
    numbers = (
        prior_ml, share * asked.ml, float(mask.sum()) * volume.voxel_ml,
        float(truth.sum()) * volume.voxel_ml, dice(mask, truth),
    )  # fmt: skip
    return [volume.name, arm, *(round(number, 4) for number in numbers)]
