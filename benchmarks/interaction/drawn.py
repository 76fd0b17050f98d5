"""Does a short training of a SAM find out what a click is, by attention alone or by a drawing?

    python benchmarks/interaction/drawn.py            # 3 seeds x 2 forms x 400 steps in 2D
    python benchmarks/interaction/drawn.py --short    # 1 seed, 20 steps; result not kept

SAM tells its decoder of a click by Fourier features of its place, which attention has to match to
the image's. Ours also draws clicks and boxes into the mask prompt (`Shape.drawn`). Both forms train
on the same batches of everyday pictures; after ``EVERY`` steps held-out objects are asked with
clicks in the middle of the largest error. Beside Dice stands how much answers about one picture
differ: 0 says that every click has the same answer.

Result: ``results/drawn.json``.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fmtutor.bench.interactive_training import InteractiveRecipe, recipe_of, stream_of
from fmtutor.bench.machine import machine
from fmtutor.bench.training import fit_config
from fmtutor.core.configs import to_dict
from fmtutor.core.files import write_json
from fmtutor.core.seeds import seed_everything
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, rollout
from fmtutor.engine.fit import fit
from fmtutor.engine.sensitivity import dice_each
from fmtutor.nets.sam import Shape
from fmtutor.paradigms import paradigm

RESULT = Path(__file__).parent / "results" / "drawn.json"
SMALL = Shape(
    image=(64, 64), features=64, depth=2, window=4, global_blocks=(1,), details=True,
    prompt_features=64, decoder_heads=2, decoder_hidden=128, stem=(16, 32),
)  # fmt: skip
"""The small SAM of notebook 09: a step takes a tenth of a second."""
TALK = Plan(rounds=(1, 2), box=0.5, simulators=("centre", "uniform"), gradient="last")
EVERY = 100
CLICKS = 3
HELD_OUT = 10**6
"""Where in the stream the held-out batches begin: no training comes that far."""
BATCHES = 6
FORMS = {"attention alone": 0.0, "drawn too": 2.0}


def recipe_with(drawn: float, steps: int) -> InteractiveRecipe:
    """Return the recipe of a small SAM with a form of clicks; no average hides the course."""
    recipe = recipe_of("sam", steps=steps)
    shape = replace(SMALL, drawn=drawn)
    config = replace(recipe.config, shape=shape, plan=TALK, lr=2e-3, warmup_steps=20)
    return replace(recipe, config=config, ema_decay=None)


def asked(model: nn.Module, batches: list[ObjectBatch]) -> dict[str, Any]:
    """Return Dice after each click, and how far first answers about one picture differ."""
    plan, rows, spread = Plan(rounds=(CLICKS, CLICKS), simulators=("centre",)), [], []
    model.eval()
    with torch.no_grad():
        for batch in batches:
            answers, known = rollout(model, batch, plan), batch.known.flatten()
            masks = [answer.best().logits[:, 0] > 0 for answer in answers]
            rows.append([dice_each(mask, batch.truth[:, 0])[known].mean().item() for mask in masks])
            first = (answers[0].best().logits[:, 0] > 0).float().unflatten(0, (-1, batch.objects))
            spread.append(first.var(1, correction=0).mean().item())
    model.train()
    return {"dice": np.mean(rows, 0).round(4).tolist(), "spread": round(float(np.mean(spread)), 4)}


def course(form: str, seed: int, steps: int) -> Iterator[dict[str, Any]]:
    """Train one form and yield a row each time that it is asked."""
    recipe = recipe_with(FORMS[form], steps)
    seed_everything(seed)
    model = paradigm("sam").build(recipe.config)
    stream = stream_of(recipe, seed=seed)
    held_out = [stream(HELD_OUT + i) for i in range(BATCHES)]
    options = replace(fit_config(recipe, seed=seed), checkpoint_every=10**9)
    for record in fit(model, paradigm("sam").step, stream, options):
        if (record.step + 1) % EVERY == 0 or record.step + 1 == steps:
            yield {"form": form, "seed": seed, "step": record.step + 1, **asked(model, held_out)}


def main() -> None:
    """Train both forms, write the result, print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="20 steps of one seed, not kept")
    options = parser.parse_args()
    steps, seeds = (20, (0,)) if options.short else (400, (0, 1, 2))
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for form in FORMS:
            for row in course(form, seed, steps):
                rows.append(row)
                print(row, flush=True)
    last = [row for row in rows if row["step"] == steps]
    if not options.short:
        recipe = to_dict(recipe_with(FORMS["drawn too"], steps))
        write_json(RESULT, {"question": __doc__.splitlines()[0], "recipe": recipe, "forms": FORMS,
                            "rows": rows, "machine": machine()})  # fmt: skip
    for form in FORMS:
        mine = [row["dice"][-1] for row in last if row["form"] == form]
        print(f"ratio dice_{form.replace(' ', '_')} {np.mean(mine):.3f}")


if __name__ == "__main__":
    main()
