"""From a training folder to a shipped model: score it on real volumes, write its card, store it.

    python -m fmtutor.bench.ship runs/organs --name organs

The card says everything a user must know before trusting the weights, and its scores are measured
here, by the same code that ``fmtutor predict`` runs.
"""

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from fmtutor.bench.machine import machine
from fmtutor.bench.predictions import HEADLINE_ML, score_table
from fmtutor.bench.training import RECIPE_FILE, WEIGHTS_FILE
from fmtutor.core.ask import Classes
from fmtutor.core.files import read_json, sha256_of, write_json
from fmtutor.data.sample_table import source_sha256s
from fmtutor.data.samples import load_sample
from fmtutor.engine.checkpoint import load_weights, save_weights
from fmtutor.engine.fit import history_frame
from fmtutor.engine.metrics import json_rows
from fmtutor.hub.models import bare_names, config_from, weights_folder
from fmtutor.paradigms import config_of, paradigm

REAL = {
    "abdomen_ct_dicom": "another patient, contrast phase, a 40 mm slab, real DICOM: test only",
    "abdomen_mr": "another modality, which the model never saw: test only",
    "torso": "SEEN ANATOMY: every training case was grown from this patient",
}
"""Real volumes that a card reports, and what each is."""
LIMITS = (
    "All training patients were grown from ONE real torso CT by deformation and synthetic "
    "contrast: other habitus, pathology, children and other positions are unknown to it.",
    "No lungs, heart or oesophagus; nothing above the liver's dome or below the bladder.",
    "Reference masks were made by TotalSegmentator, not drawn by experts.",
    "For teaching. Not a medical device.",
)


def limits_of(recipe: dict[str, Any]) -> list[str]:
    """Return what a user must know before trusting a network of a recipe."""
    voxel_mm = recipe["config"]["spacing_mm"][0]
    coarse = f"{voxel_mm:g} mm voxels: structures under 10 ml are unreliable."
    return [*LIMITS[:-1], coarse, LIMITS[-1]]


def trained_model(folder: Path) -> tuple[nn.Module, ModuleType, dict[str, Any]]:
    """Return the network of a finished training folder, its paradigm, and its recipe."""
    recipe = read_json(folder / RECIPE_FILE)
    module = paradigm(recipe["system"])
    model = module.build(config_from(module, recipe["config"]))
    load_weights(model, folder / WEIGHTS_FILE)
    return model.eval(), module, recipe


def real_scores(model: nn.Module, module: ModuleType) -> dict[str, Any]:
    """Score a model on the real volumes: rows of at least 10 ml, and the smaller ones apart.

    A class that several datasets have is asked by its bare name: their vote.
    """
    scores, ask = {}, Classes(bare_names(config_of(model).classes))
    for name, what in REAL.items():
        case = load_sample(name)
        prediction = module.predict(model, case, ask)
        rows = json_rows(score_table(prediction, case).drop(columns=["case", "headline"]))
        present = [row for row in rows if (row["reference_ml"] or 0) > 0]
        scores[name] = {
            "what": what,
            "large": [row for row in present if row["reference_ml"] >= HEADLINE_ML],
            "small": [row for row in present if row["reference_ml"] < HEADLINE_ML],
            "absent_but_predicted_ml": {
                row["region"]: round(row["predicted_ml"], 1)
                for row in rows
                if not row["reference_ml"] and row["predicted_ml"] >= 1
            },
        }
    return scores


def card_for(
    folder: Path, name: str, scores: dict[str, Any], made_by: str | None = None
) -> dict[str, Any]:
    """Return the card of a training folder; ``made_by`` is the command that trained it."""
    recipe, history = read_json(folder / RECIPE_FILE), history_frame(folder)
    return {
        "name": name, "recipe": recipe, "sources": {"torso": source_sha256s("torso")},
        "training_seconds": round(float(history["seconds"].sum()), 1), "steps": len(history),
        "scores": scores, "limits": limits_of(recipe), "machine": machine(),
        "licence": "Apache-2.0",
        "made_by": f"{made_by or f'fmtutor train {name}'}; "
        f"python -m fmtutor.bench.ship FOLDER --name {name}",
    }  # fmt: skip


def ship(folder: Path, name: str, made_by: str | None = None) -> Path:
    """Store a training folder's weights in fp16 with their card; the stored ones are scored.

    Args:
        folder: What the training wrote.
        name: Of the shipped model.
        made_by: The command that trained it; default ``fmtutor train NAME``.

    Returns:
        The path of the card.
    """
    model, module, _ = trained_model(folder)
    path = weights_folder() / f"{name}.safetensors"
    save_weights(model, path, dtype="fp16", metadata={"name": name})
    load_weights(model, path)  # what is scored is what is stored, rounding included
    card = card_for(folder, name, real_scores(model, module), made_by)
    card["weights_sha256"], card["parameters"] = (
        sha256_of(path),
        sum(p.numel() for p in model.parameters()),
    )
    write_json(path.with_suffix(".json"), card)
    return path.with_suffix(".json")


def main() -> None:
    """Parse the command line and ship."""
    parser = argparse.ArgumentParser(description="Store a trained model with its card.")
    parser.add_argument("folder", type=Path, help="what `fmtutor train` wrote")
    parser.add_argument("--name", required=True, help="name of the shipped model")
    parser.add_argument("--made-by", help="the command that trained it, for the card")
    options = parser.parse_args()
    print(ship(options.folder, options.name, options.made_by))


if __name__ == "__main__":
    main()
