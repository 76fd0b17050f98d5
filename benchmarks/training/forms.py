"""The forms of one training step that are compared, and how one step is timed.

Every form trains the same network on the same batches through `fmtutor.engine.fit`; it differs
from the fast one in a single thing. ``tests/benchmarks/test_training_forms.py`` keeps them equal.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.bench.recipes import Recipe
from fmtutor.bench.training import fit_config
from fmtutor.core.seeds import rng, seed_everything
from fmtutor.data.batches import Batch
from fmtutor.engine.fit import Record, fit
from fmtutor.nets.norms import InstanceNorm
from fmtutor.paradigms import config_of, paradigm

FORMS = {
    "fast": "bf16 autocast, channels-last, our instance norm and partial loss",
    "fp32": "fp32, contiguous (our instance norm is torch's there)",
    "torch_norm": "as fast, with torch.nn.InstanceNorm3d",
    "plain_loss": "as fast, with the plain partial loss: all pairs computed, then masked",
}
"""Name of a form to what it is."""

Batches = Callable[[int], Batch]


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """What one measured thing takes: medians over repetitions."""

    wall: float
    """Elapsed."""
    cpu: float
    """Of all threads of this process."""
    repeats: int
    """Measured repetitions, warm-up not counted."""


def plain_partial_loss(
    logits: Tensor, target: Tensor, known: Tensor, *, bce_weight: float, present_only: bool
) -> Tensor:
    """Return FSEFT's loss as one would first write it: every pair computed, then masked.

    Equal to `fmtutor.losses.partial.partial_loss` with ``reduction="sample_mean", dice="volume",
    smooth="both"``, as long as no unknown logit is infinite or NaN (0 times NaN is NaN).

    Args:
        logits: (B, L, H, W, D).
        target: (B, L, H, W, D), bool.
        known: (B, L), bool.
        bce_weight: Weight of the cross-entropy.
        present_only: Take Dice only where the class has a voxel.
    """
    truth, voxels = target.to(logits.dtype), (2, 3, 4)
    probability = torch.sigmoid(logits)
    overlap = (probability * truth).sum(voxels)
    sizes = probability.sum(voxels) + truth.sum(voxels)
    dice = 1 - (2 * overlap + 1) / (sizes + 1)  # (B, L)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    counted = known & target.any(4).any(3).any(2) if present_only else known
    return bce_weight * _sample_mean(entropy.mean(voxels), known) + _sample_mean(dice, counted)


def _sample_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average over a sample's masked classes, then over the samples that have one."""
    count = mask.sum(1)
    means = (values * mask).sum(1) / count.clamp_min(1)
    return means.sum() / count.count_nonzero().clamp_min(1)


def plain_step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss of a batch as `fmtutor.paradigms.partial.fseft.step`, in the plain form."""
    config = config_of(model)
    logits = model(batch.image)
    return plain_partial_loss(
        logits,
        batch.target,
        batch.known,
        bce_weight=config.bce_weight,
        present_only=config.present_only,
    )


def with_torch_norms(model: nn.Module) -> nn.Module:
    """Replace our instance norms by torch's, in place, weights kept."""
    for name, part in list(model.named_modules()):
        if isinstance(part, InstanceNorm):
            norm = nn.InstanceNorm3d(part.num_features, affine=True, eps=part.eps)
            norm.load_state_dict(part.state_dict())
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, norm)
    return model


def network(recipe: Recipe, form: str) -> nn.Module:
    """Build a recipe's network in a form; the initial weights are the same for all forms."""
    seed_everything(0)
    model = paradigm(recipe.system).build(recipe.config)
    return with_torch_norms(model) if form == "torch_norm" else model


def training(
    recipe: Recipe, form: str, batches: Batches, *, steps: int, prefetch: int = 0
) -> Iterator[Record]:
    """Return the records of a training in a form, made as they are asked for."""
    config = replace(fit_config(recipe, seed=0), steps=steps, warmup_steps=0, prefetch=prefetch)
    if form == "fp32":
        config = replace(config, precision="fp32")
    step = plain_step if form == "plain_loss" else paradigm(recipe.system).step
    return fit(network(recipe, form), step, batches, config)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_turn(
    works: dict[str, Callable[[], Any]], *, repeats: int, warmup: int = 2
) -> dict[str, Seconds]:
    """Call each work once a round, so that what else the machine does hits all alike.

    The order changes from round to round: a work also pays for the caches and the memory that the
    one before it leaves behind.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for turn in range(warmup + repeats):
        for name in rng("turn", turn).permutation(list(works)):
            seconds = timed(works[name])
            if turn >= warmup:
                found[name].append(seconds)
    return {name: medians(values) for name, values in found.items()}


def medians(values: Sequence[tuple[float, float]]) -> Seconds:
    """Return the medians of (wall, cpu) pairs."""
    wall, cpu = np.median(np.array(values), axis=0)
    return Seconds(wall=float(wall), cpu=float(cpu), repeats=len(values))


def prefetch_in_turn(
    recipe: Recipe, batches: Batches, *, blocks: int, steps: int, warmup: int = 2
) -> dict[str, Seconds]:
    """Time steps with batches made ahead and made when wanted, in alternating short trainings.

    Each block is a training of its own, so the background thread of one form never works while
    the other is timed.
    """
    found: dict[str, list[tuple[float, float]]] = {"prefetch": [], "no_prefetch": []}
    for _ in range(blocks):
        for name, ahead in (("prefetch", 2), ("no_prefetch", 0)):
            run = training(recipe, "fast", batches, steps=warmup + steps, prefetch=ahead)
            with closing(run):  # type: ignore[type-var]
                seconds = [timed(lambda run=run: next(run)) for _ in range(warmup + steps)]
            found[name] += seconds[warmup:]
    return {name: medians(values) for name, values in found.items()}
