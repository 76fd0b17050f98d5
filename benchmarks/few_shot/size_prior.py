"""What does a prior on size add to a black-box method that is taught anew for every query?

    python benchmarks/few_shot/size_prior.py            # some 30 minutes on a core
    python benchmarks/few_shot/size_prior.py --short    # one cell, not kept

Cells of the few-shot tables on Swin-UNETR, five shots, two seeds: four known organs and a new one,
a linear probe and a spatial adapter. Each is run without the prior, with the support's size and
with the true one (`fmtutor.bench.few_shot_transduction`). A spatial adapter has a third of the
tables' steps here, in all arms, as it is taught 17 times a cell.

Result: ``results/size_prior.json``, written after each cell; a run that was stopped goes on.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fmtutor.bench.few_shot_grid import GLUTEUS, KNOWN_QUICK, QUICK, Cell, Setting
from fmtutor.bench.few_shot_transduction import ARMS, COLUMNS, run_transduction
from fmtutor.core.configs import to_dict
from fmtutor.core.files import read_json, write_text
from fmtutor.losses.size_prior import MARGIN, WEIGHT

RESULT = Path(__file__).parent / "results" / "size_prior.json"
SEEDS, SHOTS = (0, 1), 5
METHODS = {"Linear Probe": ("linear_probe", 300), "Spatial Adapter": ("spatial_adapter", 100)}
"""Label to the method and its supervised steps."""
STRUCTURES = {
    **dict.fromkeys(KNOWN_QUICK, "fseft-known"),
    GLUTEUS[0]: "fseft-novel",
}
"""Structure to the table that it is of."""


def settings() -> dict[str, Setting]:
    """Return the setting of each method: the quick one but for steps and real volumes."""
    return {
        method: replace(QUICK, real=(), steps=dict.fromkeys(QUICK.steps, steps))
        for method, steps in METHODS.values()
    }


def cells() -> list[Cell]:
    """Return all cells, the cheap method first, and seed by seed."""
    return [
        Cell(
            label=label, kind="swin", method=method, table=table, structure=structure,
            shots=SHOTS, seed=seed,
        )
        for label, (method, _) in METHODS.items()
        for seed in SEEDS
        for structure, table in STRUCTURES.items()
    ]  # fmt: skip


def config() -> dict[str, Any]:
    """Return what all cells of a result file share."""
    return {
        "arms": ARMS, "margin": MARGIN, "weight": WEIGHT,
        "settings": {method: to_dict(setting) for method, setting in settings().items()},
        "cells": len(cells()),
    }  # fmt: skip


def finished(path: Path) -> list[dict[str, Any]]:
    """Return the cells that a result file holds; none where there is no file.

    Raises:
        ValueError: The file is of another configuration.
    """
    if not path.exists():
        return []
    content = read_json(path)
    if content["config"] != json.loads(json.dumps(config())):
        raise ValueError(f"{path} is of another configuration; move it away to begin anew.")
    return content["cells"]


def store(path: Path, done: list[dict[str, Any]]) -> None:
    """Write a result file, a line a cell."""
    lines = ",\n".join(json.dumps(one, sort_keys=True, allow_nan=False) for one in done)
    head = f'"config": {json.dumps(config())},\n"columns": {json.dumps(COLUMNS)}'
    write_text(path, f'{{\n{head},\n"cells": [\n{lines}\n]\n}}\n')


def told(result: dict[str, Any]) -> str:
    """Return a cell's mean Dice by arm, in a line."""
    at = {name: place for place, name in enumerate(COLUMNS)}
    means = []
    for arm in ARMS:
        found = [row[at["dice"]] for row in result["rows"] if row[at["arm"]] == arm]
        means.append(f"{arm} {sum(found) / len(found):.3f}")
    return f"{', '.join(means)} ({result['cpu_seconds']:.0f} s of a core)"


def main() -> None:
    """Read the command line, run the cells that are missing, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="one cell, not kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    done = [] if given.short else finished(RESULT)
    names = {Cell(**one["cell"]).name for one in done}
    missing = [cell for cell in cells() if cell.name not in names]
    for cell in missing[: 1 if given.short else None]:
        result = run_transduction(cell, settings()[cell.method])
        print(f"{cell.name}: {told(result)}", flush=True)
        if not given.short:
            done.append(result)
            store(RESULT, done)


if __name__ == "__main__":
    main()
