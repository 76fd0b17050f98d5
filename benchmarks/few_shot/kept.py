"""Black-box methods on fixed crops: the backbone run at every step, and its features kept.

The volumes are phantoms and the backbones have random weights: neither changes how long a step
takes. Norms see each crop by itself in all forms, as features of single crops are what is kept.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fmtutor.bench.few_shot_cell import FeatureBatches, answer_alone
from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.bench.few_shot_transduction import HeldBatches
from fmtutor.core.seeds import rng, seed_everything
from fmtutor.data.few_shot import FewShotBatch, FixedPatches, Volume
from fmtutor.engine.optimise import FitConfig, adamw
from fmtutor.losses.dice import dice_loss
from fmtutor.nets.build import backbone
from fmtutor.paradigms.adapt.network import FewShotNet
from fmtutor.paradigms.adapt.spec import Spec, adapted, groups, set_modes
from fmtutor.paradigms.adapt.training import Schedule, train

BACKBONES = {"unet": ("genesis_unet", 16), "swin": ("small_swin_unetr", 12)}
"""Of the quick setting: name and width, by kind."""
METHODS = ("linear_probe", "mlp_adapter", "spatial_adapter")
FORMS = {
    "plain": "images; the frozen backbone runs under no_grad at every step",
    "kept": "features of the backbone, fp16, one file a crop, read at every step",
    "held": "the same, whole batches held in memory as fp32: the least that reading could cost",
}
"""Name of a form to what it is; all train the same weights on the same crops."""
SHOTS, CROPS = 5, QUICK.per_volume
COMPARED, TOLERANCE = 10, 1e-4
"""First steps whose losses must agree, and how well, relative. Rounding to fp16 moves a feature by
up to 5e-4, a loss, which sums over voxels, by far less; but trainings part slowly."""
PHASES = (
    "read", "stack", "targets", "modes", "forward", "loss", "backward", "optimiser",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Medians over repetitions of one measured thing."""

    wall: float
    cpu: float
    """Of all threads of this process."""
    repeats: int
    """Warm-up not counted."""


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_turn(
    works: dict[str, Callable[[], Any]], *, repeats: int, warmup: int = 1
) -> dict[str, Seconds]:
    """Call each work once a round, in changing order, so that other load hits all alike."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for turn in range(warmup + repeats):
        for name in rng("turn", turn).permutation(list(works)):
            seconds = timed(works[str(name)])
            if turn >= warmup:
                found[str(name)].append(seconds)
    return {
        name: Seconds(
            wall=median(wall for wall, _ in pairs), cpu=median(cpu for _, cpu in pairs),
            repeats=len(pairs),
        )
        for name, pairs in found.items()
    }  # fmt: skip


def phantom(number: int) -> Volume:
    """Return a smooth random image whose brightest tenth is the structure."""
    draw = rng("benchmarks", "few_shot", number)
    image = ndimage.gaussian_filter(draw.normal(size=(72, 56, 64)), 3)
    image = ((image - image.min()) / np.ptp(image)).astype(np.float32)
    target = image > np.quantile(image, 0.9)
    return Volume(name=f"phantom-{number}", image=image, target=target, voxel_ml=0.125)


def phantoms() -> list[Volume]:
    """Return the support."""
    return [phantom(number) for number in range(SHOTS)]


def random_backbone(kind: str) -> nn.Module:
    """Return the backbone of the quick setting, the same random weights at every call."""
    name, width = BACKBONES[kind]
    seed_everything(0)
    return backbone(name, (width,)).eval()


class Black:
    """One black-box method on one backbone, in every form."""

    def __init__(self, kind: str, method: str, volumes: list[Volume]) -> None:
        self.kind, self.spec = kind, Spec(method=method)
        self.patches = FixedPatches(
            volumes, size=QUICK.patch[kind], batch=QUICK.batch[kind], seed=0, per_volume=CROPS
        )
        self.backbone = random_backbone(kind)

    def net(self) -> FewShotNet:
        """Return a network to train; its weights are the same at every call."""
        seed_everything(0)
        net = adapted(self.backbone, self.spec)
        answer_alone(net)
        net.backbone.forward = torch.no_grad()(net.backbone.forward)  # type: ignore[method-assign]
        return net

    def features(self) -> FeatureBatches:
        """Return batches of kept features; all of them are on disk then."""
        batches = FeatureBatches(self.net(), self.patches, QUICK)
        for _ in batches.features.build():
            pass
        return batches

    def training(self, form: str, *, steps: int) -> Iterator[float]:
        """Yield the losses of a training in a form."""
        batches: Callable[[int], FewShotBatch] = self.patches
        if form != "plain":
            batches = self.features()
        if form == "held":
            batches = HeldBatches(batches)  # type: ignore[arg-type]
            for step in range(SHOTS * CROPS):
                batches(step)
        scale = QUICK.lr_scale[self.spec.scope]
        schedule = Schedule(shots=SHOTS, steps=steps, lr_scale=scale, stop=False)
        net, kept = self.net(), form != "plain"
        for record in train(net, self.spec, batches, schedule, from_features=kept):
            yield record.loss

    def epochs(self, forms: Sequence[str], *, repeats: int) -> tuple[dict[str, Seconds], float]:
        """Time epochs of forms in turn; an epoch shows every volume once, as published.

        Returns:
            Seconds by form; the largest relative difference of the first losses, plain and kept.

        Raises:
            RuntimeError: It is more than rounding to fp16 explains.
        """
        steps = (repeats + 1) * SHOTS + 1  # one more: the last does its last rites inside the clock
        runs = {form: self.training(form, steps=steps) for form in forms}
        losses: dict[str, list[float]] = {form: [] for form in forms}

        def epoch(form: str) -> None:
            losses[form] += [next(runs[form]) for _ in range(SHOTS)]

        seconds = in_turn({form: (lambda f=form: epoch(f)) for form in forms}, repeats=repeats)
        plain, kept = (np.array(losses[form][:COMPARED]) for form in ("plain", "kept"))
        error = float(np.max(np.abs(kept - plain) / plain))
        if not error < TOLERANCE:
            raise RuntimeError(
                f"both forms must have the same losses up to fp16, those of {self.spec.method} on "
                f"{self.kind} differ by {error:.1e}."
            )
        return seconds, error

    def operations(self) -> dict[str, float]:
        """Count the FLOPs of a step: the backbone forward, the rest forward and backward."""
        net, image = self.net(), self.patches(0).input
        with FlopCounterMode(display=False) as counted:
            features = net.backbone(image)
        encode = counted.get_total_flops()
        with FlopCounterMode(display=False) as counted:
            net.head(features).sum().backward()
        head = counted.get_total_flops()
        return {"encode": encode, "head": head, "bound": (encode + head) / head}

    def phases(self, *, repeats: int) -> dict[str, float]:
        """Return median CPU seconds of the parts of a kept step.

        The step is that of `fmtutor.engine.fit`, written out, as the loop has no clock inside.
        """
        batches, net = self.features(), self.net()
        config = FitConfig(steps=1, lr=self.spec.how.lr, weight_decay=0.0)
        optimizer = adamw(
            net, config, groups(net, self.spec, scale=QUICK.lr_scale[self.spec.scope])
        )
        rows = []
        for step in range(repeats + 2):
            marks = [time.process_time()]
            numbers = self.patches.numbers(step)
            for _ in self.step(net, batches, numbers, optimizer):
                marks.append(time.process_time())
            rows.append(np.diff(marks))
        middle = np.median(np.array(rows[2:]), axis=0)
        return {name: float(value) for name, value in zip(PHASES, middle, strict=True)}

    def step(
        self, net: FewShotNet, batches: FeatureBatches, numbers: list[int], optimizer: Any
    ) -> Iterator[str]:
        """Do one step of the kept form; yield the name of each of `PHASES` when it is over."""
        read: list[Tensor] = [batches.features[number] for number in numbers]
        yield "read"
        inputs = torch.stack(read)
        yield "stack"
        target = torch.stack([self.patches[number][1] for number in numbers])
        yield "targets"
        set_modes(net, self.spec)
        yield "modes"
        logits = net.head(inputs)
        yield "forward"
        loss = dice_loss(torch.sigmoid(logits), target, smooth="both")
        yield "loss"
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        yield "backward"
        nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], float("inf"))
        optimizer.step()
        yield "optimiser"
