"""Trainings of recipes: into a folder, resumable, with everything a run depends on beside it.

``fmtutor train NAME`` runs the recipe of that name of `fmtutor.bench.recipes`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fmtutor import __version__
from fmtutor.bench.recipe_sources import source_weights, virtual_sources
from fmtutor.bench.recipes import RECIPES, Recipe, all_centres
from fmtutor.bench.training_start import RECIPE_FILE, WEIGHTS_FILE, beginning
from fmtutor.core.configs import to_dict
from fmtutor.core.devices import use_channels_last
from fmtutor.core.files import write_json
from fmtutor.core.seeds import seed_everything
from fmtutor.core.tables import lookup
from fmtutor.data.patches import PatchConfig, PatchStream, Source
from fmtutor.engine.checkpoint import save_weights
from fmtutor.engine.fit import FitConfig, Record, fit
from fmtutor.paradigms import IN_CONTEXT, INTERACTIVE, SELF_SUPERVISED, paradigm


def stream_of(recipe: Recipe, *, seed: int, sources: Sequence[Source] | None = None) -> PatchStream:
    """Return the batches of a recipe; a function of the step, the seed and the sources alone."""
    config = recipe.config
    sources = sources or virtual_sources(recipe)
    words = paradigm(recipe.system).vocabulary([source.protocol for source in sources])
    patches = PatchConfig(size=config.patch, batch=config.batch, balance=recipe.balance)
    return PatchStream(
        sources, words, patches, seed=seed, background_is_known=recipe.background_is_known,
        weights=source_weights(recipe),
    )  # fmt: skip


def fit_config(recipe: Any, *, seed: int) -> FitConfig:
    """Return the optimiser's part of a recipe, of this family or another.

    Args:
        recipe: With ``config``, ``precision`` and ``ema_decay``.
        seed: Of the run.
    """
    c = recipe.config
    return FitConfig(
        steps=c.steps, lr=c.lr, weight_decay=c.weight_decay,
        warmup_steps=min(c.warmup_steps, c.steps // 2),
        precision=recipe.precision, ema_decay=recipe.ema_decay, seed=seed,
    )  # type: ignore[arg-type]  # fmt: skip


def train_recipe(
    recipe: Recipe,
    *,
    folder: Path,
    seed: int = 0,
    sources: Sequence[Source] | None = None,
    start: Path | None = None,
) -> Iterator[Record]:
    """Train a recipe into a folder, resuming what is there; at the end the weights are written.

    Args:
        recipe: What to train.
        folder: Where everything goes.
        seed: Of weights and patches.
        sources: Cases, in place of the recipe's.
        start: A finished training folder of the same network to begin from; none is from chance.

    Yields:
        The record of each step, as it is done.
    """
    module = paradigm(recipe.system)
    seed_everything(seed)
    model: nn.Module = module.build(recipe.config)
    begun = {"start": beginning(model, start)} if start is not None else {}
    write_json(folder / RECIPE_FILE, {**described(recipe, seed), **begun})
    if start is None:
        for head in heads_of(model):
            head.expect(recipe.head_prior)
    if recipe.channels_last:
        use_channels_last(model)
    stream, config = stream_of(recipe, seed=seed, sources=sources), fit_config(recipe, seed=seed)
    groups = parameter_groups(model, lr=config.lr, head_lr=config.lr * recipe.head_lr)
    yield from fit(model, module.step, stream, config, folder=folder, groups=groups)
    save_weights(model, folder / WEIGHTS_FILE)


def heads_of(model: nn.Module) -> list[nn.Module]:
    """Return the parts of a model that can start from a prior: its linear heads and controllers."""
    return [part for part in model.modules() if hasattr(part, "expect")]


def parameter_groups(model: nn.Module, *, lr: float, head_lr: float) -> list[dict[str, Any]]:
    """Return groups for the optimiser: the rest, and the parts with rates of their own.

    These are the heads and every module with an attribute ``rate``, a factor on ``head_lr``.
    """
    heads: dict[float, dict[int, nn.Parameter]] = {}
    for head in (m for m in model.modules() if hasattr(m, "expect") or hasattr(m, "rate")):
        group = heads.setdefault(float(getattr(head, "rate", 1.0)), {})
        group.update({id(parameter): parameter for parameter in head.parameters()})
    taken = {key for group in heads.values() for key in group}
    rest = [p for p in model.parameters() if id(p) not in taken]
    fast = [{"params": list(g.values()), "lr": head_lr * rate} for rate, g in heads.items()]
    return [{"params": rest, "lr": lr}, *fast]


def described(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Return everything that a run depends on as plain JSON values."""
    return {
        "system": recipe.system, "config": to_dict(recipe.config), "patients": recipe.patients,
        "centres": [centre.name for centre in recipe.centres], "precision": recipe.precision,
        "background_is_known": recipe.background_is_known, "balance": recipe.balance,
        "head_lr": recipe.head_lr, "head_prior": recipe.head_prior,
        "ema_decay": recipe.ema_decay, "respaced": recipe.respaced,
        "wide_patients": recipe.wide_patients, "wide_share": recipe.wide_share, "seed": seed,
        "fmtutor": __version__,
    }  # fmt: skip


def train(
    name: str,
    *,
    profile: str = "quick",
    folder: Path,
    seed: int = 0,
    steps: int | None = None,
    start: Path | None = None,
) -> Iterator[Record]:
    """Run a named recipe.

    Args:
        name: A name in `RECIPES`, or a system of `ELSEWHERE`.
        profile: "quick" or "gpu" on the virtual cohort; `fmtutor.bench.paper_training` has "paper".
        folder: Where checkpoints, history, recipe and weights go; a second call resumes. "suprem"
            trains its first model there too, in ``first``, and keeps the completed cases.
        seed: Of weights and patches.
        steps: In place of the recipe's.
        start: See `train_recipe`; only for the recipes of this module.

    Raises:
        ValueError: No recipe has this name, the profile is "paper", or the start does not fit.
    """
    if start is not None and name not in RECIPES:
        raise ValueError(
            f"only {', '.join(sorted(RECIPES))} begin from another training, got {name}; leave "
            "--start out."
        )
    if name in IN_CONTEXT:
        from fmtutor.bench import in_context_training as in_context  # kornia is only needed there

        recipe_in_context = in_context.recipe_of(name, profile, steps)
        yield from in_context.train_in_context(recipe_in_context, folder=folder, seed=seed)
        return
    if name in INTERACTIVE:
        from fmtutor.bench import interactive_training as interactive  # which builds on this module

        recipe_of_objects = interactive.recipe_of(name, profile, steps)
        yield from interactive.train_interactive(recipe_of_objects, folder=folder, seed=seed)
        return
    if name in SELF_SUPERVISED:
        from fmtutor.bench import selfsup_training as selfsup  # which builds on this module

        recipe_of_images = selfsup.recipe_of(name, profile, steps)
        yield from selfsup.train_selfsup(recipe_of_images, folder=folder, seed=seed)
        return
    make = lookup(RECIPES, name, "recipe")
    if profile == "paper":
        raise ValueError("paper takes published datasets: fmtutor.bench.paper_training, or --data.")
    recipe = make(name, profile)
    if steps is not None:
        recipe = replace(recipe, config=replace(recipe.config, steps=steps))
    folder, sources = Path(folder), None
    if recipe.system == "suprem":
        first = all_centres("fseft", profile)
        first = replace(first, config=replace(first.config, steps=recipe.config.steps))
        yield from train_recipe(first, folder=folder / "first", seed=seed)
        sources = _completed_by(first, folder)
    yield from train_recipe(recipe, folder=folder, seed=seed, sources=sources, start=start)


def _completed_by(first: Recipe, folder: Path) -> list[Source]:
    """Return the centres' cases, completed by a first model that lies in the folder."""
    from fmtutor.bench.completion import completed_sources  # which builds on this module

    return list(completed_sources(first, folder / "first", folder / "completed"))
