"""Committed training recipes of the in-context systems, with the guard for ignored supports.

``fmtutor train universeg`` and ``fmtutor train tyche`` run them. Tasks come from
`fmtutor.data.task_sources.training_sources`, episodes from `fmtutor.data.episode_stream`; every
`GUARD_EVERY` steps the support sensitivity is measured and written beside the weights.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fmtutor import __version__
from fmtutor.bench.training import RECIPE_FILE, WEIGHTS_FILE, fit_config
from fmtutor.core.configs import to_dict
from fmtutor.core.devices import Precision
from fmtutor.core.files import write_json
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_everything
from fmtutor.core.tables import lookup
from fmtutor.data.episode_stream import EpisodeConfig, EpisodeStream, fixed_episodes
from fmtutor.data.episodes import Episodes, stacked
from fmtutor.data.task_bank import Task, TaskBank, bank_of
from fmtutor.data.task_sources import training_sources
from fmtutor.engine.checkpoint import save_weights
from fmtutor.engine.fit import Record, fit
from fmtutor.engine.sensitivity import support_sensitivity
from fmtutor.paradigms import IN_CONTEXT, paradigm

GUARD_FILE = "sensitivity.jsonl"
GUARD_EVERY = 250
"""Optimiser steps between two measurements of the support sensitivity."""


@dataclass(frozen=True, kw_only=True)
class InContextRecipe:
    """One training of an in-context system, without its seed."""

    system: str
    """A name in `fmtutor.paradigms.PARADIGMS`."""
    config: Any
    """The system's configuration."""
    patients: int = 16
    """Virtual patients of each of the six centres."""
    wide_patients: int = 300
    """Virtual patients of the wide centre."""
    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    """How episodes are drawn; batch and support are those of ``config``."""
    precision: Precision = "auto"
    """Precision of `fmtutor.engine.fit`."""
    ema_decay: float | None = 0.998
    """Decay of the running average of the weights."""


def recipe_of(system: str, profile: str = "quick", steps: int | None = None) -> InContextRecipe:
    """Return the committed recipe of an in-context system.

    Args:
        system: One of `IN_CONTEXT`.
        profile: "quick" or "gpu"; the data of "paper" (MegaMedical) were never released.
        steps: In place of the recipe's.

    Raises:
        ValueError: The system or the profile is unknown.
    """
    lookup(dict.fromkeys(IN_CONTEXT), system, "in-context system")
    module = paradigm(system)
    profiles = {"quick": module.Config.quick, "gpu": module.Config.gpu}
    config = lookup(profiles, profile, "profile")()
    if steps is not None:
        config = replace(config, steps=steps)
    ambiguous = 0.3 if system == "tyche" else 0.0  # the one whose loss knows of several answers
    recipe = InContextRecipe(
        system=system, config=config, episodes=EpisodeConfig(ambiguous=ambiguous)
    )
    return replace(recipe, precision="fast") if profile == "quick" else recipe


def stream_of(recipe: InContextRecipe, bank: TaskBank, *, seed: int) -> EpisodeStream:
    """Return the training batches of a recipe."""
    config = replace(recipe.episodes, batch=recipe.config.batch, support=recipe.config.support)
    return EpisodeStream(bank, config, seed=seed)


def training_bank(recipe: InContextRecipe) -> TaskBank:
    """Cut the slices that a recipe learns from (seconds, once the virtual cases are grown)."""
    sources = training_sources(patients=recipe.patients, wide_patients=recipe.wide_patients)
    return bank_of(sources, size=recipe.config.size)


def guard_episodes(bank: TaskBank, *, supports: int, seed: int) -> Episodes:
    """Return 24 training episodes of different tasks, in threes of one source and axis.

    Within a three each query can be given the support of another structure in images of its own
    kind, the hardest exchange.
    """
    rng, chosen = rng_of("guard", seed), list[Task]()
    while len(chosen) < 24:
        task = bank.draw_task(rng)
        kin = [t for t in bank.tasks if (t.source, t.axis) == (task.source, task.axis)]
        kin = [t for t in kin if len(bank.rows[t]) > supports]
        if len(kin) >= 3:
            chosen += [kin[i] for i in rng.permutation(len(kin))[:3]]
    return stacked(fixed_episodes(bank, chosen, supports=supports, queries=1, seed=seed))


EXCHANGE = tuple(3 * (i // 3) + (i + 1) % 3 for i in range(24))
"""For each of the 24 guard episodes, the one of its three whose support it gets instead."""


def train_in_context(recipe: InContextRecipe, *, folder: Path, seed: int = 0) -> Iterator[Record]:
    """Train a recipe into a folder, resuming what is there; at the end the weights are written.

    Yields:
        The record of each step, as it is done.
    """
    module, bank = paradigm(recipe.system), training_bank(recipe)
    seed_everything(seed)
    model: nn.Module = module.build(recipe.config)
    write_json(folder / RECIPE_FILE, described(recipe, seed))
    probe = guard_episodes(bank, supports=8, seed=seed)
    config = fit_config(recipe, seed=seed)
    stream = stream_of(recipe, bank, seed=seed)
    for record in fit(model, module.step, stream, config, folder=folder):
        if (record.step + 1) % GUARD_EVERY == 0:
            measure(model, probe, record.step + 1, folder)
        yield record
    save_weights(model, folder / WEIGHTS_FILE)


def measure(model: nn.Module, probe: Episodes, step: int, folder: Path) -> None:
    """Append the support sensitivity to the folder, and warn where there is none."""
    device = next(model.parameters()).device
    generator = torch.random.get_rng_state()  # candidates draw noise: training must not notice
    found = support_sensitivity(model, probe.to(device), order=EXCHANGE)
    torch.random.set_rng_state(generator)
    row = {"step": step, "own": float(found.own.mean()), "other": float(found.other.mean())}
    with open(folder / GUARD_FILE, "a") as file:
        file.write(json.dumps(row) + "\n")
    found.guard()


def described(recipe: InContextRecipe, seed: int) -> dict[str, Any]:
    """Return everything that a run depends on as plain JSON values."""
    return {**to_dict(recipe), "seed": seed, "fmtutor": __version__}
