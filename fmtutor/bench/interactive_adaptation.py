"""What a general 2D SAM is worth to medicine: each adapted system begun from it, and from nothing.

Every system trains the same number of steps on virtual patients, once from our general SAM
with what its paper freezes frozen, once from scratch with nothing frozen (a frozen network of
random weights would be no fair rival). All are asked about the same slices of patients of the
target centre, which no training saw.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.bench.interactive_training import InteractiveRecipe, stream_of
from fmtutor.bench.training import fit_config
from fmtutor.core.ask import Clicks
from fmtutor.core.prompts import INSIDE, Prompts, no_points
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.core.tables import lookup
from fmtutor.data.boxes import tight
from fmtutor.data.cases import Case
from fmtutor.data.clicks import simulate
from fmtutor.data.domains import TARGET, region_of
from fmtutor.data.fixed_slices import fixed_slices
from fmtutor.data.shelf import virtual_cases
from fmtutor.engine.fit import FitConfig, fit
from fmtutor.engine.metrics import dice
from fmtutor.engine.sensitivity import dice_each
from fmtutor.nets.sam_start import Base
from fmtutor.paradigms import config_of, paradigm
from fmtutor.paradigms.interactive.samed import SYNAPSE

Rows = list[dict[str, Any]]
BASE, SCRATCH = "base", "scratch"
BOX, CLICK, NO_PROMPT, VOLUME_CLICK = "box", "click", "none", "click in the volume"


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """One way to adapt, and how it is asked."""

    system: str
    """A name in `fmtutor.paradigms.INTERACTIVE`."""
    prompts: tuple[str, ...]
    """What it is asked with."""
    classes: tuple[str, ...] = ()
    """Of an automatic system."""


SYSTEMS = {
    "medsam": Adapted(system="medsam", prompts=(BOX,)),
    "sam_med2d": Adapted(system="sam_med2d", prompts=(BOX, CLICK)),
    "samed": Adapted(system="samed", prompts=(NO_PROMPT,), classes=SYNAPSE),
    "ma_sam": Adapted(system="ma_sam", prompts=(BOX, CLICK)),
    "ma_sam_automatic": Adapted(system="ma_sam", prompts=(NO_PROMPT,), classes=SYNAPSE),
    "adapter_3dsam": Adapted(system="adapter_3dsam", prompts=(VOLUME_CLICK,)),
}
"""What is compared, by name."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How long everything trains, and who is asked."""

    systems: tuple[str, ...] = tuple(SYSTEMS)
    """Names in `SYSTEMS`."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of weights, batches and clicks."""
    steps: int = 400
    """Optimiser steps of every training."""
    patients: int = 16
    """Virtual patients of each training centre."""
    wide_patients: int = 300
    """Virtual patients of the wide centre."""
    targets: int = 4
    """Patients of the target centre."""
    structures: tuple[str, ...] = SYNAPSE
    """What is asked of them."""


def compare(base: Base, comparison: Comparison | None = None) -> Iterator[dict[str, Any]]:
    """Train and score everything; yield one row for each structure and prompt.

    Args:
        base: The general SAM of `fmtutor.paradigms.interactive.sizes.SMALL`, or its state.
        comparison: What is compared.
    """
    c = comparison or Comparison()
    cases = virtual_cases(TARGET, range(c.targets))
    for name in c.systems:
        lookup(SYSTEMS, name, "adapted system")
        for seed in c.seeds:
            for start in (BASE, SCRATCH):
                model, about = trained(name, base if start == BASE else None, c, seed=seed)
                for row in scores(model, SYSTEMS[name], cases, c.structures):
                    yield {"system": name, "start": start, "seed": seed, **row, **about}


def trained(
    name: str, base: Base | None, comparison: Comparison, *, seed: int
) -> tuple[nn.Module, dict[str, Any]]:
    """Train one system; return it, and what that took.

    Args:
        name: A key of `SYSTEMS`.
        base: Where it begins; None begins from scratch, with nothing frozen.
        comparison: Steps and patients.
        seed: Of weights, batches and clicks.
    """
    how = SYSTEMS[name]
    module = paradigm(how.system)
    changes = {"classes": how.classes} if how.classes else {}
    config = module.Config.quick(steps=comparison.steps, freeze=base is not None, **changes)
    seed_everything(seed)
    model = module.build(config, base)
    recipe = InteractiveRecipe(
        system=how.system, config=config, patients=comparison.patients,
        wide_patients=comparison.wide_patients, ema_decay=None,
    )  # fmt: skip
    options: FitConfig = replace(fit_config(recipe, seed=seed), checkpoint_every=10**9)
    batches, began = stream_of(recipe, seed=seed), time.perf_counter()
    for _ in fit(model, module.step, batches, options):
        pass
    return model.eval(), {
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "seconds": round(time.perf_counter() - began, 1),
        "steps": comparison.steps,
    }


def scores(
    model: nn.Module, how: Adapted, cases: Sequence[Case], structures: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the mean Dice of each structure, by prompt."""
    for prompt in how.prompts:
        found: dict[str, list[float]] = {}
        for case in cases:
            asked = _in_volume if prompt == VOLUME_CLICK else _in_slices
            for name, value in asked(model, how, case, structures, prompt):
                found.setdefault(name, []).append(value)
        for name, values in found.items():
            mean = round(float(np.mean(values)), 4)
            yield {"structure": name, "prompt": prompt, "dice": mean, "questions": len(values)}


def _in_slices(
    model: nn.Module, how: Adapted, case: Case, structures: Sequence[str], prompt: str
) -> Iterator[tuple[str, float]]:
    """Ask about chosen slices; of a slab its middle slice is scored."""
    size = (*config_of(model).size, 1)
    for chosen in fixed_slices(case, structures, size=size[0], depth=size[2]):
        batch = chosen.objects
        names, truth = batch.names[0], batch.target[0]
        with torch.inference_mode():
            if how.classes:
                winner = model(batch.image)[0].argmax(0)
                numbers = [1 + how.classes.index(name) for name in names]
                masks = torch.stack([winner == number for number in numbers])
            else:
                masks = _answered(model, batch.image, prompts_of(truth, prompt))
        middle = (slice(None),) * 3 if size[2] == 1 else (*(slice(None),) * 3, size[2] // 2)
        yield from zip(names, dice_each(masks[middle], truth[middle]).tolist(), strict=True)


def _answered(model: nn.Module, image: Tensor, prompts: Prompts) -> Tensor:
    """Return the masks of first questions, which some systems learnt to answer by candidates."""
    several = config_of(model).plan.candidates
    answer = model.decode(model.embed(image), prompts, candidates=several)  # type: ignore[operator]
    return answer.best().logits[:, 0] > 0


def prompts_of(truth: Tensor, prompt: str) -> Prompts:
    """Return the tight box, or a click in the middle, of each mask (K, *grid); 2D in a slab.

    In a slab both are those of the middle slice, and the box goes on through all slices.
    """
    slab = truth.dim() == 4
    flat = (truth[..., truth.shape[-1] // 2] if slab else truth).numpy()
    if prompt == BOX:
        boxes = torch.from_numpy(np.stack([tight(mask) for mask in flat])).float()
        if slab:
            ends = torch.tensor([0.0, truth.shape[-1] - 1]).expand(len(boxes), 2)[..., None]
            boxes = torch.cat([boxes, ends], -1)
        return replace(no_points(len(boxes), boxes.shape[-1]), boxes=boxes)
    points = torch.tensor([[_middle(mask)] for mask in flat]).float()
    if slab:
        points = torch.cat([points, torch.full_like(points[..., :1], truth.shape[-1] // 2)], -1)
    return Prompts(points=points, labels=torch.full((len(points), 1), INSIDE))


def _middle(mask: np.ndarray) -> tuple[int, ...]:
    click = simulate("centre", mask, np.zeros_like(mask), rng_of("middle"))
    assert click is not None
    return click.point


def _in_volume(
    model: nn.Module, how: Adapted, case: Case, structures: Sequence[str], prompt: str
) -> Iterator[tuple[str, float]]:
    """Click once in the middle of each structure of a volume."""
    module = paradigm(how.system)
    for name in structures:
        parts = region_of(name).structures
        ids = [number for number, part in case.table.items() if part in parts]
        truth = np.isin(np.asarray(case.labels), ids)
        if truth.any():
            ask = Clicks((_middle(truth),), (True,))  # type: ignore[arg-type]
            found = module.predict(model, case, ask)
            yield name, dice(found.mask(found.classes[0]), truth)


def summary(rows: Rows) -> Mapping[tuple[str, str, str], float]:
    """Return the mean Dice over structures and seeds of each system, start and prompt."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row["system"], row["start"], row["prompt"]), []).append(row["dice"])
    return {key: float(np.mean(values)) for key, values in groups.items()}
