"""A training that begins where another one ended."""

from pathlib import Path
from typing import Any

from torch import nn

from fmtutor.core.files import read_json, sha256_of
from fmtutor.engine.checkpoint import load_weights

WEIGHTS_FILE = "weights.safetensors"
RECIPE_FILE = "recipe.json"


def beginning(model: nn.Module, start: Path) -> dict[str, Any]:
    """Load the weights of a finished training, and return what it was, for the record.

    Raises:
        ValueError: The folder holds no finished training, or one of another network.
    """
    if not (start / WEIGHTS_FILE).exists():
        raise ValueError(
            f"a training begins from a finished one, got {start} without {WEIGHTS_FILE}; finish it."
        )
    load_weights(model, start / WEIGHTS_FILE)
    recipe = read_json(start / RECIPE_FILE)
    return {"weights_sha256": sha256_of(start / WEIGHTS_FILE), "seed": recipe["seed"],
            "steps": recipe["config"]["steps"], "start": recipe.get("start")}  # fmt: skip
