"""The weights that come with the package: small, made by a committed command, each with its card.

``weights/NAME.safetensors`` holds fp16 tensors, ``weights/NAME.json`` the model card: the sources
by sha256, the recipe, time, scores on real volumes, limits. They are made by `fmtutor.bench.ship`.
"""

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from fmtutor.core.configs import from_dict
from fmtutor.core.files import read_json
from fmtutor.core.tables import lookup
from fmtutor.engine.checkpoint import load_weights
from fmtutor.paradigms import INTERACTIVE, SELF_SUPERVISED, paradigm

DEFAULT = "organs"
"""What ``fmtutor predict`` uses unless told otherwise."""


def weights_folder() -> Path:
    """Return the folder of the shipped weights."""
    with as_file(files("fmtutor.hub")) as folder:
        return folder / "weights"


def shipped() -> dict[str, Path]:
    """Return the name and file of every shipped model."""
    return {path.stem: path for path in sorted(weights_folder().glob("*.safetensors"))}


def card_of(name: str = "default") -> dict[str, Any]:
    """Return the card of a shipped model.

    Raises:
        ValueError: There is no such model.
    """
    path = lookup(shipped(), DEFAULT if name == "default" else name, "shipped model")
    return read_json(path.with_suffix(".json"))


@cache
def load_shipped(name: str = "default") -> tuple[nn.Module, ModuleType, dict[str, Any]]:
    """Load a shipped model, ready to predict (kept in memory after the first call).

    Args:
        name: A key of `shipped`, or "default".

    Returns:
        The network in evaluation mode, the paradigm module that has its ``predict``, its card.

    Raises:
        ValueError: There is no such model, or its file and card do not fit together.

    Example:
        >>> model, module, card = load_shipped()
        >>> prediction = module.predict(model, case, Classes(("liver",)))  # doctest: +SKIP
    """
    card = card_of(name)
    module = paradigm(card["recipe"]["system"])
    model = module.build(config_from(module, card["recipe"]["config"]))
    load_weights(model, shipped()[card["name"]])
    return model.eval(), module, card


def config_from(module: ModuleType, values: dict[str, Any]) -> Any:
    """Rebuild a system's configuration from a card's plain values.

    Raises:
        TypeError: The card has a field that the configuration does not have (any more).
    """
    known = {field.name for field in fields(module.Config)}
    if unknown := sorted(set(values) - known):
        raise TypeError(
            f"the card's configuration has unknown fields {unknown}; ship the model again."
        )
    return from_dict(module.Config, values)


def classes_of(card: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of a shipped model's channels, from its card.

    Raises:
        ValueError: It has no classes of its own: it learns from examples at test time, is asked
            by clicks and boxes, or segments nothing.
    """
    config = card["recipe"]["config"]
    if card["recipe"]["system"] in INTERACTIVE:
        raise ValueError(
            f"model {card['name']!r} has no classes of its own, it answers clicks and boxes: ask "
            "it with Clicks or Boxes (fmtutor predict: --click H,W,D, --box H,W,D,H,W,D)."
        )
    if card["recipe"]["system"] in SELF_SUPERVISED:
        raise ValueError(
            f"model {card['name']!r} has no classes, it is a pre-trained encoder and segments "
            "nothing: put it into a network with its system's load_encoder, and train that."
        )
    if "classes" in config:
        return tuple(config["classes"])
    if "tasks" not in config:
        raise ValueError(
            f"model {card['name']!r} has no classes of its own, it answers examples: ask it with a "
            "Support (fmtutor predict: --examples IMAGE ... --masks MASK ...)."
        )
    return tuple(name for task in config["tasks"] for name in task)


def bare_names(classes: Iterable[str]) -> tuple[str, ...]:
    """Return class names without the dataset that some systems put before them, each once.

    Example:
        >>> bare_names(["liver_unit/liver", "survey/liver", "survey/spleen"])
        ('liver', 'spleen')
    """
    return tuple(dict.fromkeys(name.rpartition("/")[2] for name in classes))
