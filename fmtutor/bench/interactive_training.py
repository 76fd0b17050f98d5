"""Committed training recipes of the interactive systems.

``fmtutor train early_prompt`` and its kin run them. Networks of volumes learn from crops of virtual
patients and a brain (`fmtutor.data.object_stream`), those of slices from slices of the same
(`fmtutor.data.slice_objects`, or `fmtutor.data.class_slices` where they have classes), and SAM,
which knows no medicine, from everyday pictures.
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
from fmtutor.data.class_slices import ClassSliceStream
from fmtutor.data.natural_pictures import NaturalSource
from fmtutor.data.object_sources import object_sources
from fmtutor.data.object_stream import ObjectConfig, ObjectStream
from fmtutor.data.objects import ObjectBatch
from fmtutor.data.slice_bank import SliceBankConfig, training_slices
from fmtutor.data.slice_objects import SliceObjectConfig, SliceObjectStream
from fmtutor.engine.checkpoint import save_weights
from fmtutor.engine.fit import Record, fit
from fmtutor.hub.models import load_shipped
from fmtutor.paradigms import INTERACTIVE, paradigm

EVERYDAY = frozenset({"sam"})
"""Systems that learn from everyday pictures."""
ADAPTED = frozenset({"adapter_3dsam", "ma_sam", "medsam", "sam_med2d", "samed"})
"""Systems that begin from a general SAM."""
BASE = "sam_base"
"""Our stand-in for it among the shipped weights."""
STACKS = frozenset({"ma_sam"})
"""Systems whose third axis counts neighbouring slices, not voxels of equal size."""


@dataclass(frozen=True, kw_only=True)
class InteractiveRecipe:
    """One training of an interactive system, without its seed."""

    system: str
    """A name in `fmtutor.paradigms.INTERACTIVE`."""
    config: Any
    """The system's configuration."""
    base: str = ""
    """Shipped network that it begins from; empty begins from scratch."""
    patients: int = 16
    """Virtual patients of each of the six centres."""
    wide_patients: int = 300
    """Virtual patients of the wide centre."""
    brain: float = 0.15
    """Share of a volume network's batches that show a brain."""
    slab: float = 0.25
    """Share of its crops that are thin slabs, as clinical series often are."""
    precision: Precision = "auto"
    """Precision of `fmtutor.engine.fit`."""
    ema_decay: float | None = 0.998
    """Decay of the running average of the weights."""


def recipe_of(system: str, profile: str = "quick", steps: int | None = None) -> InteractiveRecipe:
    """Return the committed recipe of an interactive system.

    Args:
        system: One of `INTERACTIVE`.
        profile: "quick" or "gpu"; "paper" needs the published data.
        steps: In place of the recipe's.

    Raises:
        ValueError: The system or the profile is unknown.
    """
    lookup(dict.fromkeys(INTERACTIVE), system, "interactive system")
    module = paradigm(system)
    profiles = {"quick": module.Config.quick, "gpu": module.Config.gpu}
    config = lookup(profiles, profile, "profile")()
    if steps is not None:
        config = replace(config, steps=steps)
    recipe = InteractiveRecipe(system=system, config=config)
    if profile != "quick":
        return recipe
    return replace(recipe, precision="fast", base=BASE if system in ADAPTED else "")


def stream_of(recipe: InteractiveRecipe, *, seed: int) -> Callable[[int], ObjectBatch]:
    """Return the training batches of a recipe: crops, slices, stacks of slices, or classes."""
    c = recipe.config
    size = tuple(getattr(c, "patch", c.size))
    if len(size) == 2 or recipe.system in STACKS:
        return _slices(recipe, size, seed=seed)
    sources, weights = object_sources(
        patients=recipe.patients, wide_patients=recipe.wide_patients, brain=recipe.brain
    )
    objects = ObjectConfig(
        size=size, spacing_mm=getattr(c, "spacing_mm", 3.0), batch=c.batch, objects=c.objects,
        slab=recipe.slab,
    )  # type: ignore[arg-type]  # fmt: skip
    return ObjectStream(sources, objects, seed=seed, weights=weights)


def _slices(
    recipe: InteractiveRecipe, size: tuple[int, ...], *, seed: int
) -> Callable[[int], ObjectBatch]:
    """Return batches of slices, or of as many neighbours as ``size`` has along its third axis."""
    c = recipe.config
    objects = SliceObjectConfig(batch=c.batch, objects=c.objects)
    if recipe.system in EVERYDAY:
        return SliceObjectStream(NaturalSource(size[0]), objects, seed=seed)
    depth = size[2] if len(size) == 3 else 1
    bank = training_slices(
        SliceBankConfig(
            size=size[0], depth=depth, patients=recipe.patients, wide_patients=recipe.wide_patients
        )
    )
    if classes := getattr(c, "classes", ()):
        return ClassSliceStream(bank, classes, batch=c.batch, seed=seed)
    return SliceObjectStream(bank, objects, seed=seed)


def train_interactive(
    recipe: InteractiveRecipe,
    *,
    folder: Path,
    seed: int = 0,
    stream: Callable[[int], ObjectBatch] | None = None,
) -> Iterator[Record]:
    """Train a recipe into a folder, resuming what is there; at the end the weights are written.

    Args:
        recipe: What to train.
        folder: Where checkpoints, history, recipe and weights go.
        seed: Of weights, crops and clicks.
        stream: Batches by step, in place of the recipe's.

    Yields:
        The record of each step, as it is done.
    """
    module = paradigm(recipe.system)
    seed_everything(seed)
    begun = (load_shipped(recipe.base)[0],) if recipe.base else ()
    model: nn.Module = module.build(recipe.config, *begun)
    write_json(folder / RECIPE_FILE, described(recipe, seed))
    stream = stream or stream_of(recipe, seed=seed)
    yield from fit(model, module.step, stream, fit_config(recipe, seed=seed), folder=folder)
    save_weights(model, folder / WEIGHTS_FILE)


def described(recipe: InteractiveRecipe, seed: int) -> dict[str, Any]:
    """Return everything that a run depends on as plain JSON values."""
    return {**to_dict(recipe), "seed": seed, "fmtutor": __version__}
