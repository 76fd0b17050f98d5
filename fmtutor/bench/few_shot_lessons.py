"""What notebooks 12 and 13 measure live: small adaptations, and what they do to the base.

Patients, grid, patches and learning rates are those of the quick setting of
`fmtutor.bench.few_shot_grid`; only the number of steps is the notebook's. Networks that come back
lie on the CPU, wherever they were taught and asked.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.bench.few_shot_bases import Base
from fmtutor.bench.few_shot_cell import FeatureBatches, answer_alone, begun, predicted_mask
from fmtutor.bench.few_shot_data import LEAST_ML
from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.core.devices import best_device
from fmtutor.core.seeds import seed_everything
from fmtutor.data.domains import TARGET, region_of
from fmtutor.data.few_shot import FewShotBatch, FixedPatches, Patches, Volume, prepare
from fmtutor.data.shelf import virtual_case
from fmtutor.engine.metrics import dice
from fmtutor.engine.windows import Windows
from fmtutor.nets.arena import ArenaLinear
from fmtutor.paradigms.adapt.network import FewShotNet, kind_of
from fmtutor.paradigms.adapt.spec import Spec
from fmtutor.paradigms.adapt.training import Schedule, train

Heads = Mapping[str, tuple[Float[Tensor, " E"], Float[Tensor, ""]]]
"""Class to the weight and the bias of its row of a head."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One live adaptation."""

    net: FewShotNet
    losses: list[float]
    seconds: float
    """Wall time of the training."""


def patients(
    structure: str, numbers: Iterable[int], *, count: int, kind: str = "unet"
) -> list[Volume]:
    """Return volumes of the target centre, from the first patients that show a structure.

    Args:
        structure: What is to be learnt or scored.
        numbers: Patients, in the order in which they are asked.
        count: Most volumes.
        kind: Of the backbone, whose patch a volume must hold.
    """
    found: list[Volume] = []
    for number in numbers:
        if len(found) == count:
            break
        volume = prepare(
            virtual_case(TARGET, number), region_of(structure), spacing_mm=QUICK.spacing_mm,
            patch=QUICK.patch[kind],
        )  # fmt: skip
        if float(volume.target.sum()) * volume.voxel_ml >= LEAST_ML:
            found.append(volume)
    return found


def teach(
    base: Base, spec: Spec, structure: str, support: Sequence[Volume], *, steps: int
) -> Lesson:
    """Adapt a copy of a base with the published schedule, cut short.

    Args:
        base: It stays as it is.
        spec: What is put in and trained.
        structure: Of the support.
        support: A few volumes.
        steps: How many; the rates fall to zero over them.
    """
    kind = kind_of(base.backbone)
    seed_everything(0)
    net = begun(base, spec, structure)
    size, batch, k = QUICK.patch[kind], QUICK.batch[kind], QUICK.per_volume
    began = time.perf_counter()
    batches: Callable[[int], FewShotBatch] = Patches(support, size=size, batch=batch, seed=0)
    if kept := spec.how.black_box:
        fixed = FixedPatches(support, size=size, batch=batch, seed=0, per_volume=k)
        batches = FeatureBatches(net, fixed, QUICK)
    rate, own = QUICK.lr_scale[spec.scope], QUICK.lr_scale["head"]
    length = Schedule(shots=len(support), steps=steps, stop=False, lr_scale=rate, head_lr_scale=own)
    losses = [record.loss for record in train(net, spec, batches, length, from_features=kept)]
    return Lesson(net=net.cpu(), losses=losses, seconds=time.perf_counter() - began)


def answer(net: FewShotNet, volume: Volume) -> Bool[np.ndarray, "H W D"]:
    """Return the mask that an adapted network finds, window by window."""
    mask = predicted_mask(net, volume, QUICK, kept=False)
    net.cpu()
    return mask


@torch.inference_mode()
def ask_heads(
    backbone: nn.Module, heads: Heads, volume: Volume
) -> dict[str, Bool[np.ndarray, "H W D"]]:
    """Return the mask of every row of a head, from one pass of the backbone over the windows."""
    device, image = best_device(), torch.from_numpy(volume.image)[None]
    windows = Windows(image.shape[1:], QUICK.patch[kind_of(backbone)], overlap=QUICK.overlap)
    backbone.eval().to(device)
    answer_alone(backbone)
    crops = (windows.crop(image, number)[None].to(device) for number in range(len(windows)))
    features = [backbone(crop).cpu() for crop in crops]
    backbone.cpu()

    def mask(weight: Tensor, bias: Tensor) -> np.ndarray:
        def logits(numbers: Sequence[int]) -> Tensor:
            seen = torch.cat([features[number] for number in numbers])
            return torch.einsum("behwd,e->bhwd", seen, weight)[:, None] + bias

        return (windows.blend(logits) > 0.5).numpy()

    return {name: mask(weight.cpu(), bias.cpu()) for name, (weight, bias) in heads.items()}


def knowledge(
    backbones: Mapping[str, nn.Module], heads: Heads, tests: Mapping[str, Sequence[Volume]]
) -> pd.DataFrame:
    """Ask backbones for structures with a base's own head: what do they still know?

    Args:
        backbones: Name to backbone, the base's own among them.
        heads: Of the base.
        tests: Structure to volumes; those of one patient lie on one grid, whatever the structure.

    Returns:
        ``backbone``, ``structure``, ``case``, ``dice``.
    """
    asked: dict[str, dict[str, Volume]] = {}
    for structure, volumes in tests.items():
        for volume in volumes:
            asked.setdefault(volume.name, {})[structure] = volume
    lines = []
    for name, backbone in backbones.items():
        for case, volumes_of in asked.items():
            wanted = {structure: heads[structure] for structure in volumes_of}
            masks = ask_heads(backbone, wanted, next(iter(volumes_of.values())))
            for structure, volume in volumes_of.items():
                lines.append((name, structure, case, dice(masks[structure], volume.reference)))
    return pd.DataFrame(lines, columns=["backbone", "structure", "case", "dice"])


def arena_on_a_known_change(
    penalty: float, *, optimiser: str = "gradient", rank: int = 3, steps: int = 500
) -> tuple[int, float]:
    """Let ARENA learn a change of a layer whose rank is known.

    Args:
        penalty: lambda, the price of one of 16 directions.
        optimiser: "gradient" for plain descent, as the theory has it, or "adamw", as trainings do;
            rates of 0.3 and 0.01, falling to zero along a cosine.
        rank: Of the change.
        steps: Of the optimiser.

    Returns:
        Directions that are left, and the error relative to the size of the change.
    """
    seed_everything(0)
    layer = nn.Linear(24, 24, bias=False).requires_grad_(False)
    change, every_input = torch.randn(24, rank) @ torch.randn(rank, 24) / 24, torch.eye(24)
    arena = ArenaLinear(layer, 16)
    moving = [p for p in arena.parameters() if p.requires_grad]
    optim: torch.optim.Optimizer = torch.optim.SGD(moving, lr=0.3)
    if optimiser == "adamw":
        optim = torch.optim.AdamW(moving, lr=0.01, weight_decay=0.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optim, steps)
    for _ in range(steps):
        optim.zero_grad()
        lacking = arena(every_input) - layer(every_input) - change.T
        (0.5 * lacking.square().sum()).backward()
        optim.step()
        arena.shrink(optim.param_groups[0]["lr"] * penalty)
        cosine.step()
    error = (arena.merged().weight - layer.weight - change).norm() / change.norm()
    return arena.rank, float(error)
