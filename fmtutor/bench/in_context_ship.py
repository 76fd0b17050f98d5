"""From a training folder of an in-context system to shipped weights with their card.

    python -m fmtutor.bench.in_context_ship runs/train/universeg-quick-0 --name universeg

The card's scores are measured on what is stored, by `fmtutor.bench.in_context_real`: on real
volumes that no training saw.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from fmtutor.bench.in_context_real import real_rows
from fmtutor.bench.in_context_training import GUARD_FILE
from fmtutor.bench.machine import machine
from fmtutor.bench.ship import trained_model
from fmtutor.core.files import sha256_of, write_json
from fmtutor.data.sample_table import source_sha256s
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import history_frame
from fmtutor.hub.models import weights_folder

LIMITS = (
    "All its patients were grown from ONE real torso CT, and its brain is ONE average brain: "
    "how it does on other anatomy, modalities and pathology is for you to measure.",
    "Its slices are 64x64 pixels, so a pixel of a torso is about 6 mm: small structures are lost.",
    "It always needs examples; without them it has no task.",
    "Binary: several structures are asked one by one, and their masks compete.",
    "Reference masks of the real volumes were made by TotalSegmentator, not drawn by experts.",
    "For teaching. Not a medical device.",
)


def ship(folder: Path, name: str, *, made_by: str | None = None) -> Path:
    """Store a training folder's weights in fp16 with their card; the stored ones are scored.

    Args:
        folder: What the training wrote.
        name: Of the shipped model.
        made_by: The command that trained it; default ``fmtutor train NAME``.

    Returns:
        The path of the card.
    """
    model, _, recipe = trained_model(folder)
    path = weights_folder() / f"{name}.safetensors"
    save_weights(model, path, dtype="fp16", metadata={"name": name})
    load_weights(model, path)  # what is scored is what is stored, rounding included
    history = history_frame(folder)
    card = {
        "name": name, "recipe": recipe,
        "sources": {s: source_sha256s(s) for s in ("torso", "brain_tissue")},
        "training_seconds": round(float(history["seconds"].sum()), 1), "steps": len(history),
        "support_sensitivity": guard_rows(folder), "scores": summary(model),
        "limits": list(LIMITS), "machine": machine(), "licence": "Apache-2.0",
        "made_by": f"{made_by or f'fmtutor train {name}'}; "
        f"python -m fmtutor.bench.in_context_ship FOLDER --name {name}",
        "weights_sha256": sha256_of(path),
        "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip
    write_json(path.with_suffix(".json"), card)
    return path.with_suffix(".json")


def guard_rows(folder: Path) -> list[dict[str, float]]:
    """Return what the guard measured during training, one row each `GUARD_EVERY` steps."""
    rows = pd.read_json(folder / GUARD_FILE, lines=True)
    return rows.round(4).to_dict("records")


def summary(model: nn.Module) -> list[dict[str, Any]]:
    """Return the scores on the real volumes: one row per volume, structure and way of asking."""
    frame = pd.DataFrame(real_rows({"model": model})).query("system != 'nearest_copy'")
    return frame.drop(columns="system").round(4).to_dict("records")


def main() -> None:
    """Parse the command line and ship."""
    parser = argparse.ArgumentParser(description="Store a trained in-context model with its card.")
    parser.add_argument("folder", type=Path, help="what `fmtutor train` wrote")
    parser.add_argument("--name", required=True, help="name of the shipped model")
    parser.add_argument("--made-by", help="the command that trained it, for the card")
    options = parser.parse_args()
    print(ship(options.folder, options.name, made_by=options.made_by))


if __name__ == "__main__":
    main()
