"""How well does a model grown from one patient segment another patient? The attempts, logged.

    fmtutor train organs --out runs/organs --seed 1    # the training, about an hour
    python benchmarks/organs/run.py runs/organs --name attempt-7 --note "what was tried"
    python benchmarks/organs/run.py --short                    # scores the shipped model again

A training folder is scored on the real volumes as it stands: its final weights, or the running
average of its last checkpoint where it was stopped early. Every attempt stays as a result file,
the failed ones too; what became of them is told in the notes.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fmtutor.bench.machine import machine
from fmtutor.bench.ship import real_scores, trained_model
from fmtutor.bench.training import RECIPE_FILE, WEIGHTS_FILE
from fmtutor.core.files import read_json, write_json
from fmtutor.engine.checkpoint import load_state
from fmtutor.engine.fit import CHECKPOINT_FILE, history_frame
from fmtutor.hub.models import config_from, load_shipped
from fmtutor.paradigms import paradigm

HERE = Path(__file__).parent
TARGETS = {"liver": 0.80, "spleen": 0.75, "aorta": 0.70}
"""Dice on the real CT series that the shipped model aims at."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="what `fmtutor train` wrote")
    parser.add_argument("--name", default="attempt", help="name of the result file")
    parser.add_argument("--note", default="", help="what was tried, and why it was stopped")
    parser.add_argument(
        "--short", action="store_true", help="score the shipped model, write nothing"
    )
    options = parser.parse_args()
    if options.short or options.folder is None:
        model, module, _ = load_shipped()
        report(real_scores(model, module))
        return
    model, steps = model_of(options.folder)
    recipe, history = read_json(options.folder / RECIPE_FILE), history_frame(options.folder)
    scores = real_scores(model, paradigm(recipe["system"]))
    write_json(HERE / "results" / f"{options.name}.json", {
        "note": options.note, "recipe": recipe, "steps": steps, "scores": scores,
        "training_seconds": round(float(history["seconds"].iloc[:steps].sum()), 1),
        "loss": [round(float(v), 4) for v in history["loss"].rolling(50).mean().dropna()[::50]],
        "machine": machine(),
    })  # fmt: skip
    report(scores)


def model_of(folder: Path) -> tuple[nn.Module, int]:
    """Return the network of a training folder, finished or not, and the steps it has had."""
    if (folder / WEIGHTS_FILE).exists():
        model, _, recipe = trained_model(folder)
        return model, recipe["config"]["steps"]
    recipe = read_json(folder / RECIPE_FILE)
    module = paradigm(recipe["system"])
    model = module.build(config_from(module, recipe["config"]))
    state: dict[str, Any] = load_state(folder / CHECKPOINT_FILE)
    model.load_state_dict(state["average"] or state["model"])
    return model.eval(), state["step"]


def report(scores: dict[str, Any]) -> None:
    """Print the Dice of every structure of at least 10 ml, and the targets."""
    for volume, result in scores.items():
        print(f"{volume}: {result['what']}")
        for row in result["large"]:
            print(f"  {row['region']:20s} {row['dice']:.3f}  ({row['reference_ml']:.0f} ml)")
    real = {row["region"]: row["dice"] for row in scores["abdomen_ct_dicom"]["large"]}
    for name, target in TARGETS.items():
        print(f"ratio {name}_over_target {real[name] / target:.3f}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
