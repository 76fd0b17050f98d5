"""What does the text contribute? One system, several sorts of class vectors, three questions.

`fmtutor.paradigms.partial.clip_driven` learns with the vectors of a sentence encoder, and with two
sorts that mean nothing: one-hot and random orthogonal ones (`RUN`; the encoder's vectors centred
are there on request). Each is asked

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
import pandas as pd
from torch import nn

from fmtutor.bench.comparison import SYSTEMS, reference_mask, scoring_regions, trained
from fmtutor.bench.machine import machine
from fmtutor.bench.recipes import Recipe
from fmtutor.bench.training import described, fit_config, parameter_groups
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
from fmtutor.engine.metrics import dice, json_rows
from fmtutor.engine.prediction import Prediction
from fmtutor.paradigms.partial import clip_driven

Rows = list[dict[str, Any]]

TEXTS: Mapping[str, Mapping[str, Any]] = {
    "minilm": {},
    "minilm_centred": {"center_text": True},
    "one_hot": {"text": "one_hot", "text_size": 384},
    "random": {"text": "random", "text_size": 384},
}
"""Name to the changes of the comparison's configuration; all vectors have 384 entries."""
RUN = ("minilm", "one_hot", "random")
"""Those that the benchmark runs unless told otherwise, and whose results are committed."""
NOVEL = tuple(NOVEL_STRUCTURES)
"""Classes added later."""
FEW = 4
"""Cases that teach the added classes."""
FEW_FROM = 100
"""First index of these patients; scored patients count from 0."""
FEW_STEPS = 150
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
    wider = clip_driven.add_classes(model, NOVEL).eval()
    known, zero_shot = asked_rows(recipe, wider, cases=cases)
    extend(recipe, wider, seed=seed, steps=few_steps)
    known_after, extension = asked_rows(recipe, wider.eval(), cases=cases)
    rows = {
        "known": known, "zero_shot": zero_shot, "extension": extension, "known_after": known_after,
    }  # fmt: skip
    write_json(path, {
        "name": text, "recipe": wanted,
        **{question: json_rows(pd.DataFrame(found)) for question, found in rows.items()},
        "added_parameters": _count(wider) - _count(model), "machine": machine(),
        "seconds": time.perf_counter() - began,
    })  # fmt: skip
    return path


def unseen_cases(cases: int) -> list[tuple[str, Case]]:
    """Return the volumes that answers are scored on, with where they are from."""
    target = [("target", case) for case in virtual_cases(TARGET, range(cases))]
    return [("real", load_sample("abdomen_ct_dicom")), *target]


def asked_rows(recipe: Recipe, model: nn.Module, *, cases: int) -> tuple[Rows, Rows]:
    """Ask a model with the novel classes for everything, in one pass per volume.

    Returns:
        Rows of the structures of the first training, as `fmtutor.bench.comparison.score_unseen`
        scores them; and rows of the novel structures that a case has, each with the trained class
        whose mask the answer is most like.
    """
    known, novel = [], []
    for where, case in unseen_cases(cases):
        prediction = clip_driven.predict(model, case, Classes())
        for region in scoring_regions(recipe, case):
            known.append({**_scored(prediction, case, region), "where": where})
        masks = {name: prediction.mask(name) for name in prediction.names if name not in NOVEL}
        for name in present(case, NOVEL):
            row = {**_scored(prediction, case, Region.of(name)), "where": where}
            novel.append({**row, **_most_like(prediction.mask(name), masks)})
    return known, novel


def _most_like(asked: np.ndarray, masks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the mask that an answer overlaps most, by Dice; None where a side is empty."""
    alike = {name: dice(asked, mask) for name, mask in masks.items() if mask.any()}
    nearest = max(alike, key=alike.__getitem__) if alike and asked.any() else None
    return {"answers_like": nearest, "dice_with_it": alike[nearest] if nearest else None}


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


def extend(recipe: Recipe, model: nn.Module, *, seed: int, steps: int) -> None:
    """Teach a model its novel classes from a few cases, in place; the others stay unknown."""
    seed_everything(seed)
    config = fit_config(replace(recipe, config=replace(recipe.config, steps=steps)), seed=seed)
    config = replace(config, lr=FEW_LR)
    groups = parameter_groups(model, lr=FEW_LR, head_lr=FEW_LR * recipe.head_lr)
    for _ in fit(model, clip_driven.step, few_shot_stream(model, seed), config, groups=groups):
        pass


def _scored(prediction: Prediction, case: Case, region: Region) -> dict[str, Any]:
    mask, reference = prediction.mask(region.name), reference_mask(case, region)
    return {
        "case": case.name, "region": region.name, "dice": dice(mask, reference),
        "reference_ml": float(reference.sum()) * case.grid.voxel_ml,
        "predicted_ml": float(mask.sum()) * case.grid.voxel_ml,
    }  # fmt: skip


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
