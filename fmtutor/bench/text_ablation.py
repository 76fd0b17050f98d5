"""What does the text contribute? One system, four sorts of class vectors, three questions.

`fmtutor.paradigms.partial.clip_driven` learns with the vectors of a sentence encoder, with these
centred, and with two sorts that mean nothing: one-hot and random orthogonal ones. Each is asked

1. *known*: the structures it was trained on (unseen centre, real CT series);
2. *extension*: structures that no training centre annotates, learnt from a few cases of the unseen
   centre, and what that costs the known ones;
3. *zero-shot*: the same structures by name alone, before any case of them was seen. A mask is
   compared with the structure asked for and with every trained one: what does it really segment?

Novel structures are in no pre-training; the few cases are patients that nothing is scored on.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from fmtutor.bench.comparison import SYSTEMS, reference_mask, score_unseen, trained
from fmtutor.bench.machine import machine
from fmtutor.bench.training import Recipe, described, fit_config, parameter_groups
from fmtutor.core.ask import Classes
from fmtutor.core.files import read_json, write_json
from fmtutor.core.seeds import seed_everything
from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import NOVEL_STRUCTURES
from fmtutor.data.cases import Case
from fmtutor.data.domains import TARGET, Centre
from fmtutor.data.patches import PatchConfig, PatchStream
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import VirtualSource, virtual_cases
from fmtutor.engine.fit import fit
from fmtutor.engine.metrics import dice
from fmtutor.paradigms.partial import clip_driven

TEXTS: Mapping[str, Mapping[str, Any]] = {
    "minilm": {},
    "minilm_centred": {"center_text": True},
    "one_hot": {"text": "one_hot", "text_size": 384},
    "random": {"text": "random", "text_size": 384},
}
"""Name to the changes of the comparison's configuration; all vectors have 384 entries."""
NOVEL = tuple(NOVEL_STRUCTURES)
"""Classes added later."""
FEW = 4
"""Cases that teach the added classes."""
FEW_FROM = 100
"""First index of these patients; scored patients count from 0."""
FEW_STEPS = 200
"""Steps of the extension."""
FEW_LR = 5e-4
"""Its peak learning rate, a quarter of the first training's."""


def recipe_for(text: str, steps: int | None = None) -> Recipe:
    """Return the comparison's recipe of the CLIP-driven model with other vectors."""
    recipe = SYSTEMS["clip_driven"]()
    changes = dict(lookup(TEXTS, text, "sort of class vectors"))
    if steps is not None:
        changes["steps"] = steps
    return replace(recipe, config=replace(recipe.config, **changes))


def run_text(
    text: str,
    *,
    seed: int,
    folder: Path,
    results: Path,
    steps: int | None = None,
    few_steps: int = FEW_STEPS,
    cases: int = 3,
) -> Path:
    """Train, extend and ask one sort of vectors with one seed; a finished result is kept.

    Args:
        text: A name in `TEXTS`.
        seed: Of weights and patches.
        folder: Training's folder. That of the comparison's ``clip_driven`` of the same seed serves
            "minilm".
        results: Where ``TEXT-SEED.json`` goes.
        steps: In place of the recipe's.
        few_steps: Steps of the extension.
        cases: Patients of the target centre to score.

    Returns:
        The path of the result.
    """
    recipe, path = recipe_for(text, steps), results / f"{text}-{seed}.json"
    wanted = {**described(recipe, seed), "cases": cases, "few_steps": few_steps, "few": FEW}
    if path.exists() and read_json(path)["recipe"] == wanted:
        return path
    began = time.perf_counter()
    model = trained(recipe, seed=seed, folder=folder)
    wider = clip_driven.add_classes(model, NOVEL)
    write_json(path, {
        "name": text, "recipe": wanted,
        "known": score_unseen(recipe, model, cases=cases),
        "zero_shot": zero_shot_rows(wider, cases=cases),
        **extension(recipe, wider, seed=seed, steps=few_steps, cases=cases),
        "added_parameters": _count(wider) - _count(model), "machine": machine(),
        "seconds": time.perf_counter() - began,
    })  # fmt: skip
    return path


def novel_cases(cases: int) -> list[tuple[str, Case]]:
    """Return the volumes that novel structures are scored on, with where they are from."""
    target = [("target", case) for case in virtual_cases(TARGET, range(cases))]
    return [("real", load_sample("abdomen_ct_dicom")), *target]


def zero_shot_rows(model: nn.Module, *, cases: int) -> list[dict[str, Any]]:
    """Ask for classes that were never trained; compare with what was asked for and all else.

    Returns:
        A row per case and novel structure that the case has: Dice with its own reference, and
        the trained class whose own prediction it overlaps most.
    """
    rows = []
    old = [name for name in model.config.classes if name not in NOVEL]
    for where, case in novel_cases(cases):
        prediction = clip_driven.predict(model, case, Classes())
        masks = {name: prediction.mask(name) for name in old}
        for name in present(case, NOVEL):
            asked = prediction.mask(name)
            alike = {other: dice(asked, mask) for other, mask in masks.items() if mask.any()}
            nearest = max(alike, key=alike.__getitem__) if alike and asked.any() else None
            rows.append({
                **_scored(asked, case, name), "where": where, "answers_like": nearest,
                "dice_with_it": alike[nearest] if nearest else None,
            })  # fmt: skip
    return rows


def present(case: Case, names: Sequence[str]) -> list[str]:
    """Return the structures that a case's reference shows."""
    shown = set(case.table.values())
    return [name for name in names if name in shown and case.mask(name).any()]


def few_shot_stream(model: nn.Module, seed: int) -> PatchStream:
    """Return patches of a few patients of the target centre, with the novel structures drawn."""
    regions = tuple(Region.of(name) for name in NOVEL)
    centre = Centre(TARGET.domain, Protocol(TARGET.name, regions))
    cases = [VirtualSource(centre, FEW_FROM + FEW)[FEW_FROM + i] for i in range(FEW)]
    # The model's channels in its order: those of the first training stay unknown here.
    config = model.config
    names = Protocol("names", tuple(Region.of(name) for name in config.classes))
    words = replace(clip_driven.vocabulary([names]), protocols=(centre.protocol,))
    patches = PatchConfig(size=config.patch, batch=config.batch)
    return PatchStream([_Cases(cases, centre.protocol)], words, patches, seed=seed)


class _Cases(list[Case]):
    """A list of cases as a source."""

    def __init__(self, cases: Sequence[Case], protocol: Protocol) -> None:
        super().__init__(cases)
        self.protocol = protocol


def extension(
    recipe: Recipe, model: nn.Module, *, seed: int, steps: int, cases: int
) -> dict[str, list[dict[str, Any]]]:
    """Teach the novel classes from a few cases, then score them and the old ones.

    Returns:
        Rows under "extension" (novel structures) and "known_after" (those of the first training).
    """
    seed_everything(seed)
    config = fit_config(replace(recipe, config=replace(recipe.config, steps=steps)), seed=seed)
    config = replace(config, lr=FEW_LR)
    groups = parameter_groups(model, lr=FEW_LR, head_lr=FEW_LR * recipe.head_lr)
    for _ in fit(model, clip_driven.step, few_shot_stream(model, seed), config, groups=groups):
        pass
    rows = []
    for where, case in novel_cases(cases):
        names = present(case, NOVEL)
        prediction = clip_driven.predict(model, case, Classes(tuple(names)))
        rows += [{**_scored(prediction.mask(n), case, n), "where": where} for n in names]
    return {"extension": rows, "known_after": score_unseen(recipe, model, cases=cases)}


def _scored(mask: np.ndarray, case: Case, name: str) -> dict[str, Any]:
    reference = reference_mask(case, Region.of(name))
    return {
        "case": case.name, "region": name, "dice": dice(mask, reference),
        "reference_ml": float(reference.sum()) * case.grid.voxel_ml,
        "predicted_ml": float(mask.sum()) * case.grid.voxel_ml,
    }  # fmt: skip


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
