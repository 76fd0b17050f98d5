"""What does the closed form of padded windows save in SAM-Med3D's image encoder?

The published size with random weights, fp32, one image of 128^3 voxels (8^3 tokens, which 8 of the
12 blocks pad to 14^3). Published: padded tokens as tokens (`plain`). Closed form: all padding of a
window is one key (`fmtutor.nets.window_attention`).

- wall and CPU seconds, the forms in turn after a warm-up; the largest difference of their outputs;
- memory of a fresh process for each form: its peak, with Python, the libraries and the network,
  and what the embedding adds to the network that lies there before (``extra_mb``).

    python benchmarks/interaction/encoder.py            # 5 repeats: 2 minutes on 2 quiet cores
    python benchmarks/interaction/encoder.py --short    # 2 repeats

Results: ``results/encoder.json``, ``results/encoder-short.json``.
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

import torch
from torch import Tensor

from fmtutor.bench.machine import machine, process_peak_mb
from fmtutor.core.files import write_json
from fmtutor.core.seeds import torch_rng
from fmtutor.nets.sam import Sam
from fmtutor.nets.sam_shapes import sam_med3d
from fmtutor.nets.vit import ImageEncoder

RESULTS = Path(__file__).parent / "results"
FORMS = ("published", "closed")
SPREAD = 0.1
"""Of the drawn positions, which are zero in a network that has not learnt."""


def encoder() -> ImageEncoder:
    """Return the encoder; positions are drawn, so that they count."""
    torch.manual_seed(0)
    model = Sam(sam_med3d()).image_encoder.eval()
    draw = torch_rng("benchmarks", "interaction", "encoder")
    for name, value in model.named_parameters():
        if "relative" in name or name == "pos_embed":
            value.data = SPREAD * torch.randn(value.shape, generator=draw)
    return model


def works() -> dict[str, Callable[[], Tensor]]:
    """Return both forms of one embedding."""
    model = encoder()
    draw = torch_rng("benchmarks", "interaction", "image")
    image = torch.rand((1, 1, *sam_med3d().image), generator=draw)
    return {
        "published": lambda: model(image, plain=True)[0],
        "closed": lambda: model(image)[0],
    }


def timed(repeats: int) -> dict[str, dict[str, float]]:
    """Time the forms in turn after a warm-up of each, and compare what they return.

    Returns:
        For each form: median and least wall and CPU seconds, and ``error``, the largest difference
        from the published form over its largest value.
    """
    forms = works()
    outputs = {name: work() for name, work in forms.items()}
    reference = outputs["published"]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, work in forms.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: {
            "wall": statistics.median(wall for wall, _ in pairs),
            "wall_min": min(wall for wall, _ in pairs),
            "cpu": statistics.median(cpu for _, cpu in pairs),
            "cpu_min": min(cpu for _, cpu in pairs),
            "error": float((outputs[name] - reference).abs().max() / reference.abs().max()),
            "repeats": repeats,
        }
        for name, pairs in taken.items()
    }


def memory(form: str) -> dict[str, float]:
    """Return ``peak_mb`` and ``extra_mb`` of a fresh process that embeds one image."""
    command = [sys.executable, __file__, "--peak", form, "--threads", str(torch.get_num_threads())]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(*, repeats: int) -> dict[str, dict[str, float]]:
    """Return seconds, error and peak memory of both forms."""
    with torch.no_grad():
        found = timed(repeats)
    return {form: {**found[form], **memory(form)} for form in FORMS}


def ratios(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return published over closed form, and the error of the closed form."""
    published, closed = (found[form] for form in FORMS)
    values = {
        f"encoder_{kind}": published[kind] / closed[kind]
        for kind in ("wall", "wall_min", "cpu", "cpu_min", "peak_mb", "extra_mb")
    }
    values["encoder_error"] = closed["error"]
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def report(found: dict[str, dict[str, float]]) -> None:
    """Print a line for each form, and one for each ratio."""
    for form, row in found.items():
        times = f"{row['wall']:.2f} s, CPU {row['cpu']:.2f} s"
        size = f"{row['peak_mb']:.0f} MB (+{row['extra_mb']:.0f})"
        print(f"encoder {form}: {times}, {size}, error {row['error']:.1e}")
    for name, value in ratios(found).items():
        print(f"ratio {name} {value}")


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="2 repeats")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--peak", choices=FORMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        embed = works()[options.peak]
        before = process_peak_mb()  # the network is built once, without copies
        with torch.no_grad():
            embed()
        peak = process_peak_mb()
        print(json.dumps({"peak_mb": peak, "extra_mb": peak - before}))
        return
    load, started = os.getloadavg()[0], time.perf_counter()
    found = measure(repeats=2 if options.short else 5)
    result = {
        "question": __doc__.splitlines()[0], "image": sam_med3d().image, "forms": found,
        "ratios": ratios(found), "seconds": time.perf_counter() - started, "machine": machine(),
        "load_average_before": load, "load_average_after": os.getloadavg()[0],
    }  # fmt: skip
    write_json(RESULTS / f"encoder{'-short' if options.short else ''}.json", result)
    report(found)


if __name__ == "__main__":
    main()
