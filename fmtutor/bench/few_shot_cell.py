"""One cell of a few-shot table: draw the support, adapt, score, and return it all as plain values.

A cell asks for one structure, or for several at once (`fmtutor.bench.few_shot_tasks`): the same
steps, with a softmax for the sigmoid. A black-box method never changes the backbone, so features of
its crops and of the windows of the test cases are kept on disk, and shared by every method, shot
and seed that asks for them again.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.bench.few_shot_bases import Base, Bases, base_network
from fmtutor.bench.few_shot_data import FewShotData, data_of
from fmtutor.bench.few_shot_grid import Cell, Setting
from fmtutor.bench.few_shot_tasks import classes_of, outputs_of
from fmtutor.bench.machine import machine, process_peak_mb, reset_process_peak
from fmtutor.core.configs import to_dict
from fmtutor.core.devices import autocast, best_device, use_channels_last
from fmtutor.core.seeds import seed_everything, seed_of
from fmtutor.data.few_shot import FewShotBatch, FixedPatches, Patches, Volume
from fmtutor.data.few_shot_classes import MultiVolume
from fmtutor.data.samples import cache_folder
from fmtutor.engine.features import FeatureCache
from fmtutor.engine.metrics import dice
from fmtutor.engine.windows import Windows
from fmtutor.nets.freeze import parts
from fmtutor.nets.norms import BatchStatisticsNorm
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.spec import Spec, adapted
from fmtutor.paradigms.adapt.training import Schedule, train

WINDOWS_AT_ONCE = 2


def run_cell(
    cell: Cell, setting: Setting, folder: Path | None = None, weights: Bases | None = None
) -> dict[str, Any]:
    """Run one cell.

    Args:
        cell: What to adapt to what.
        setting: At which scale.
        folder: Of the published dataset, where the setting needs one.
        weights: Where its base comes from; None takes a shipped one.

    Returns:
        Plain values for JSON: the cell, the setting, Dice of every test and real volume, parameters
        trained, seconds, peak memory, losses.
    """
    reset_process_peak()
    data, patch = data_of(setting, folder), setting.patch[cell.kind]
    base = base_of(cell, weights)
    seed_everything(seed_of("few-shot start", cell.structure, cell.seed))
    net = begun(base, cell.spec, *classes_of(cell.structure, setting.data))
    began = time.perf_counter()
    losses, stopped = taught(net, cell, setting, data)
    trained_at = time.perf_counter()
    scores = [
        {**found, "where": where}
        for where, volumes in (
            ("test", data.tests(cell.structure, patch)),
            ("real", data.real(cell.structure, patch)),
        )
        for volume in volumes
        for found in scores_of(net, cell, setting, volume)
    ]
    return {
        "cell": to_dict(cell), "setting": to_dict(setting), "scores": scores,
        **counted(net), "steps": len(losses), "stopped": stopped,
        "train_seconds": round(trained_at - began, 3),
        "test_seconds": round(time.perf_counter() - trained_at, 3),
        "peak_mb": round(process_peak_mb(), 1), "loss": [round(loss, 4) for loss in losses],
        "base": base.name, "machine": machine(),
    }  # fmt: skip


def base_of(cell: Cell, weights: Bases | None) -> Base:
    """Return a cell's base: a shipped one, or one of a folder."""
    if weights is None:
        return base_network(cell.base, cell.kind, seed=cell.seed)
    return weights.base(cell)


def begun(base: Base, spec: Spec, *classes: str) -> FewShotNet:
    """Return a base's network with a method put in, ready to train.

    A U-Net's convolutions lie with channels last, which a CPU computes faster; what surrounds a
    Swin-UNETR's attention would only be turned back and forth.
    """
    net = adapted(base.backbone, spec, row=base.row(*classes), outputs=outputs_of(classes))
    return net if net.kind == "swin" else use_channels_last(net)  # type: ignore[return-value]


def taught(
    net: FewShotNet, cell: Cell, setting: Setting, data: FewShotData
) -> tuple[list[float], bool]:
    """Train a cell's network in place; return the losses, and whether it stopped early."""
    if cell.spec.how.family == "none":
        return [], False
    patch, batch = setting.patch[cell.kind], setting.batch[cell.kind]
    volumes = data.support(cell.structure, patch, shots=cell.shots, seed=cell.seed)
    seed = seed_of("few-shot patches", cell.structure, cell.seed)
    keeps = cell.spec.how.black_box and setting.per_volume > 0
    batches: Callable[[int], FewShotBatch]
    if keeps:
        fixed = FixedPatches(
            volumes, size=patch, batch=batch, seed=seed, per_volume=setting.per_volume
        )
        batches = FeatureBatches(net, fixed, setting)
    else:
        batches = Patches(volumes, size=patch, batch=batch, seed=seed)
    schedule = Schedule(
        shots=cell.shots, steps=setting.steps[cell.spec.scope],
        lr_scale=setting.lr_scale[cell.spec.scope], head_lr_scale=setting.lr_scale["head"],
        precision=setting.precision,  # type: ignore[arg-type]
    )  # fmt: skip
    records = train(net, cell.spec, batches, schedule, seed=cell.seed, from_features=keeps)
    losses = [record.loss for record in records]
    return losses, len(losses) < schedule.most


class FeatureBatches:
    """Batches of features of fixed patches, as `FixedPatches` would show the patches."""

    def __init__(self, net: FewShotNet, patches: FixedPatches, setting: Setting) -> None:
        self.patches = patches
        self.features = feature_cache(
            net.backbone, lambda n: patches[n][0], count=len(patches), setting=setting
        )

    def __call__(self, step: int) -> FewShotBatch:
        """Return batch number ``step``."""
        numbers = self.patches.numbers(step)
        inputs = torch.stack([self.features[number] for number in numbers])
        return FewShotBatch(inputs, torch.stack([self.patches[n][1] for n in numbers]))


def feature_cache(
    backbone: nn.Module, crops: Callable[[int], Tensor], *, count: int, setting: Setting
) -> FeatureCache:
    """Return a cache in the user's cache folder; the backbone must be frozen."""
    return FeatureCache(
        backbone, backbone, crops, cache_folder() / "few_shot_features", count=count,
        precision=setting.precision,  # type: ignore[arg-type]
    )  # fmt: skip


def scores_of(
    net: FewShotNet, cell: Cell, setting: Setting, volume: Volume
) -> list[dict[str, Any]]:
    """Return the scores of one volume, on the working grid: one, or one for each class.

    One structure is scored against its largest part, each of several against all of it.
    """
    kept = cell.spec.how.black_box
    if not isinstance(volume, MultiVolume):
        predicted = predicted_mask(net, volume, setting, kept=kept)
        return [score(predicted, volume.reference, volume)]
    labels = predicted_probabilities(net, volume, setting, kept=kept).argmax(0).numpy()
    return [
        {**score(labels == n, volume.labels == n, volume), "class": name}
        for n, name in enumerate(volume.classes, start=1)
    ]


def score(
    predicted: Bool[np.ndarray, "H W D"], truth: Bool[np.ndarray, "H W D"], volume: Volume
) -> dict[str, Any]:
    """Return Dice and sizes of one answer."""
    return {
        "case": volume.name,
        "dice": dice(predicted, truth), "dice_plus_one": dice(predicted, truth, plus=1.0),
        "reference_ml": float(truth.sum()) * volume.voxel_ml,
        "predicted_ml": float(predicted.sum()) * volume.voxel_ml,
    }  # fmt: skip


def predicted_mask(
    net: FewShotNet, volume: Volume, setting: Setting, *, kept: bool
) -> Bool[np.ndarray, "H W D"]:
    """Return the mask of one structure; arguments as of `predicted_probabilities`."""
    return (predicted_probabilities(net, volume, setting, kept=kept)[0] > 0.5).numpy()


@torch.inference_mode()
def predicted_probabilities(
    net: FewShotNet, volume: Volume, setting: Setting, *, kept: bool
) -> Float[Tensor, "L H W D"]:
    """Return the probabilities of a volume, blended from its windows.

    Args:
        net: The adapted network.
        volume: On its working grid.
        setting: Windows and their overlap.
        kept: Take the backbone's features from disk; only where it is the base's.
    """
    device, image = best_device(), torch.from_numpy(volume.image)[None]
    windows = Windows(volume.image.shape, setting.patch[net.kind], overlap=setting.overlap)
    net.eval().to(device)
    answer_alone(net)

    def from_images(numbers: Sequence[int]) -> Tensor:
        crops = torch.stack([windows.crop(image, number) for number in numbers])
        with autocast(setting.precision, device):  # type: ignore[arg-type]
            return net(crops.to(device))

    blended = partial(
        windows.blend_classes, probabilities=net.probabilities,
        classes=net.classifier.out_channels, batch=WINDOWS_AT_ONCE,
    )  # fmt: skip
    if not kept or not setting.per_volume:
        return blended(from_images)
    features = feature_cache(
        net.backbone, lambda n: windows.crop(image, n), count=len(windows), setting=setting
    )

    def from_features(numbers: Sequence[int]) -> Tensor:
        return net.head(torch.stack([features[number] for number in numbers]).to(device))

    return blended(from_features)


def answer_alone(net: nn.Module) -> None:
    """Let norms that take a batch's statistics see each window by itself: published batch is 1."""
    for module in net.modules():
        if isinstance(module, BatchStatisticsNorm):
            module.one_by_one = True


def counted(net: FewShotNet) -> dict[str, int]:
    """Count what is trained: in all, in the head, in the decoder."""
    trained = {name: p.numel() for name, p in net.named_parameters() if p.requires_grad}
    decoder = tuple(f"backbone.{name}." for name in parts(net.backbone, "decoder"))
    return {
        "parameters": sum(trained.values()),
        "head_parameters": sum(n for name, n in trained.items() if name.startswith("classifier.")),
        "decoder_parameters": sum(n for name, n in trained.items() if name.startswith(decoder)),
        "total_parameters": sum(p.numel() for p in net.parameters()),
    }
