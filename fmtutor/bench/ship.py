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
from fmtutor.data.sample_table import check_sources, source_sha256s
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


def stored(
    folder: Path, name: str, sources: dict[str, list[str]]
) -> tuple[nn.Module, ModuleType, dict[str, Any], Path]:
    """Store a training folder's weights in fp16 as those of a shipped model.

    Args:
        folder: What the training wrote.
        name: Of the shipped model.
        sources: Sample to the digests of its files, of all that it learnt from.

    Raises:
        ValueError: A source is a test-only volume; nothing is stored.

    Returns:
        The network with the weights as they are stored, rounding included, so that they are what is
        scored; its paradigm; its recipe; the path of the weights.
    """
    check_sources([digest for digests in sources.values() for digest in digests], what=name)
    model, module, recipe = trained_model(folder)
    path = weights_folder() / f"{name}.safetensors"
    save_weights(model, path, dtype="fp16", metadata={"name": name})
    load_weights(model, path)
    return model, module, recipe, path


def write_card(model: nn.Module, folder: Path, path: Path, *, made_by: str, **own: Any) -> Path:
    """Write the card of stored weights: what every card says, and what is this one's own.

    Args:
        model: The stored network.
        folder: What the training wrote.
        path: Of the weights.
        made_by: The command that trained it, and the module that ships it.
        own: Sources, scores, limits, and whatever else this family says.

    Returns:
        The path of the card.
    """
    history = history_frame(folder)
    card = {
        "name": path.stem, "recipe": read_json(folder / RECIPE_FILE), "steps": len(history),
        "training_seconds": round(float(history["seconds"].sum()), 1), "machine": machine(),
        "licence": "Apache-2.0", "made_by": f"{made_by} FOLDER --name {path.stem}",
        "weights_sha256": sha256_of(path), "parameters": sum(p.numel() for p in model.parameters()),
        **own,
    }  # fmt: skip
    write_json(path.with_suffix(".json"), card)
    return path.with_suffix(".json")


def ship(folder: Path, name: str, made_by: str | None = None) -> Path:
    """Store a training folder's weights in fp16 with their card; the stored ones are scored.

    Args:
        folder: What the training wrote.
        name: Of the shipped model.
        made_by: The command that trained it; default ``fmtutor train NAME``.

    Returns:
        The path of the card.
    """
    sources = {"torso": source_sha256s("torso")}
    model, module, recipe, path = stored(folder, name, sources)
    return write_card(
        model, folder, path, sources=sources,
        scores=real_scores(model, module), limits=limits_of(recipe),
        made_by=f"{made_by or f'fmtutor train {name}'}; python -m fmtutor.bench.ship",
    )  # fmt: skip


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
