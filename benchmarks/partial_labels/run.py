"""Does skipping unknown labels beat taking them for background, and what else helps?

    python benchmarks/partial_labels/run.py            # 5 systems x 3 seeds x 2,000 steps
    python benchmarks/partial_labels/run.py --short    # a smoke run, under 3 minutes on 2 cores
    python benchmarks/partial_labels/run.py --systems masked naive --seeds 3 4

Finished runs are kept, killed ones resume. Results: ``results/SYSTEM-SEED.json``; the figures and
tables of notebook 02 are drawn from them alone.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from fmtutor.bench.comparison import HEADLINE_ML, SYSTEMS, results_frame, run_system

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--work", type=Path, default=Path("runs/partial_labels"), help="checkpoints"
    )
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.short:
        with tempfile.TemporaryDirectory() as folder:
            run_all(["masked", "naive"], [0], Path(folder), Path(folder) / "results", short=True)
        return
    run_all(options.systems, options.seeds, options.work, HERE / "results")


def run_all(
    systems: list[str], seeds: list[int], work: Path, results: Path, *, short: bool = False
) -> None:
    """Run what is missing and print the ratios."""
    size = {"steps": 60, "cases": 1} if short else {}
    for seed in seeds:
        for name in systems:
            path = run_system(
                name, seed=seed, folder=work / f"{name}-{seed}", results=results, **size
            )
            print(f"{name} seed {seed}: {path.name}", flush=True)
    frame = results_frame(results)
    large = pd.to_numeric(frame["reference_ml"]) >= HEADLINE_ML
    mean = frame[(frame["where"] == "target") & large].groupby("system")["dice"].mean()
    for name, value in mean.items():
        print(f"dice_on_target {name} {value:.4f}")
    if {"masked", "naive"} <= set(mean.index):
        print(f"ratio masked_over_naive {mean['masked'] / mean['naive']:.3f}")


if __name__ == "__main__":
    main()
