"""How many steps, at how many times the published rates? Trials behind the quick setting.

    python benchmarks/few_shot/rates.py            # some 10 minutes on a core
    python benchmarks/few_shot/rates.py --short    # the two cheapest trials, not kept

A trial is a cell of the few-shot tables at other steps or rates, with a seed that no table has, on
Swin-UNETR. Dice is the mean over the test patients of the virtual target centre. Result:
``results/rates.json``; `fmtutor.bench.few_shot_grid` says what was chosen.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fmtutor.bench.few_shot_cell import run_cell
from fmtutor.bench.few_shot_grid import QUICK, Cell
from fmtutor.bench.machine import machine
from fmtutor.core.files import write_json

RESULT = Path(__file__).parent / "results" / "rates.json"
SEED = 7
"""Of the support's draw and of new weights; none of the tables'."""
TRIALS = {
    ("fseft-known", "linear_probe", "stomach"): ((100, 30), (300, 10)),
    ("fseft-known", "spatial_adapter", "stomach"): ((100, 30), (300, 10), (300, 30)),
    ("fseft-known", "spatial_adapter", "spleen"): ((100, 30), (300, 10), (300, 30)),
    ("fseft-known", "bitfit", "spleen"): ((100, 10), (100, 30), (100, 100)),
    ("fseft-known", "full_fine_tune", "stomach"): ((100, 30), (100, 100)),
    ("fseft-novel", "decoder_fine_tune", "gluteus_maximus_left"): (
        (100, 10), (100, 30), (100, 100),
    ),
}  # fmt: skip
"""Table, method and structure to pairs of steps and of the factor on the published rates."""


def trial(table: str, method: str, structure: str, *, steps: int, lr_scale: float) -> Any:
    """Run one trial and return its row."""
    cell = Cell(
        label="trial", kind="swin", method=method, table=table, structure=structure, shots=5,
        seed=SEED,
    )  # fmt: skip
    setting = replace(
        QUICK, real=(), steps=dict.fromkeys(QUICK.steps, steps),
        lr_scale=dict.fromkeys(QUICK.lr_scale, lr_scale),
    )  # fmt: skip
    result = run_cell(cell, setting)
    dice = [score["dice"] for score in result["scores"]]
    return {
        "table": table, "method": method, "scope": cell.spec.scope, "structure": structure,
        "steps": steps, "lr_scale": lr_scale, "dice": round(sum(dice) / len(dice), 4),
        "cases": [round(value, 4) for value in dice], "last_loss": result["loss"][-1],
        "seconds": round(result["train_seconds"] + result["test_seconds"], 1),
    }  # fmt: skip


def main() -> None:
    """Read the command line, run the trials, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="the two cheapest, not kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for asked, lengths in list(TRIALS.items())[: 1 if given.short else None]:
        for steps, lr_scale in lengths:
            rows.append(row := trial(*asked, steps=steps, lr_scale=lr_scale))
            print(*asked[1:], f"{steps} steps x{lr_scale}: {row['dice']:.3f}", flush=True)
    if not given.short:
        write_json(RESULT, {"seed": SEED, "rows": rows, "machine": machine()})


if __name__ == "__main__":
    main()
