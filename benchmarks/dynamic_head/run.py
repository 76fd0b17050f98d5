"""What does the lean form of a text-driven dynamic head save, at the published size?

Features of 8 channels at 96x96x96, 32 classes, fp32, one sample. Published: the features repeated
32 times, grouped convolutions, every class computed. Lean: `fmtutor.nets.dynamic_head`. In turn, in
one process: forward alone; forward and backward with all classes annotated; with two (as in LiTS),
where the published form computes all and masks the loss; the controller, on a concatenation for
each class or split with the text part kept. Peak memory: a fresh process each.

    python benchmarks/dynamic_head/run.py            # 5 repeats: some 3 minutes on 2 quiet cores
    python benchmarks/dynamic_head/run.py --short    # at 64x64x64
    python benchmarks/dynamic_head/run.py --device cuda

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

from fmtutor.bench.machine import machine, process_peak_mb
from fmtutor.core.files import write_json
from fmtutor.nets.dynamic_head import HeadShape, dynamic_head, plain_dynamic_head

RESULTS = Path(__file__).parent / "results"
CLASSES = 32
TWO = (5, 26)
"""Liver and liver tumour: what LiTS annotates."""
VISION = 256
FORMS: dict[str, Callable[..., Tensor]] = {
    "published": lambda x, theta, known: plain_dynamic_head(x, theta),
    "lean": lambda x, theta, known: dynamic_head(x, theta, known),
    "fused": lambda x, theta, known: dynamic_head(x, theta, known, fused=True),
}


class Setting:
    """Inputs of one measurement on a device."""

    def __init__(self, side: int, device: str) -> None:
        seeded = torch.Generator().manual_seed(0)
        shape = (1, HeadShape().width, side, side, side)
        self.features = torch.randn(shape, generator=seeded).to(device).requires_grad_()
        theta = 0.3 * torch.randn(1, CLASSES, HeadShape().count, generator=seeded)
        self.theta = theta.to(device).requires_grad_()
        self.gradient = torch.randn(1, CLASSES, side, side, side, generator=seeded).to(device)
        self.all = torch.ones(1, CLASSES, dtype=torch.bool, device=device)
        self.two = torch.zeros_like(self.all)
        self.two[0, list(TWO)] = True

    def forward(self, form: str) -> None:
        """Values of all classes, as at inference."""
        with torch.no_grad():
            FORMS[form](self.features, self.theta, None)

    def backward(self, form: str, known: Tensor) -> None:
        """Values and gradients; a loss reads the known classes alone."""
        logits = FORMS[form](self.features, self.theta, known)
        gradient = self.gradient * known[:, :, None, None, None]
        torch.autograd.grad(logits, (self.features, self.theta), gradient)

    def works(self, forms: list[str]) -> dict[str, dict[str, Callable[[], None]]]:
        """Return what is measured: question to form to work."""
        return {
            "forward": {f: (lambda f=f: self.forward(f)) for f in forms},
            "forward_backward": {f: (lambda f=f: self.backward(f, self.all)) for f in forms},
            "forward_backward_two": {f: (lambda f=f: self.backward(f, self.two)) for f in forms},
        }


def controllers(device: str) -> dict[str, Callable[[], Tensor]]:
    """Return the published controller and the split one; both give the parameters of all heads."""
    layer = nn.Linear(2 * VISION, HeadShape().count).to(device)
    image = torch.randn(1, VISION, device=device)
    text = torch.randn(CLASSES, VISION, device=device)
    kept = nn.functional.linear(text, layer.weight[:, VISION:], layer.bias).detach()

    def published() -> Tensor:
        with torch.no_grad():
            return layer(torch.cat([image.expand(CLASSES, -1), text], 1))

    def lean() -> Tensor:
        with torch.no_grad():
            return nn.functional.linear(image, layer.weight[:, :VISION]) + kept

    torch.testing.assert_close(published(), lean())
    return {"published": published, "lean": lean}


def in_turn(
    works: dict[str, Callable[[], Any]], *, repeats: int, device: str
) -> dict[str, dict[str, float]]:
    """Time works in turn after a warm-up of each; medians of wall and CPU seconds."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for repeat in range(repeats + 1):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            if repeat:
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: {
            "wall": statistics.median(w for w, _ in pairs),
            "cpu": statistics.median(c for _, c in pairs),
            "repeats": repeats,
        }
        for name, pairs in taken.items()
    }


def print_extra(question: str, form: str, side: int, device: str) -> None:
    """Print the memory that one run takes beyond its inputs (the child's part)."""
    setting = Setting(side, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        setting.works([form])[question][form]()
        print(json.dumps((torch.cuda.max_memory_allocated() - before) / 2**20))
        return
    small = Setting(8, device)  # libraries and threads that the first call loads
    small.works([form])[question][form]()
    before = process_peak_mb()
    setting.works([form])[question][form]()
    print(json.dumps(process_peak_mb() - before))


def extra_mb(question: str, form: str, side: int, device: str) -> float:
    """Return a question's peak memory beyond its inputs, in a fresh process."""
    command = [sys.executable, __file__, "--extra", question, form, "--side", str(side)]
    command += ["--device", device, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(side: int, *, repeats: int, device: str) -> dict[str, Any]:
    """Measure every question in every form."""
    forms = ["published", "lean"] + (["fused"] if device == "cuda" else [])
    setting = Setting(side, device)
    seconds, memory = {}, {}
    for question, works in setting.works(forms).items():
        seconds[question] = in_turn(works, repeats=repeats, device=device)
        memory[question] = {form: extra_mb(question, form, side, device) for form in forms}
    seconds["controller"] = in_turn(controllers(device), repeats=20 * repeats, device=device)
    return {"seconds": seconds, "extra_mb": memory}


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """Return published over each other form."""
    values = {}
    for question, forms in found["seconds"].items():
        for form in set(forms) - {"published"}:
            for kind in ("wall", "cpu"):
                values[f"{question}_{form}_{kind}"] = forms["published"][kind] / forms[form][kind]
    for question, forms in found["extra_mb"].items():
        for form in set(forms) - {"published"}:
            values[f"{question}_{form}_memory"] = forms["published"] / max(forms[form], 1e-9)
    return {name: round(values[name], 3) for name in sorted(values)}


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="64x64x64")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--extra", nargs=2, metavar=("QUESTION", "FORM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    side = options.side or (64 if options.short else 96)
    if options.extra:
        print_extra(*options.extra, side=side, device=options.device)
        return
    load = os.getloadavg()[0]
    found = measure(side, repeats=5, device=options.device)
    result = {
        "question": __doc__.splitlines()[0], "side": side, "classes": CLASSES, **found,
        "ratios": ratios(found), "machine": machine(), "load_average_before": load,
    }  # fmt: skip
    write_json(RESULTS / f"{options.device}{'-short' if options.short else ''}.json", result)
    for question, forms in found["seconds"].items():
        for form, value in forms.items():
            memory = found["extra_mb"].get(question, {}).get(form)
            extra = f", +{memory:.0f} MB" if memory is not None else ""
            print(f"{question} {form}: {value['wall']:.4f} s, CPU {value['cpu']:.4f} s{extra}")
    for name, value in result["ratios"].items():
        print(f"ratio {name} {value}")


if __name__ == "__main__":
    main()
