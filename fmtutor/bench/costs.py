"""What each system of the comparison costs: parameters, seconds and memory a step, one more class.

The cost of a class is measured, not argued: the system is built a second time for a vocabulary with
one more dataset that annotates one new structure, and the parameters are subtracted.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from fmtutor.bench.comparison import SYSTEMS
from fmtutor.bench.machine import process_peak_mb
from fmtutor.bench.recipes import Recipe
from fmtutor.bench.training import fit_config, parameter_groups, stream_of
from fmtutor.core.files import read_json
from fmtutor.core.tables import lookup
from fmtutor.data.regions import Protocol, Region
from fmtutor.engine.fit import fit
from fmtutor.paradigms import paradigm

NEW = Protocol("new_hospital", (Region.of("autochthon_left"),))
"""One more dataset, with one structure that no training centre annotates."""
WARM_UP = 3
"""Steps before the clock counts."""
HOW = {
    "med3d": "a decoder of its own",
    "dodnet": "a column of the controller",
    "clip_driven": "a sentence",
    "multitalent": "a row of the last layer",
    "uniseg": "a prompt volume and a channel of the fusion",
    "suprem": "a row of the last layer, and all old cases completed",
    "hermes": "a token at every place",
    "masked": "a row of the last layer",
}
"""What a new class consists of."""


def count(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in model.parameters())


def added_parameters(recipe: Recipe) -> int:
    """Return how many parameters a system has more for one more dataset with one new class."""
    module = paradigm(recipe.system)
    old = [centre.protocol for centre in recipe.centres]
    sizes = [
        count(module.build(recipe.config.with_vocabulary(module.vocabulary(protocols))))
        for protocols in (old, [*old, NEW])
    ]
    return sizes[1] - sizes[0]


def step_cost(name: str, *, steps: int = 10, patients: int = 2) -> dict[str, Any]:
    """Train a system of the comparison for a few steps in this process, and say what it took.

    Args:
        name: A name in `fmtutor.bench.comparison.SYSTEMS`.
        steps: Steps that are timed, after a warm-up.
        patients: Virtual patients per centre; more would only take longer to read.

    Returns:
        Medians of wall and CPU seconds a step (batches made before the clock starts), peak memory
        in MB before and after, parameters, and those that a class adds.
    """
    recipe = replace(lookup(SYSTEMS, name, "system")(), patients=patients)
    module = paradigm(recipe.system)
    model = module.build(recipe.config)
    stream = stream_of(recipe, seed=0)
    ready = [stream(position) for position in range(6)]
    before = process_peak_mb()
    config = replace(fit_config(recipe, seed=0), prefetch=0, steps=steps + WARM_UP + 1)
    groups = parameter_groups(model, lr=config.lr, head_lr=config.lr * recipe.head_lr)
    taken = []
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in fit(model, module.step, lambda i: ready[i % len(ready)], config, groups=groups):
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = time.perf_counter(), time.process_time()
    counted = taken[WARM_UP : WARM_UP + steps]
    return {
        "name": name,
        "parameters": count(model),
        "wall_seconds": statistics.median(w for w, _ in counted),
        "cpu_seconds": statistics.median(c for _, c in counted),
        "peak_mb": process_peak_mb(),
        "before_training_mb": before,
        "added_parameters": added_parameters(recipe),
        "threads": torch.get_num_threads(),
    }


def costs_frame(path: Path, systems: Sequence[str]) -> pd.DataFrame:
    """Return a row per system from the file of ``benchmarks/partial_labels/costs.py``."""
    found = {row["name"]: row for row in read_json(path)["systems"]}
    rows = []
    for name in systems:
        row = found[name]
        rows.append({
            "system": name, "parameters, M": row["parameters"] / 1e6,
            "CPU seconds a step": row["cpu_seconds"], "seconds a step": row["wall_seconds"],
            "peak memory, MB": row["peak_mb"], "a new class": HOW[name],
            "its parameters": row["added_parameters"],
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("system")
