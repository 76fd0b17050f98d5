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
from fmtutor.bench.ship import stored, write_card
from fmtutor.data.sample_table import source_sha256s

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
    sources = {s: source_sha256s(s) for s in ("torso", "brain_tissue")}
    model, _, _, path = stored(folder, name, sources)
    return write_card(
        model, folder, path, support_sensitivity=guard_rows(folder), scores=summary(model),
        sources=sources, limits=list(LIMITS),
        made_by=f"{made_by or f'fmtutor train {name}'}; python -m fmtutor.bench.in_context_ship",
    )  # fmt: skip


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
