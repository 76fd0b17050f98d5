"""What is a general 2D SAM worth to medicine? Each adapted system from it, and from scratch.

    python benchmarks/interaction_scores/adaptation.py --steps 40   # the committed file: an hour
    python benchmarks/interaction_scores/adaptation.py              # longer trainings, some hours
    python benchmarks/interaction_scores/adaptation.py --short      # a taste, not kept

Equal steps for all, one row for each system, start, seed, structure and prompt
(`fmtutor.bench.interactive_adaptation`). Rows are written after each training; systems and seeds
that the file already holds, at these steps, are not trained again. Result:
``results/adaptation.json``.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fmtutor.bench.interactive_adaptation import SYSTEMS, Comparison, compare, summary
from fmtutor.bench.machine import machine
from fmtutor.core.configs import to_dict
from fmtutor.core.files import read_json, sha256_of, write_json
from fmtutor.hub.models import load_shipped, shipped

RESULT = Path(__file__).parent / "results" / "adaptation.json"
BASE = "sam_base"


def run(comparison: Comparison, path: Path) -> list[dict[str, Any]]:
    """Train and score what the file does not hold yet; return all rows.

    Raises:
        ValueError: The file holds rows of another base or another number of steps.
    """
    base, sha256 = load_shipped(BASE)[0], sha256_of(shipped()[BASE])
    about = {"base": {"name": BASE, "sha256": sha256}, "steps": comparison.steps}
    kept: dict[str, Any] = read_json(path) if path.exists() else {**about, "rows": []}
    if any(kept[key] != value for key, value in about.items()):
        raise ValueError(
            f"{path.name} holds rows of another base or number of steps; move it away, or run it "
            "as it was."
        )
    rows: list[dict[str, Any]] = kept["rows"]
    for name in comparison.systems:
        for seed in comparison.seeds:
            if any(row["system"] == name and row["seed"] == seed for row in rows):
                continue
            rows += compare(base, replace(comparison, systems=(name,), seeds=(seed,)))
            asked = to_dict(comparison)
            write_json(path, {**about, "comparison": asked, "machine": machine(), "rows": rows})
    return rows


def main() -> None:
    """Read the command line, run, print the means."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--systems", nargs="+", choices=sorted(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=Comparison().steps)
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's choice")
    parser.add_argument("--short", action="store_true", help="a few steps of each, not kept")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    comparison = Comparison(
        systems=tuple(given.systems), seeds=tuple(given.seeds), steps=given.steps
    )
    if given.short:
        few = replace(comparison, seeds=(0,), steps=4, patients=1, wide_patients=4, targets=1)
        with tempfile.TemporaryDirectory() as folder:
            rows = run(few, Path(folder) / RESULT.name)
    else:
        rows = run(comparison, RESULT)
    for (system, start, prompt), mean in sorted(summary(rows).items()):
        print(f"{system:18} {start:8} {prompt:20} {mean:.3f}")


if __name__ == "__main__":
    main()
