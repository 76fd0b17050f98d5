"""How far apart are the virtual patients, and what does one cost?

- seconds per case, wall and CPU: grown, and read back from the shelf;
- volume of each organ (ml) at each centre, scans of full length without resected organs;
- Dice between pairs of patients after rigid alignment by spine and skin (`alignment.py`), for the
  wide centre and for the training centres together. DESIGN 2 aims at a median below 0.85 for the
  liver and below 0.7 for a kidney: above that, pairs of patients would be copies.

Run: ``python benchmarks/cohort/run.py [--short]``; the result is ``results/spread.json``.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alignment import Patient, align, overlap

from fmtutor.bench.machine import process_peak_mb
from fmtutor.core.files import write_json
from fmtutor.data.cases import Case
from fmtutor.data.cohort import grow, template
from fmtutor.data.domains import CENTRES, TARGET, WIDE, Centre, region_of
from fmtutor.data.shelf import virtual_case

ORGANS = (
    "liver", "spleen", "kidney_left", "kidney_right", "gallbladder", "stomach", "pancreas",
    "duodenum", "small_bowel", "colon", "urinary_bladder", "aorta", "inferior_vena_cava",
    "vertebrae",
)  # fmt: skip
AIMS = {"liver": 0.85, "kidney_left": 0.7, "kidney_right": 0.7}
"""Median inter-case Dice to stay below (DESIGN 2)."""
RESULTS = Path(__file__).parent / "results"
PEAK = "--peak"


def full_length(centre: Centre) -> Centre:
    """Return the centre with scans of the whole torso; the anatomy that is drawn stays the same."""
    domain = replace(centre.domain, length_mm=(1e3, 1e3), slab=0.0, arms=0.0, table=0.0, removal=())
    return Centre(domain, centre.protocol)


def seconds_of(work: Callable[[int], Case], count: int) -> dict[str, float]:
    """Return median wall and CPU seconds of ``work(1) .. work(count)``, after ``work(0)``."""
    work(0)
    wall, cpu = [], []
    for index in range(1, count + 1):
        start = time.perf_counter(), time.process_time()
        work(index)
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return {"wall_s": float(np.median(wall)), "cpu_s": float(np.median(cpu)), "cases": count}


def speed(count: int) -> dict[str, Any]:
    """Measure growing and reading back, at two threads, in a shelf of its own."""
    torch.set_num_threads(2)
    template()
    with tempfile.TemporaryDirectory() as folder:
        old = os.environ.get("FMTUTOR_CACHE")
        os.environ["FMTUTOR_CACHE"] = folder
        grown = seconds_of(lambda index: grow(WIDE, index), count)
        for index in range(count + 1):
            virtual_case(WIDE, index)
        read = seconds_of(lambda index: virtual_case(WIDE, index), count)
        os.environ.pop("FMTUTOR_CACHE")
        if old is not None:
            os.environ["FMTUTOR_CACHE"] = old
    peak = subprocess.run(
        [sys.executable, __file__, PEAK], check=True, capture_output=True, text=True
    )
    return {"grow": grown, "read": read, "peak_mb": float(peak.stdout), "threads": 2}


def volumes(cases: Sequence[Case]) -> dict[str, dict[str, float]]:
    """Return median and 5 to 95 % range of each organ's volume in ml."""
    found = {}
    for organ in ORGANS:
        ml = []
        for case in cases:
            ids = [k for k, v in case.table.items() if v in region_of(organ).structures]
            ml.append(np.isin(case.labels, ids).sum() * case.grid.voxel_ml)
        low, middle, high = np.percentile(ml, [5, 50, 95])
        found[organ] = {"p5": float(low), "median": float(middle), "p95": float(high)}
    return found


def inter_case_dice(cases: Sequence[Case], steps: Sequence[int]) -> dict[str, Any]:
    """Align each patient with those ``steps`` further on (in a ring), and summarise the Dice."""
    patients, scores = [Patient(case) for case in cases], []
    pairs = [(i, (i + step) % len(cases)) for step in steps for i in range(len(cases))]
    for fixed, moving in pairs:
        matrix = align(patients[moving], patients[fixed])
        scores.append(overlap(patients[moving], patients[fixed], matrix, ORGANS))
    values = {organ: [s[organ] for s in scores if organ in s] for organ in ORGANS}
    return {
        "patients": len(cases),
        "pairs": len(pairs),
        "dice": {
            organ: dict(
                zip(("p5", "median", "p95"), map(float, np.percentile(v, [5, 50, 95])), strict=True)
            )
            for organ, v in values.items()
        },
        "values": {organ: [round(v, 4) for v in row] for organ, row in values.items()},
    }


def measure(short: bool) -> dict[str, Any]:
    """Run everything.

    Args:
        short: Fewer patients: under 3 minutes on two cores.
    """
    timing = speed(5)
    each, wide_count = (1, 6) if short else (2, 16)
    grown = {
        centre.name: [grow(full_length(centre), index) for index in range(count)]
        for centre, count in [(c, each) for c in CENTRES.values()]
        + [(TARGET, wide_count // 4), (WIDE, wide_count)]
    }
    pooled = [grown[name][index] for index in range(each) for name in CENTRES]
    return {
        "question": "How far apart are the virtual patients, and what does one cost?",
        "seed": 0,
        "alignment": "rigid: vertebra centres and blurred body mask, least squares",
        "speed": timing,
        "volumes_ml": {name: volumes(cases) for name, cases in grown.items()},
        "template_ml": template_volumes(),
        "patients": {name: len(cases) for name, cases in grown.items()},
        "inter_case": {
            "wide": inter_case_dice(grown["wide"], (1,)),
            "training": inter_case_dice(pooled, (1,)),
        },
        "aims": AIMS,
        "load_average": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def template_volumes() -> dict[str, float]:
    """Return the organ volumes of the real torso in ml."""
    base, ml = template(), abs(np.linalg.det(template().affine[:3, :3])) / 1000
    return {
        organ: float(ml * sum(int((base.labels == number).sum()) for number, name
                              in base.table.items() if name in region_of(organ).structures))
        for organ in ORGANS
    }  # fmt: skip


def report(result: dict[str, Any]) -> None:
    """Print the measured values, one a line."""
    timing = result["speed"]
    for kind in ("grow", "read"):
        print(f"seconds {kind} wall {timing[kind]['wall_s']:.3f} cpu {timing[kind]['cpu_s']:.3f}")
    print(f"peak_mb grow {timing['peak_mb']:.0f}")
    for group, found in result["inter_case"].items():
        for organ, row in found["dice"].items():
            aim = f" (aim below {AIMS[organ]})" if organ in AIMS else ""
            print(f"dice {group} {organ} {row['median']:.3f}{aim}")
    for kind in ("wall_s", "cpu_s"):
        print(f"ratio grow_over_read_{kind[:-2]} {timing['grow'][kind] / timing['read'][kind]:.2f}")


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="fewer patients")
    parser.add_argument(PEAK, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        grow(WIDE, 0)
        print(process_peak_mb())
        return
    result = measure(options.short)
    write_json(RESULTS / ("spread-short.json" if options.short else "spread.json"), result)
    report(result)


if __name__ == "__main__":
    main()
