"""Partial labels, compared: the same patients, patches and steps; only the system changes.

Six centres annotate six different parts of the same kind of patient. Systems learn from them and
are scored on what none of them has seen: patients of the target centre, and the real CT series.
The eight of the talk:

- ``med3d``: a decoder per centre;
- ``dodnet``: a generated head per centre, from a one-hot vector;
- ``clip_driven``: a generated head per name, from its text;
- ``multitalent``: a channel per centre and name;
- ``uniseg``: a prompt volume per centre at the bottleneck;
- ``suprem``: no mask: labels completed by ``masked`` of the same seed, then plain training;
- ``hermes``: a token per centre and name that talks with the features;
- ``masked``: one channel per name, unknown labels skipped (`fmtutor.paradigms.partial.fseft`);

and two that show what goes wrong:

- ``naive``: the network and patches of ``masked``, unknown taken for background;
- ``one_centre``: the same network, taught by the best annotated centre alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fmtutor.bench.completion import CompletedSource, completed_sources
from fmtutor.bench.machine import machine
from fmtutor.bench.recipes import Recipe, recipe_with
from fmtutor.bench.training import WEIGHTS_FILE, described, train_recipe
from fmtutor.core.ask import Classes
from fmtutor.core.files import read_json, write_json
from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import table_parts
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, TARGET, region_of
from fmtutor.data.patches import Source
from fmtutor.data.regions import Region
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import virtual_cases
from fmtutor.engine.checkpoint import load_weights
from fmtutor.engine.fit import history_frame
from fmtutor.engine.metrics import dice, json_rows
from fmtutor.engine.prediction import Prediction
from fmtutor.paradigms import paradigm

ALL = tuple(CENTRES.values())
RICHEST = (CENTRES["abdomen_atlas"],)
BACKBONE = {"backbone": "half_unet3d", "channels": (24, 48, 96, 128)}
SHARED = {"patch": (64, 64, 24), "batch": 1, "steps": 2000, "lr": 2e-3, "warmup_steps": 50}
PATIENTS = 16
"""Virtual patients per training centre."""
HEADLINE_ML = 10.0
"""Smaller reference structures are listed apart."""


def _recipe(system: str, centres: Sequence[Any] = ALL, *, naive: bool = False) -> Recipe:
    recipe = recipe_with(system, "quick", centres, patients=PATIENTS)
    own = {} if system == "med3d" else BACKBONE
    config = replace(recipe.config, **SHARED, **own)
    return replace(recipe, config=config, background_is_known=naive, precision="fast")


SYSTEMS: dict[str, Callable[[], Recipe]] = {
    "masked": lambda: _recipe("fseft"),
    "naive": lambda: _recipe("fseft", naive=True),
    "one_centre": lambda: _recipe("fseft", RICHEST),
    "multitalent": lambda: _recipe("multitalent"),
    "med3d": lambda: _recipe("med3d"),
    "dodnet": lambda: _recipe("dodnet"),
    "clip_driven": lambda: _recipe("clip_driven"),
    "uniseg": lambda: _recipe("uniseg"),
    "hermes": lambda: _recipe("hermes"),
    "suprem": lambda: _recipe("suprem"),
}
"""Name in the tables to its recipe."""
FIRST = {"suprem": "masked"}
"""Systems that learn from completed labels, and whose answers complete them."""
TALK = ("med3d", "dodnet", "clip_driven", "multitalent", "uniseg", "suprem", "hermes", "masked")
"""The systems of the talk's row, in the order of their years; ``masked`` is FSEFT."""
READINGS = ("masked", "naive", "one_centre", "multitalent", "med3d")
"""Five ways to read partial labels: notebook 02."""


def run_system(
    name: str, *, seed: int, folder: Path, results: Path, steps: int | None = None, cases: int = 6
) -> Path:
    """Train one system with one seed, score it, and write the result; a finished one is kept.

    Args:
        name: A name in `SYSTEMS`.
        seed: Of weights and patches; the patients are the same for all.
        folder: Where training saves itself, for resuming.
        results: Where ``NAME-SEED.json`` goes.
        steps: In place of the recipe's.
        cases: Patients of the target centre to score.

    Returns:
        The path of the result.
    """
    recipe = lookup(SYSTEMS, name, "system")()
    if steps is not None:
        recipe = replace(recipe, config=replace(recipe.config, steps=steps))
    path = results / f"{name}-{seed}.json"
    wanted = {**described(recipe, seed), "cases": cases}
    if path.exists() and read_json(path)["recipe"] == wanted:
        return path
    began = time.perf_counter()
    sources = completed_by_first(name, seed=seed, folder=folder, steps=steps)
    model = trained(recipe, seed=seed, folder=folder, sources=sources)
    training = history_frame(folder)
    scores = score_unseen(recipe, model, cases=cases)
    write_json(path, {
        "name": name, "recipe": wanted, "scores": scores, "machine": machine(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": float(training["seconds"].sum()),
        "seconds": time.perf_counter() - began,
        "loss": [round(float(v), 4) for v in training["loss"].rolling(50).mean().dropna()[::50]],
    })  # fmt: skip
    return path


def completed_by_first(
    name: str, *, seed: int, folder: Path, steps: int | None
) -> list[CompletedSource] | None:
    """Return the completed cases of a system that learns from such; None for all others.

    The first model lies in a sibling folder, ``NAME-SEED``; without weights there, it is trained.
    """
    if name not in FIRST:
        return None
    first, first_folder = SYSTEMS[FIRST[name]](), folder.parent / f"{FIRST[name]}-{seed}"
    if steps is not None:
        first = replace(first, config=replace(first.config, steps=steps))
    if not (first_folder / WEIGHTS_FILE).exists():
        trained(first, seed=seed, folder=first_folder)
    return completed_sources(first, first_folder, folder / "completed")


def trained(
    recipe: Recipe, *, seed: int, folder: Path, sources: Sequence[Source] | None = None
) -> torch.nn.Module:
    """Train into a folder (or find it trained) and return the network."""

    for _ in train_recipe(recipe, folder=folder, seed=seed, sources=sources):
        pass
    model = paradigm(recipe.system).build(recipe.config)
    load_weights(model, folder / WEIGHTS_FILE)
    return model.eval()


def score_unseen(recipe: Recipe, model: torch.nn.Module, *, cases: int) -> list[dict[str, Any]]:
    """Score a model on the target centre's patients and on the real CT series.

    Returns:
        One row per case and structure, with ``where`` "target" or "real".
    """
    rows = []
    real = load_sample("abdomen_ct_dicom")
    for where, case in [
        ("real", real),
        *(("target", c) for c in virtual_cases(TARGET, range(cases))),
    ]:
        frame = score_names(recipe, model, case)
        rows += [{**row, "where": where} for row in json_rows(frame)]
    return rows


def score_names(recipe: Recipe, model: torch.nn.Module, case: Case) -> pd.DataFrame:
    """Score every structure that both the system and the case's reference have."""
    module, regions = paradigm(recipe.system), scoring_regions(recipe, case)
    prediction = module.predict(model, case, Classes(tuple(region.name for region in regions)))
    return pd.DataFrame([_row(prediction, case, region) for region in regions])


def scoring_regions(recipe: Recipe, case: Case) -> list[Region]:
    """Return what a recipe's systems are taught and the case's reference has."""
    taught = {region.name for centre in recipe.centres for region in centre.protocol.regions}
    return [r for name in sorted(taught) if (r := scoring_region(name, case)) is not None]


def _row(prediction: Prediction, case: Case, region: Region) -> dict[str, Any]:
    """Dice and volumes alone: surface distances of every case would take as long as training."""
    predicted, reference = prediction.mask(region.name), reference_mask(case, region)
    return {
        "case": case.name,
        "region": region.name,
        "dice": dice(predicted, reference),
        "reference_ml": float(reference.sum()) * case.grid.voxel_ml,
        "predicted_ml": float(predicted.sum()) * case.grid.voxel_ml,
    }


def reference_mask(case: Case, region: Region) -> np.ndarray:
    """Return the union of the region's structures that the case's label table has."""
    there = [name for name in region.structures if name in set(case.table.values())]
    return case.mask(*there) if there else np.zeros(case.image.shape, dtype=bool)


def scoring_region(name: str, case: Case) -> Region | None:
    """Return what a name means in a case's reference; None where that does not annotate it."""
    if case.name.startswith(TARGET.name):
        region = TARGET.protocol.region(name)
        return region_of(name) if region is not None else None
    parts = table_parts(name, case.known)
    return Region.of(name, *parts) if parts else None


def results_frame(results: Path, systems: Sequence[str] | None = None) -> pd.DataFrame:
    """Return results of a folder as one frame: a row per system, seed, case, structure.

    Args:
        results: Folder of ``SYSTEM-SEED.json``.
        systems: Which systems; None is all that are there.

    Raises:
        ValueError: The folder has no result of these systems.
    """
    frames = []
    for path in sorted(results.glob("*-*.json")):
        result = read_json(path)
        if systems is None or result["name"] in systems:
            frame = pd.DataFrame(result["scores"])
            frames.append(frame.assign(system=result["name"], seed=result["recipe"]["seed"]))
    if not frames:
        raise ValueError(
            f"no result in {results}; make them with benchmarks/partial_labels/run.py."
        )
    frame = pd.concat(frames, ignore_index=True)
    return frame.assign(dice=pd.to_numeric(frame["dice"]))
