"""What do the exact fast forms of in-context networks save, at the published size?

UniverSeg v1 and Tyche-TS (8 candidates) with random weights, fp32, one query of 128x128 pixels,
supports of 1, 16 and 64 (a GPU: up to 512). Published: every pair of query and support by itself
(`plain`). Fast: the split, mean-first and composed forms of `fmtutor.nets.cross_conv`, in chunks.

- multiply-adds, counted by torch operator by operator;
- wall and CPU seconds, the forms in turn; the largest difference of their outputs;
- peak memory of a fresh process for each form, beyond torch, the network and its inputs;
- eight queries on one support of 16: eight passes of the fast form, against the support remembered
  once (`remember`, `answer`), against one batch of eight that shares it.

    python benchmarks/in_context/run.py            # 5 repeats: 4 minutes on 2 quiet cores
    python benchmarks/in_context/run.py --short    # 2 repeats, under 3 minutes
    python benchmarks/in_context/run.py --device cuda

Results: ``results/DEVICE.json``, ``results/DEVICE-short.json``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fmtutor.bench.machine import machine, process_peak_mb
from fmtutor.core.files import write_json
from fmtutor.core.seeds import torch_rng
from fmtutor.paradigms.incontext import tyche, universeg

RESULTS = Path(__file__).parent / "results"
SIDE, QUERIES, CANDIDATES, SHARED = 128, 8, 8, 16
SUPPORTS = {"cpu": (1, 16, 64), "cuda": (1, 16, 64, 256, 512)}
BUILDS: dict[str, Callable[[], nn.Module]] = {
    "universeg": lambda: universeg.build(universeg.Config.gpu()),
    "tyche": lambda: tyche.build(tyche.Config.paper()),
}
FORMS = ("published", "fast")
Works = dict[str, Callable[[], Any]]


class Setting:
    """A network and its inputs on a device ("meta": shapes alone).

    Args:
        system: One of `BUILDS`.
        supports: S.
        device: Where.
        side: Pixels along each side.
        queries: Queries on the one support.
    """

    def __init__(
        self, system: str, supports: int, device: str, *, side: int = SIDE, queries: int = 1
    ) -> None:
        torch.manual_seed(0)
        self.network = BUILDS[system]().eval().to(device)
        draw = torch_rng("benchmarks", "in_context", supports)
        many = (1, supports, 1, side, side)
        images, masks = torch.rand(many, generator=draw), torch.rand(many, generator=draw) > 0.5
        self.query = torch.rand((queries, 1, side, side), generator=draw).to(device)
        self.support = images.to(device), masks.float().to(device)
        self.options = {}
        if system == "tyche":
            noise = torch.randn((queries, CANDIDATES, 1, side, side), generator=draw)
            self.options = {"noise": noise.to(device)}

    def works(self) -> Works:
        """Return both forms of one pass."""
        return {
            "published": lambda: self.network.plain(self.query, *self.support, **self.options),
            "fast": lambda: self.network(self.query, *self.support, **self.options),
        }

    def repeated(self) -> Works:
        """Return the ways to answer all queries on the one support."""
        return {
            "fresh": lambda: torch.cat([self.network(q[None], *self.support) for q in self.query]),
            "remembered": self._remembered,
            "batch": lambda: self.network(self.query, *self.support),
        }

    def _remembered(self) -> Tensor:
        memory = self.network.remember(*self.support)
        return torch.cat([self.network.answer(q[None], memory) for q in self.query])


def in_turn(works: Works, *, repeats: int, device: str) -> dict[str, dict[str, float]]:
    """Time works in turn after a warm-up of each, and compare what they return.

    Returns:
        For each: median and least wall and CPU seconds, and ``error``, the largest difference from
        the first work's output over that output's largest value.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    outputs = {name: work() for name, work in works.items()}
    reference = next(iter(outputs.values()))
    scale = reference.abs().max()
    errors = {name: float((out - reference).abs().max() / scale) for name, out in outputs.items()}
    for _ in range(repeats):
        for name, work in works.items():
            if device == "cuda":
                torch.cuda.synchronize()
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: {
            "wall": statistics.median(w for w, _ in pairs),
            "wall_min": min(w for w, _ in pairs),
            "cpu": statistics.median(c for _, c in pairs),
            "cpu_min": min(c for _, c in pairs),
            "error": errors[name],
            "repeats": repeats,
        }
        for name, pairs in taken.items()
    }


def counted(work: Callable[[], Any]) -> float:
    """Return the multiply-adds of a work in units of 10^9, summed over torch's operators."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2e9


def print_extra(system: str, supports: int, form: str, device: str) -> None:
    """Print the memory that one pass takes beyond network and inputs (the child's part)."""
    Setting(system, 1, device, side=16).works()[form]()  # what the first call loads
    setting = Setting(system, supports, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        setting.works()[form]()
        print(json.dumps((torch.cuda.max_memory_allocated() - before) / 2**20))
        return
    before = process_peak_mb()
    setting.works()[form]()
    print(json.dumps(process_peak_mb() - before))


def extra_mb(system: str, supports: int, form: str, device: str) -> float:
    """Return the peak memory of a pass beyond network and inputs, in a fresh process."""
    command = [sys.executable, __file__, "--extra", system, str(supports), form]
    command += ["--device", device, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def one_pass(system: str, supports: int, *, repeats: int, device: str) -> dict[str, Any]:
    """Measure one query on a support in both forms."""
    works = Setting(system, supports, "meta").works()
    macs = {form: counted(works[form]) for form in FORMS}
    seconds = in_turn(Setting(system, supports, device).works(), repeats=repeats, device=device)
    memory = {form: extra_mb(system, supports, form, device) for form in FORMS}
    return {form: {"gmac": macs[form], "extra_mb": memory[form], **seconds[form]} for form in FORMS}


def queries(*, repeats: int, device: str) -> dict[str, Any]:
    """Measure several queries on one support; the memory's size is what `remember` holds."""
    setting = Setting("universeg", SHARED, device, queries=QUERIES)
    found: dict[str, Any] = in_turn(setting.repeated(), repeats=repeats, device=device)
    works = Setting("universeg", SHARED, "meta", queries=QUERIES).repeated()
    for form, work in works.items():
        found[form]["gmac"] = counted(work)
    found["remembered"]["held_mb"] = setting.network.remember(*setting.support).bytes / 2**20
    return found


def ratios(passes: dict[str, Any], repeated: dict[str, Any]) -> dict[str, float]:
    """Return published over fast, and eight fresh passes over the other ways."""
    values = {}
    for name, forms in passes.items():
        published, fast = forms["published"], forms["fast"]
        for kind in ("gmac", "cpu", "cpu_min", "wall", "wall_min", "extra_mb"):
            values[f"{name}_{kind}"] = published[kind] / max(fast[kind], 1e-9)
        values[f"{name}_gmac_saved"] = 1 - fast["gmac"] / published["gmac"]
        values[f"{name}_error"] = fast["error"]
    for form in ("remembered", "batch"):
        for kind in ("gmac", "cpu", "wall"):
            values[f"queries_{form}_{kind}"] = repeated["fresh"][kind] / repeated[form][kind]
        values[f"queries_{form}_error"] = repeated[form]["error"]
    return {name: float(f"{values[name]:.4g}") for name in sorted(values)}


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="2 repeats")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--supports", type=int, nargs="+", help="default: as said above")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--extra", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    torch.backends.cudnn.allow_tf32 = False
    device = options.device
    if options.extra:
        system, supports, form = options.extra
        print_extra(system, int(supports), form, device)
        return
    load, started = os.getloadavg()[0], time.perf_counter()
    settings = {"repeats": 2 if options.short else 5, "device": device}
    asked = [("universeg", count) for count in options.supports or SUPPORTS[device]]
    passes = {
        f"{system}_{count}": one_pass(system, count, **settings)
        for system, count in [*asked, ("tyche", SHARED)]
    }
    repeated = queries(**settings)
    result = {
        "question": __doc__.splitlines()[0], "side": SIDE, "queries": QUERIES,
        "candidates": CANDIDATES, "passes": passes, "repeated": repeated,
        "ratios": ratios(passes, repeated), "seconds": time.perf_counter() - started,
        "machine": machine(), "load_average_before": load,
        "load_average_after": os.getloadavg()[0],
    }  # fmt: skip
    write_json(RESULTS / f"{device}{'-short' if options.short else ''}.json", result)
    for name, forms in {**passes, f"queries_{SHARED}": repeated}.items():
        for form, found in forms.items():
            extra = f", +{found['extra_mb']:.0f} MB" if "extra_mb" in found else ""
            times = f"{found['wall']:.3f} s, CPU {found['cpu']:.3f} s"
            print(f"{name} {form}: {found['gmac']:.2f} GMAC, {times}{extra}")
    for name, value in result["ratios"].items():
        print(f"ratio {name} {value}")


if __name__ == "__main__":
    main()
