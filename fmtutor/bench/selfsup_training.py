"""Committed training recipes of the self-supervised systems.

``fmtutor train swin_ssl`` and its kin run them. They see images of the virtual training centres and
no label of them: never the target centre, never a real sample that is kept for testing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from fmtutor import __version__
from fmtutor.bench.training import RECIPE_FILE, WEIGHTS_FILE, fit_config
from fmtutor.core.configs import to_dict
from fmtutor.core.devices import Precision
from fmtutor.core.files import write_json
from fmtutor.core.seeds import seed_everything
from fmtutor.core.tables import lookup
from fmtutor.data.domains import CENTRES, WIDE, Centre
from fmtutor.data.pretext import PretextBatch, PretextStream
from fmtutor.data.shelf import VirtualSource
from fmtutor.engine.checkpoint import save_weights
from fmtutor.engine.fit import Record, fit
from fmtutor.paradigms import SELF_SUPERVISED, paradigm

TEACHERS: tuple[Centre, ...] = (*CENTRES.values(), WIDE)
"""Centres whose images may be learnt from."""


@dataclass(frozen=True, kw_only=True)
class SelfSupervisedRecipe:
    """One training of a self-supervised system, without its seed."""

    system: str
    """A name in `fmtutor.paradigms.SELF_SUPERVISED`."""
    config: Any
    """The system's configuration."""
    patients: int = 16
    """Virtual patients of each of the six centres."""
    wide_patients: int = 300
    """Virtual patients of the wide centre."""
    wide_share: float = 0.5
    """Share of the crops that show patients of the wide centre; the six share the rest."""
    precision: Precision = "auto"
    """Precision of `fmtutor.engine.fit`."""
    ema_decay: float | None = None
    """Decay of the running average of the weights."""


def recipe_of(
    system: str, profile: str = "quick", steps: int | None = None
) -> SelfSupervisedRecipe:
    """Return the committed recipe of a self-supervised system.

    Args:
        system: One of `SELF_SUPERVISED`.
        profile: "quick" or "gpu"; "paper" needs the published data.
        steps: In place of the recipe's.

    Raises:
        ValueError: The system or the profile is unknown.
    """
    lookup(dict.fromkeys(SELF_SUPERVISED), system, "self-supervised system")
    module = paradigm(system)
    profiles = {"quick": module.Config.quick, "gpu": module.Config.gpu}
    config = lookup(profiles, profile, "profile")()
    if steps is not None:
        config = replace(config, steps=steps)
    return SelfSupervisedRecipe(system=system, config=config)


def stream_of(recipe: SelfSupervisedRecipe, *, seed: int) -> PretextStream:
    """Return the training batches of a recipe; a function of the step and the seed alone."""
    counts = {c.name: recipe.patients for c in TEACHERS} | {WIDE.name: recipe.wide_patients}
    sources = [VirtualSource(centre, counts[centre.name]) for centre in TEACHERS]
    share = (1 - recipe.wide_share) / len(CENTRES)
    weights = [recipe.wide_share if centre is WIDE else share for centre in TEACHERS]
    return PretextStream(sources, recipe.config.views, seed=seed, weights=weights)


def train_selfsup(
    recipe: SelfSupervisedRecipe,
    *,
    folder: Path,
    seed: int = 0,
    stream: Callable[[int], PretextBatch] | None = None,
) -> Iterator[Record]:
    """Train a recipe into a folder, resuming what is there; at the end the weights are written.

    Args:
        recipe: What to train.
        folder: Where checkpoints, history, recipe and weights go.
        seed: Of weights, crops and views.
        stream: Batches by step, in place of the recipe's.

    Yields:
        The record of each step, as it is done.
    """
    module = paradigm(recipe.system)
    seed_everything(seed)
    model: nn.Module = module.build(recipe.config)
    write_json(folder / RECIPE_FILE, described(recipe, seed))
    stream = stream or stream_of(recipe, seed=seed)
    yield from fit(model, module.step, stream, fit_config(recipe, seed=seed), folder=folder)
    save_weights(model, folder / WEIGHTS_FILE)


def described(recipe: SelfSupervisedRecipe, seed: int) -> dict[str, Any]:
    """Return everything that a run depends on as plain JSON values."""
    centres = [centre.name for centre in TEACHERS]
    return {**to_dict(recipe), "centres": centres, "seed": seed, "fmtutor": __version__}
