"""How fast is training, what does it hold in memory, and where does its time go?

Two recipes: ``masked``, the comparison's network (`fmtutor.bench.comparison`), and ``organs``, the
shipped model's (`fmtutor.bench.training`), each in the forms of ``forms.py``:

- seconds of a whole step, wall and CPU, the forms in turn; of the loss alone; of a norm alone;
- steps with batches made ahead and made when wanted; batches alone (the data's throughput);
- peak memory of a fresh process for each form;
- phases of a step (data, forward, loss, backward, optimiser) and torch's dearest operators.

    python benchmarks/training/run.py            # 15 repeats, all forms: some 5 minutes
    python benchmarks/training/run.py --short    # 5 repeats: under 3 minutes on 2 cores

Results: ``results/training.json``, or ``results/training-short.json``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from forms import (
    FORMS,
    Batches,
    Seconds,
    in_turn,
    network,
    plain_partial_loss,
    prefetch_in_turn,
    training,
)
from phases import operators, phases
from torch import nn

from fmtutor.bench.comparison import SYSTEMS
from fmtutor.bench.machine import machine, process_peak_mb
from fmtutor.bench.recipes import RECIPES, Recipe
from fmtutor.bench.training import described, stream_of
from fmtutor.core.files import write_json
from fmtutor.losses.partial import partial_loss
from fmtutor.nets.norms import InstanceNorm

RESULTS = Path(__file__).parent / "results"
MADE: dict[str, Callable[[], Recipe]] = {
    "masked": SYSTEMS["masked"],
    "organs": lambda: RECIPES["organs"]("organs", "quick"),
}
PATIENTS = 2
"""Virtual patients per centre; more would only take longer to grow on a machine without them."""
BATCHES = 6
"""Batches that the forms share, made before the clock starts."""
SHORT_PEAKS = ("fast", "fp32")


def recipe_of(name: str, tiny: bool) -> Recipe:
    """Return a recipe with few patients; ``tiny`` is for trying this script out."""
    recipe = replace(MADE[name](), patients=PATIENTS)
    if not tiny:
        return recipe
    small = replace(recipe.config, channels=(4, 8, 8), patch=(32, 32, 16))
    return replace(recipe, config=small)


def forms_of_a_step(recipe: Recipe, batches: Batches, *, repeats: int) -> dict[str, Seconds]:
    """Time one optimiser step in every form, in turn."""
    runs = {
        form: training(recipe, form, batches, steps=repeats + 3) for form in FORMS
    }  # one step more than is asked for: a run that ends would do its last rites inside the clock
    works = {form: (lambda run=run: next(run)) for form, run in runs.items()}
    return in_turn(works, repeats=repeats)


def forms_of_the_loss(recipe: Recipe, batches: Batches, *, repeats: int) -> dict[str, Seconds]:
    """Time the loss alone, forward and backward, on logits that lie as the network leaves them."""
    batch, config = batches(0), recipe.config
    logits = torch.randn(batch.target.shape)
    logits = logits.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    weights = {"bce_weight": config.bce_weight, "present_only": config.present_only}

    def fast() -> None:
        loss = partial_loss(
            logits, batch.target, batch.known, reduction="sample_mean", smooth="both", **weights
        )
        torch.autograd.grad(loss, logits)

    def plain() -> None:
        loss = plain_partial_loss(logits, batch.target, batch.known, **weights)
        torch.autograd.grad(loss, logits)

    return in_turn({"fast": fast, "plain": plain}, repeats=repeats)


def forms_of_the_norm(recipe: Recipe, batches: Batches, *, repeats: int) -> dict[str, Seconds]:
    """Time the network's first instance norm alone, forward and backward, bf16, channels-last."""
    shape = first_norm_shape(network(recipe, "fast"), batches(0).image)
    channels = shape[1]
    image = torch.randn(shape, dtype=torch.bfloat16)
    image = image.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    layers = {"fast": InstanceNorm(channels), "torch": nn.InstanceNorm3d(channels, affine=True)}
    gradient = torch.randn_like(image)

    def work(layer: nn.Module) -> None:
        torch.autograd.grad(layer(image), image, gradient)

    works = {name: (lambda layer=layer: work(layer)) for name, layer in layers.items()}
    return in_turn(works, repeats=repeats)


def first_norm_shape(model: nn.Module, image: torch.Tensor) -> tuple[int, ...]:
    """Return the shape that reaches the first instance norm: the largest of them all."""
    shapes: list[tuple[int, ...]] = []
    norm = next(part for part in model.modules() if isinstance(part, InstanceNorm))
    hook = norm.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))
    with torch.no_grad():
        model(image)
    hook.remove()
    return tuple(shapes[0])


def throughput(recipe: Recipe, batches: Batches, *, repeats: int) -> dict[str, float]:
    """Time making batches whose cases are in memory already."""
    position = iter(range(BATCHES, 10**9))
    seconds = in_turn({"batch": lambda: batches(next(position))}, repeats=3 * repeats)["batch"]
    voxels = float(torch.tensor(recipe.config.patch).prod()) * recipe.config.batch
    return {
        "batch_wall": seconds.wall,
        "batch_cpu": seconds.cpu,
        "batches_per_second": 1 / seconds.wall,
        "megavoxels_per_second": voxels / seconds.wall / 1e6,
    }


def peak_mb(name: str, form: str, *, tiny: bool) -> dict[str, float]:
    """Run three steps of a form in a fresh process."""
    command = [sys.executable, __file__, "--peak", name, form]
    command += ["--tiny"] if tiny else []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_peak(name: str, form: str, *, tiny: bool) -> None:
    """Print largest resident memory before training and after three steps (the child's part)."""
    recipe = recipe_of(name, tiny)
    batch = stream_of(recipe, seed=0)(0)
    before = process_peak_mb()
    for _ in training(recipe, form, lambda _: batch, steps=3):
        pass
    after = process_peak_mb()
    print(json.dumps({"before_training": before, "peak": after}))


def measure(name: str, *, short: bool, tiny: bool) -> dict[str, Any]:
    """Measure one recipe."""
    recipe, repeats = recipe_of(name, tiny), 5 if short else 15
    peaks = ("fast",) if tiny else SHORT_PEAKS if short else tuple(FORMS)
    stream = stream_of(recipe, seed=0)
    began = time.perf_counter()
    ready = [stream(position) for position in range(BATCHES)]
    loading = time.perf_counter() - began

    def batches(position: int) -> Any:
        return ready[position % BATCHES]

    warm = [stream(position) for position in range(BATCHES, 4 * BATCHES)]  # all cases in memory
    steps = forms_of_a_step(recipe, batches, repeats=repeats)
    model = network(recipe, "fast")
    return {
        "recipe": described(recipe, 0),
        "parameters": sum(p.numel() for p in model.parameters()),
        "step": named(steps),
        "steps_per_second": 1 / steps["fast"].wall,
        "loss": named(forms_of_the_loss(recipe, batches, repeats=repeats)),
        "norm": named(forms_of_the_norm(recipe, batches, repeats=repeats)),
        "prefetch": named(prefetch_in_turn(recipe, stream, blocks=2 if short else 5, steps=4)),
        "data": {
            **throughput(recipe, stream, repeats=repeats),
            "first_batches_wall": loading / BATCHES,
            "known_share": float(torch.cat([b.known for b in warm]).float().mean()),
        },
        "phases": phases(recipe, stream, repeats=repeats),
        "operators": operators(recipe, batches, steps=2 if short else 5),
        "peak_mb": {form: peak_mb(name, form, tiny=tiny) for form in peaks},
    }


def named(found: dict[str, Seconds]) -> dict[str, dict[str, float]]:
    """Return measurements as plain JSON values."""
    return {name: asdict(seconds) for name, seconds in found.items()}


def ratios(name: str, found: dict[str, Any]) -> dict[str, float]:
    """Return what the fast forms save, as plain over fast."""
    step, peak = found["step"], found["peak_mb"]
    pairs = {f"step_{form}_over_fast": (step[form], step["fast"]) for form in FORMS}
    pairs["loss_plain_over_fast"] = (found["loss"]["plain"], found["loss"]["fast"])
    pairs["norm_torch_over_fast"] = (found["norm"]["torch"], found["norm"]["fast"])
    prefetch = found["prefetch"]
    pairs["step_no_prefetch_over_prefetch"] = (prefetch["no_prefetch"], prefetch["prefetch"])
    del pairs["step_fast_over_fast"]
    values = {
        f"{name}_{what}_{kind}": plain[kind] / fast[kind]
        for what, (plain, fast) in pairs.items()
        for kind in ("wall", "cpu")
    }
    for form in set(peak) - {"fast"}:
        values[f"{name}_peak_{form}_over_fast"] = peak[form]["peak"] / peak["fast"]["peak"]
    return {key: round(values[key], 4) for key in sorted(values)}


def report(result: dict[str, Any]) -> None:
    """Print the measured values; the ratios are the last lines."""
    for name, found in result["recipes"].items():
        print(f"{name}: {found['parameters']} parameters, {found['data']['known_share']:.2f} known")
        print(f"{name} steps_per_second {found['steps_per_second']:.2f}")
        print(f"{name} batches_per_second {found['data']['batches_per_second']:.2f}")
        for form, seconds in found["step"].items():
            peak = found["peak_mb"].get(form, {}).get("peak")
            memory = f", peak {peak:.0f} MB" if peak else ""
            print(
                f"{name} step {form}: {seconds['wall']:.3f} s, CPU {seconds['cpu']:.3f} s{memory}"
            )
        shares = "  ".join(f"{k} {v['share']:.1%}" for k, v in found["phases"].items())
        print(f"{name} phases: {shares}")
        for row in found["operators"]:
            print(f"{name} operator {row['name']}: {row['share']:.1%}, {row['calls']:.0f} a step")
    for key, value in result["ratios"].items():
        print(f"ratio {key} {value}")


def main() -> None:
    """Measure, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="5 repeats, under 3 minutes")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--tiny", action="store_true", help="toy sizes, nothing written")
    parser.add_argument("--peak", nargs=2, metavar=("RECIPE", "FORM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print_peak(*options.peak, tiny=options.tiny)
        return
    began, load = time.perf_counter(), os.getloadavg()[0]
    found = {name: measure(name, short=options.short, tiny=options.tiny) for name in MADE}
    result = {
        "question": __doc__.splitlines()[0],
        "forms": FORMS,
        "recipes": found,
        "ratios": {k: v for name in found for k, v in ratios(name, found[name]).items()},
        "machine": machine(),
        "load_average_before": load,
        "seconds": time.perf_counter() - began,
    }
    if not options.tiny:
        name = "training-short.json" if options.short else "training.json"
        write_json(RESULTS / name, result)
    report(result)


if __name__ == "__main__":
    main()
