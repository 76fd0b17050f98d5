"""How long is a click, and what does the closed form of padded windows save?

- the encoder at the published size, closed form against plain: `benchmarks/interaction/encoder.py`;
- click to mask with the shipped 3D networks, the embedding kept, on a region of 96^3 voxels for
  SAM-Med3D (sessions show it its training crop's 64 x 64 x 48) and of its own size for EarlyPrompt:
  the decoder alone, and a whole step of a session on a real CT of 512 x 512 x 20 voxels, from the
  voxel clicked to the mask on the case's grid. Median of the repeats; the first click, which embeds
  the region, stands beside;
- the process's peak memory with the networks, the case and a session.

    python benchmarks/interaction/run.py            # 5 encoder repeats, 20 clicks
    python benchmarks/interaction/run.py --short    # under 3 minutes on 2 cores

Results: ``results/encoder.json``, ``results/latency.json``, and with ``-short`` in the name.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fmtutor.bench.machine import machine, process_peak_mb
from fmtutor.core.files import sha256_of, write_json
from fmtutor.core.prompts import Prompts
from fmtutor.core.seeds import rng, torch_rng
from fmtutor.data.cases import Case
from fmtutor.data.samples import load_sample
from fmtutor.engine.session import Session
from fmtutor.hub.models import load_shipped, shipped
from fmtutor.paradigms import config_of, paradigm

RESULTS = Path(__file__).parent / "results"
SYSTEMS = ("sam_med3d", "early_prompt")
VOLUME = "abdomen_ct_dicom"
AIM_S = 0.4
"""Click to mask on two cores, embedding kept."""


def network(name: str) -> tuple[nn.Module, str]:
    """Return a shipped network and the sha256 of its weights; an untrained one takes as long."""
    if name in shipped():
        return load_shipped(name)[0], sha256_of(shipped()[name])
    module = paradigm(name)
    torch.manual_seed(0)
    return module.build(module.Config.quick()).eval(), "untrained"


def region_of(model: nn.Module) -> tuple[int, ...]:
    """Return the largest region that a SAM takes; of another network the region that it learnt."""
    config = config_of(model)
    return config.shape.image if hasattr(config, "shape") else config.size


def median_seconds(work: Callable[[int], Any], repeats: int) -> float:
    """Return the median of so many runs; each is given its number."""
    taken = []
    for number in range(repeats):
        began = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def decoding(model: nn.Module, size: Sequence[int], *, repeats: int) -> dict[str, float]:
    """Time the embedding once and the decoder with five clicks and the last mask."""
    draw = torch_rng("benchmarks", "interaction", "region")
    with torch.inference_mode():
        image = torch.rand((1, 1, *size), generator=draw)
        began = time.perf_counter()
        embedding = model.embed(image)  # type: ignore[operator]
        embed_s = time.perf_counter() - began
        points = torch.rand((1, 5, 3), generator=draw) * (torch.tensor(size) - 1)
        prompts = Prompts(points=points.round(), labels=torch.tensor([[1, 0, 1, 1, 0]]))
        low = model.decode(embedding, prompts).low  # type: ignore[operator]
        asked = prompts.with_mask(low)
        decode_s = median_seconds(lambda _: model.decode(embedding, asked), repeats)  # type: ignore[operator]
    return {"embed_s": embed_s, "decode_s": decode_s}


def clicking(
    model: nn.Module, case: Case, size: Sequence[int], *, repeats: int
) -> dict[str, float]:
    """Time whole steps of a session that stays in one region."""
    session = Session(model, case, roi="first_click", size=size)
    middle = [side // 2 for side in case.image.shape]
    moves = rng("benchmarks", "interaction", "clicks").integers(-8, 8, (repeats, 3)) // [1, 1, 2]

    def click(number: int) -> None:
        voxel = [at + int(move) for at, move in zip(middle, moves[number], strict=True)]
        if number and any(voxel == list(c.voxel) for c in session.prompts().clicks):
            voxel[0] += 9 + number
        session.click(voxel)
        session.mask()

    first_s = median_seconds(lambda _: session.click(middle), 1)
    return {"first_click_s": first_s, "click_s": median_seconds(click, repeats)}


def measure(*, repeats: int, case: Case | None = None) -> dict[str, Any]:
    """Measure all systems, each after a run that is not counted."""
    case = case if case is not None else load_sample(VOLUME)
    found: dict[str, Any] = {}
    for name in SYSTEMS:
        model, weights = network(name)
        size = region_of(model)
        clicking(model, case, size, repeats=1)
        row: dict[str, Any] = decoding(model, size, repeats=repeats)
        row |= clicking(model, case, size, repeats=repeats)
        row |= {"region": list(size), "weights": weights, "repeats": repeats}
        found[name] = row
    return found


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of each system, and the aim over a click of SAM-Med3D."""
    keys = ("embed_s", "decode_s", "first_click_s", "click_s")
    values = {f"{name}_{key}": row[key] for name, row in found.items() for key in keys}
    values["aim_over_click"] = AIM_S / found["sam_med3d"]["click_s"]
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def encoder(*, short: bool, threads: int) -> None:
    """Run the encoder's comparison, which writes its own result and prints its own ratios."""
    script = Path(__file__).with_name("encoder.py")
    command = [sys.executable, str(script), "--threads", str(threads)]
    subprocess.run([*command, *(["--short"] if short else [])], check=True)


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="fewer repeats")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", choices=("encoder", "latency"), help="one part; default both")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only != "latency":
        encoder(short=options.short, threads=options.threads)
    if options.only == "encoder":
        return
    load = os.getloadavg()[0]
    found = measure(repeats=7 if options.short else 20)
    result: dict[str, Any] = {
        "question": __doc__.splitlines()[0], "volume": VOLUME, "systems": found,
        "ratios": ratios(found), "peak_mb": process_peak_mb(),
        "machine": machine(), "load_average_before": load,
        "load_average_after": os.getloadavg()[0],
    }  # fmt: skip
    write_json(RESULTS / f"latency{'-short' if options.short else ''}.json", result)
    for name, value in result["ratios"].items():
        print(f"ratio {name} {value}")
    print(f"ratio peak_mb {result['peak_mb']:.0f}")


if __name__ == "__main__":
    main()
