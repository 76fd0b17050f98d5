"""From a training folder of an interactive system to shipped weights with their card.

    python -m fmtutor.bench.interactive_ship runs/train/sam_med3d-quick-0 --name sam_med3d
    python -m fmtutor.bench.interactive_ship --scores-only --name sam_med3d

The card's scores are measured on what is stored, through the session that a person uses: real
volumes and an unseen centre, seen and unseen structures, no label looked at. The general 2D network
is shipped as ``sam_base``, the others under their system's name. Where the session's rules have
changed and the weights have not, the scores alone are measured again.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from fmtutor.bench.interactive_questions import Extent, questions
from fmtutor.bench.interactive_scores import network_row
from fmtutor.bench.interactive_tables import POINTS_3D, boxed_slices_row, slice_points
from fmtutor.bench.interactive_training import EVERYDAY
from fmtutor.bench.machine import machine
from fmtutor.bench.ship import stored, write_card
from fmtutor.bench.training import RECIPE_FILE
from fmtutor.core.configs import to_dict
from fmtutor.core.files import read_json, write_json
from fmtutor.data.natural_pictures import PICTURES
from fmtutor.data.sample_table import source_sha256s
from fmtutor.engine.interaction import Protocol
from fmtutor.hub.models import load_shipped, shipped
from fmtutor.paradigms import config_of

CENTRE = Protocol(simulator="centre")
"""Who clicks for a card: draws nothing."""
SLICE_EXTENT = Extent(
    structures=("liver", "spleen", "aorta", "kidney_left", "stomach", "hip_left", "sacrum",
                "iliopsoas_left", "autochthon_left", "heart"),
)  # fmt: skip
"""What a 2D card asks: each structure costs a click on every one of its slices."""
BOUNDS = (
    "Binary: it knows no names, only what is clicked; several structures are asked one by one, and "
    "their masks may overlap.",
    "Clicks of a score are simulated, in the middle of the largest error, with the truth at hand: "
    "a person's clicks are worse, and Dice after them lower.",
    "Reference masks of the real volumes were made by TotalSegmentator, not drawn by experts.",
    "For teaching. Not a medical device.",
)
ONE_PATIENT = (
    "All its patients were grown from ONE real torso CT, and its brain is ONE average brain: how "
    "it does on other anatomy, modalities and pathology is for you to measure."
)
VOLUME = (
    ONE_PATIENT,
    "It sees a region of voxels of 3 mm around the clicks, coarser where the answer reaches its "
    "border: what is smaller than 10 ml is unreliable.",
)
SLICE = (
    ONE_PATIENT,
    "It sees one slice at a time, at 128x128 pixels: a volume needs a prompt on each slice.",
)
EVERYDAY_LIMITS = (
    "It never saw a medical image: a stand-in for the general SAM, made of thirteen pictures and "
    "drawn shapes in place of eleven million photographs. It is what adaptations begin from.",
    "It sees one slice at a time, at 128x128 pixels: a volume needs a prompt on each slice.",
)


def ship(folder: Path, name: str, *, made_by: str | None = None, **changes: Any) -> Path:
    """Store a training folder's weights in fp16 with their card; the stored ones are scored.

    Args:
        folder: What the training wrote.
        name: Of the shipped model.
        made_by: The command that trained it; default ``fmtutor train SYSTEM``.
        changes: To the `Extent` of the scores, for a quick look.

    Returns:
        The path of the card.
    """
    sources = sources_of(read_json(folder / RECIPE_FILE))
    model, _, recipe, path = stored(folder, name, sources)
    system = recipe["system"]
    return write_card(
        model, folder, path, seed=recipe["seed"], sources=sources,
        scores=card_scores(model, **changes), limits=list(limits_of(model, system)),
        made_by=f"{made_by or f'fmtutor train {system}'}; python -m fmtutor.bench.interactive_ship",
    )  # fmt: skip


def score_again(name: str, **changes: Any) -> Path:
    """Measure the scores of a shipped model's card again; its weights and all else stay.

    Args:
        name: Of the shipped model.
        changes: As those of `ship`.

    Returns:
        The path of the card.
    """
    model, _, card = load_shipped(name)
    path = shipped()[name].with_suffix(".json")
    write_json(path, {**card, "scores": card_scores(model, **changes), "scored_on": machine()})
    return path


def sources_of(recipe: dict[str, Any]) -> dict[str, list[str]]:
    """Return the digests of what a recipe learns from; test-only volumes are never among them."""
    if recipe["system"] in EVERYDAY:
        return {"pictures": [picture.sha256 for picture in PICTURES.values()]}
    return {name: source_sha256s(name) for name in ("torso", "brain_tissue")}


def limits_of(model: nn.Module, system: str) -> tuple[str, ...]:
    """Return what a user must know before trusting a network of these."""
    if system in EVERYDAY:
        return (*EVERYDAY_LIMITS, *BOUNDS)
    return (*(VOLUME if dims_of(model) == 3 else SLICE), *BOUNDS)


def dims_of(model: nn.Module) -> int:
    """Return whether a network is of slices (2) or of volumes (3)."""
    return len(config_of(model).size)


def card_scores(model: nn.Module, **changes: Any) -> dict[str, Any]:
    """Score a network as its card reports it: protocol, extent, rows.

    Returns:
        Rows of volume, case, structure, seen, ml, and dice_1 ... dice_10 after so many clicks in
        the volume (3D), or dice_1 ... dice_5 after so many on each slice and ``dice_box`` with a
        tight box on each (2D); seconds of all clicks.
    """
    flat = dims_of(model) == 2
    extent = replace(SLICE_EXTENT if flat else Extent(), **changes)
    row = slice_card_row if flat else volume_card_row
    rows = [row(model, question) for question in questions(extent)]
    return {
        "protocol": to_dict(CENTRE), "extent": to_dict(extent),
        "clicks": "of each slice" if flat else "of the volume", "rows": rows,
    }  # fmt: skip


def volume_card_row(model: nn.Module, question: Any) -> dict[str, Any]:
    """Return Dice after 1, 3, 5 and 10 clicks in a volume."""
    found = network_row("", model, question, CENTRE)
    dice = {f"dice_{clicks}": found["dice"][clicks] for clicks in POINTS_3D}
    timing = {"first_s": found["first_s"], "seconds": round(sum(found["seconds"]), 3)}
    return {**question.about(), **dice, "roi": found["roi"], "oracle": False, **timing}


def slice_card_row(model: nn.Module, question: Any) -> dict[str, Any]:
    """Return Dice after 1, 3 and 5 clicks on each slice, and after a tight box on each."""
    found = slice_points("", model, question)
    dice = {f"dice_{row['per']}": row["dice"] for row in found}
    dice["dice_box"] = boxed_slices_row("", model, question)["dice"]
    timing = {"slices": found[0]["slices"], "seconds": found[-1]["seconds"]}
    return {**question.about(), **dice, "roi": "slices", "oracle": False, **timing}


def main() -> None:
    """Parse the command line and ship."""
    parser = argparse.ArgumentParser(description="Store a trained interactive model with its card.")
    parser.add_argument("folder", type=Path, nargs="?", help="what `fmtutor train` wrote")
    parser.add_argument("--name", required=True, help="name of the shipped model")
    parser.add_argument("--made-by", help="the command that trained it, for the card")
    parser.add_argument("--scores-only", action="store_true", help="of a model already shipped")
    options = parser.parse_args()
    if options.scores_only == (options.folder is not None):
        parser.error("give a folder to ship, or --scores-only to score what is shipped; not both.")
    if options.scores_only:
        path = score_again(options.name)
    else:
        path = ship(options.folder, options.name, made_by=options.made_by)
    for row in json.loads(path.read_text())["scores"]["rows"]:
        print(row["volume"], row["structure"], *(row[k] for k in row if k.startswith("dice")))
    print(path)


if __name__ == "__main__":
    main()
