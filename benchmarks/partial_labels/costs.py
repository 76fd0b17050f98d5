"""What do the eight systems cost: parameters, a step, memory, one more class?

    python benchmarks/partial_labels/costs.py            # some 2 minutes on 2 quiet cores
    python benchmarks/partial_labels/costs.py --short    # 5 steps each

Each system runs in a fresh process. Result: ``results/costs/costs.json``.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from fmtutor.bench.comparison import TALK
from fmtutor.bench.costs import costs_frame, step_cost
from fmtutor.bench.machine import machine
from fmtutor.core.files import write_json

RESULT = Path(__file__).parent / "results" / "costs" / "costs.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--one", choices=TALK, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(step_cost(options.one, steps=5 if options.short else 10)))
        return
    load = os.getloadavg()[0]
    rows = []
    for name in TALK:
        command = [sys.executable, __file__, "--one", name, "--threads", str(options.threads)]
        command += ["--short"] if options.short else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    result = {"systems": rows, "machine": machine(), "load_average_before": load}
    write_json(RESULT.with_stem("costs-short") if options.short else RESULT, result)
    if not options.short:
        for name, row in costs_frame(RESULT, TALK).iterrows():
            print(f"seconds_per_step {name} {row['seconds a step']:.3f}")
            print(f"added_parameters {name} {row['its parameters']}")


if __name__ == "__main__":
    main()
