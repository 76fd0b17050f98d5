"""What every method costs with an optimiser step on images, and what a sweep's second worker saves.

Phantoms and random weights, as in ``kept.py``; crops drawn anew at each step, norms as in training.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from kept import SHOTS, in_turn, phantoms, random_backbone

from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.bench.machine import process_peak_mb
from fmtutor.bench.sweep import Job, sweep
from fmtutor.bench.sweep_runners import Local
from fmtutor.data.few_shot import Patches, Volume
from fmtutor.paradigms.adapt import adaptation
from fmtutor.paradigms.adapt.ledger import AdaptationCost, ledger_rows
from fmtutor.paradigms.adapt.spec import Spec, adapted
from fmtutor.paradigms.adapt.training import Schedule, train

RUN = Path(__file__).with_name("run.py")
SHORT_TIMED = ("linear_probe", "bitfit", "full_fine_tune")
"""What is timed in the short form."""
SHORT_PEAKS = ("linear_probe", "full_fine_tune")
PEAK_STEPS = 3
WORKERS = (1, 2)


def key_of(row: AdaptationCost) -> str:
    """Return the name of a row: "lora", "lora+decoder"."""
    return f"{row.method}+decoder" if row.decoder else row.method


def spec_of(key: str) -> Spec:
    """Return the spec that a name stands for."""
    method, _, decoder = key.partition("+")
    return Spec(method=method, decoder=bool(decoder))


def losses(kind: str, key: str, volumes: list[Volume], *, steps: int) -> Iterator[float]:
    """Yield the losses of a training on images."""
    spec = spec_of(key)
    net = adapted(random_backbone(kind), spec)
    patches = Patches(volumes, size=QUICK.patch[kind], batch=QUICK.batch[kind], seed=0)
    schedule = Schedule(shots=SHOTS, steps=steps, lr_scale=QUICK.lr_scale[spec.scope], stop=False)
    for record in train(net, spec, patches, schedule):
        yield record.loss


def costs(kind: str, *, repeats: int, short: bool) -> dict[str, dict[str, Any]]:
    """Measure all methods that have a place in a backbone, the decoder frozen and trained.

    Returns:
        Name to parameters, seconds of a step (None for zero-shot, which has none, and for what the
        short form leaves out), peak memory of a fresh process (the same).
    """
    rows = {key_of(row): row for row in ledger_rows(random_backbone(kind))}
    volumes = phantoms()
    asked = [
        key for key, row in rows.items()
        if adaptation(row.method).family != "none" and (not short or key in SHORT_TIMED)
    ]  # fmt: skip
    runs = {key: losses(kind, key, volumes, steps=repeats + 2) for key in asked}
    works = {key: (lambda run=run: next(run)) for key, run in runs.items()}
    steps = in_turn(works, repeats=repeats)
    runs.clear()
    measured = [key for key in rows if not short or key in SHORT_PEAKS]
    with ThreadPoolExecutor(2) as pool:  # each is a process of one thread, most of it imports
        peaks = dict(zip(measured, pool.map(lambda key: peak_mb(kind, key), measured), strict=True))
    return {
        key: {
            **asdict(row),
            "step": asdict(steps[key]) if key in steps else None,
            "peak_mb": peaks.get(key),
        }
        for key, row in rows.items()
    }


def peak_mb(kind: str, key: str) -> dict[str, float]:
    """Run three steps in a fresh process."""
    threads = str(torch.get_num_threads())
    command = [sys.executable, str(RUN), "--peak", kind, key, "--threads", threads]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_peak(kind: str, key: str) -> None:
    """Print largest resident memory before and after three steps (the child's part).

    Zero-shot trains nothing: it answers one batch.
    """
    volumes, base = phantoms(), random_backbone(kind)
    before = process_peak_mb()
    if spec_of(key).how.family == "none":
        row = (torch.ones(base.out_channels), torch.zeros(()))  # type: ignore[arg-type]
        patches = Patches(volumes, size=QUICK.patch[kind], batch=QUICK.batch[kind], seed=0)
        with torch.inference_mode():
            adapted(base, spec_of(key), row=row).eval()(patches(0).input)
    else:
        for _ in losses(kind, key, volumes, steps=PEAK_STEPS):
            pass
    print(json.dumps({"before": before, "peak": process_peak_mb()}))


def workers_compared(*, cells: int, steps: int, repeats: int) -> dict[str, dict[str, float]]:
    """Sweep the same cells with one worker and with two, in turn.

    Returns:
        For each number of workers, medians: ``wall`` of the whole sweep with the start of its
        processes, ``work`` from the beginning of the first cell to the end of the last, ``cpu``
        of a cell.
    """
    found: dict[int, list[dict[str, float]]] = {workers: [] for workers in WORKERS}
    for turn in range(repeats):
        for workers in WORKERS[:: 1 if turn % 2 == 0 else -1]:
            found[workers].append(swept(workers, cells=cells, steps=steps))
    return {
        str(workers): {name: median(row[name] for row in rows) for name in rows[0]}
        for workers, rows in found.items()
    }


def swept(workers: int, *, cells: int, steps: int) -> dict[str, float]:
    """Run one sweep of equal cells.

    Raises:
        RuntimeError: A cell failed.
    """
    jobs = [Job(name=f"cell{n}", payload={"number": n, "steps": steps}) for n in range(cells)]
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name) / "sweep", time.perf_counter()
        done = list(sweep(jobs, cell, folder, config={}, runner=Local(workers=workers)))
        wall = time.perf_counter() - began
        if failed := [one for one in done if one.state != "done"]:
            raise RuntimeError(f"every cell must be done, {failed[0].name}: {failed[0].error}")
        results = [json.loads((folder / f"{job.name}.json").read_text()) for job in jobs]
    span = max(r["ended"] for r in results) - min(r["began"] for r in results)
    cpu = sum(r["cpu"] for r in results) / cells
    return {"wall": wall, "work": span, "cpu": cpu, "cells": cells}


def cell(payload: dict[str, Any]) -> dict[str, Any]:
    """Do the work of a short cell: full fine-tuning of the small Swin UNETR on phantoms."""
    began, cpu = time.time(), time.process_time()
    found = list(losses("swin", "full_fine_tune", phantoms(), steps=payload["steps"]))
    return {
        "loss": found, "cpu": time.process_time() - cpu, "began": began, "ended": time.time(),
    }  # fmt: skip
