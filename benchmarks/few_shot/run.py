"""What do kept features save black-box methods, what does every method cost, and a second worker?

- ``kept``: linear probe, MLP adapter and spatial adapter on the same 6 crops of each of 5 volumes,
  with the backbone run at every step and with its features kept: seconds of an epoch (5 steps)
  once all features are there, forms in turn; beside it the arithmetic bound, (forward of the
  backbone + forward and backward of the rest) over the latter, in FLOPs counted from the layers;
  where the time of a kept step goes;
- ``methods``: each method of the talk's tables and ours, decoder frozen and trained: parameters
  trained, seconds of a step on images, peak memory of a fresh process;
- ``workers``: a sweep of equal cells of about 2 CPU seconds with two workers and with one.

Both backbones of the quick setting with random weights, phantoms as volumes, one thread, as a
worker of a sweep has.

    python benchmarks/few_shot/run.py            # 15 repeats, all methods: some 15 minutes
    python benchmarks/few_shot/run.py --short    # 5 repeats, some methods: under 3 minutes

Results: ``results/costs.json``, ``results/costs-short.json``.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from kept import BACKBONES, CROPS, FORMS, METHODS, SHOTS, Black, phantoms
from methods import costs, print_peak, workers_compared

from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.bench.machine import machine
from fmtutor.core.configs import to_dict
from fmtutor.core.files import write_json

RESULTS = Path(__file__).parent / "results"
AIMS = {"linear_probe": 20.0, "mlp_adapter": 10.0}
"""Plain over kept that was asked for; the spatial adapter is held to its arithmetic bound."""
PARTS = ("kept", "methods", "workers")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    short: bool
    """Time and weigh a few methods instead of all."""
    epochs: int
    """Measured epochs of each form."""
    steps: int
    """Measured steps of each method."""
    forms: tuple[str, ...] = tuple(FORMS)
    """Of a step of a black-box method."""
    cells: int
    """Of a sweep."""
    cell_steps: int = 4
    """Of one cell: about 2 CPU seconds."""
    sweeps: int = 1
    """With each number of workers."""


FULL = Size(short=False, epochs=15, steps=5, cells=6, sweeps=5)
SHORT = Size(short=True, epochs=5, steps=5, forms=("plain", "kept"), cells=4)


@contextmanager
def own_cache() -> Iterator[None]:
    """Let features go to a folder that is removed afterwards."""
    before = os.environ.get("FMTUTOR_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FMTUTOR_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("FMTUTOR_CACHE")
            if before is not None:
                os.environ["FMTUTOR_CACHE"] = before


def kept(size: Size) -> dict[str, Any]:
    """Compare the forms of each black-box method on each backbone."""
    volumes, found = phantoms(), {}
    for kind in BACKBONES:
        with own_cache():
            found[kind] = {"build": built(Black(kind, METHODS[0], volumes))}
            for method in METHODS:
                found[kind][method] = row = forms(Black(kind, method, volumes), size)
                say(f"{kind} {method}", row)
    return found


def built(black: Black) -> dict[str, float]:
    """Time what the first epoch pays: features of all crops, computed and written."""
    began = time.perf_counter()
    batches = black.features()
    return {"wall": time.perf_counter() - began, "mb": batches.features.size_mb}


def forms(black: Black, size: Size) -> dict[str, Any]:
    """Compare the forms of one method; its features are there already."""
    epochs, error = black.epochs(size.forms, repeats=size.epochs)
    phases = black.phases(repeats=3 * size.epochs)
    return {
        "epoch": {form: asdict(seconds) for form, seconds in epochs.items()},
        "phases": {**phases, "rest": epochs["kept"].cpu / SHOTS - sum(phases.values())},
        "flops": black.operations(), "error": error,
    }  # fmt: skip


def say(name: str, row: dict[str, Any]) -> None:
    """Print what was measured of one method as soon as it is there."""
    for form, seconds in row["epoch"].items():
        wall, cpu = 1000 * seconds["wall"], 1000 * seconds["cpu"]
        print(f"{name} {form}: {wall:.1f} ms an epoch, CPU {cpu:.1f} ms")
    parts = "  ".join(f"{part} {1000 * s:.2f}" for part, s in row["phases"].items())
    bound = row["flops"]["bound"]
    print(f"{name} kept, CPU ms of a step: {parts}; bound {bound:.2f}", flush=True)


def measure(size: Size, parts: tuple[str, ...] = PARTS) -> dict[str, Any]:
    """Measure the parts."""
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "kept": lambda: kept(size),
        "methods": lambda: {
            kind: costs(kind, repeats=size.steps, short=size.short) for kind in BACKBONES
        },
        "workers": lambda: workers_compared(
            cells=size.cells, steps=size.cell_steps, repeats=size.sweeps
        ),
    }
    found: dict[str, Any] = {}
    for part in parts:
        began = time.perf_counter()
        found[part] = works[part]()
        print(f"{part}: measured in {time.perf_counter() - began:.0f} s", flush=True)
    return found


def rows_of(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows of ``kept`` with a name each."""
    return [
        (f"{kind}_{method}", rows[method])
        for kind, rows in found.get("kept", {}).items()
        for method in METHODS
    ]


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """Return plain over kept, each step over that of full fine-tuning, one worker over two."""
    values: dict[str, float] = {}
    for name, row in rows_of(found):
        plain = row["epoch"]["plain"]
        for form in row["epoch"]:
            for clock in ("wall", "cpu") if form != "plain" else ():
                values[f"{name}_{form}_{clock}"] = plain[clock] / row["epoch"][form][clock]
        values[f"{name}_bound"] = row["flops"]["bound"]
        values[f"{name}_error"] = row["error"]
    for kind, rows in found.get("methods", {}).items():
        whole = rows["full_fine_tune"]
        for key, row in rows.items():
            if row["step"]:
                values[f"{kind}_{key}_step_ms"] = 1000 * row["step"]["wall"]
                values[f"{kind}_{key}_step_over_full"] = row["step"]["cpu"] / whole["step"]["cpu"]
            if row["peak_mb"]:
                values[f"{kind}_{key}_peak_mb"] = row["peak_mb"]["peak"]
    if workers := found.get("workers"):
        for clock in ("wall", "work"):
            values[f"workers_1_over_2_{clock}"] = workers["1"][clock] / workers["2"][clock]
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def report(result: dict[str, Any]) -> None:
    """Print the measured values; the ratios are the last lines."""
    for kind, rows in result.get("methods", {}).items():
        for key, row in rows.items():
            print(f"{kind} {key}: {row['trained']:,} parameters ({row['share']:.2%})")
    for workers, row in result.get("workers", {}).items():
        print(
            f"{workers} workers: {row['wall']:.1f} s, cells {row['work']:.1f} s, CPU of a cell "
            f"{row['cpu']:.2f} s"
        )
    for name, value in result["ratios"].items():
        print(f"ratio {name} {value}")


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="some methods, under 3 minutes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, help="one part, printed and not written")
    parser.add_argument("--peak", nargs=2, metavar=("KIND", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print_peak(*options.peak)
        return
    began, load = time.perf_counter(), os.getloadavg()[0]
    size = SHORT if options.short else FULL
    found = measure(size, (options.only,) if options.only else PARTS)
    result = {
        "question": __doc__.splitlines()[0], "forms": FORMS, "aims": AIMS, "shots": SHOTS,
        "crops": CROPS, "weights": "random", "volumes": "phantoms", "backbones": BACKBONES,
        "setting": to_dict(QUICK), "size": asdict(size), **found, "ratios": ratios(found),
        "machine": machine(), "load_average_before": load,
        "load_average_after": os.getloadavg()[0], "seconds": time.perf_counter() - began,
    }  # fmt: skip
    if not options.only:
        write_json(RESULTS / f"costs{'-short' if options.short else ''}.json", result)
    report(result)


if __name__ == "__main__":
    main()
