"""Where the time of a training step goes: its phases by the clock, its operators by torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np
from forms import Batches, network, training
from torch import nn
from torch.profiler import ProfilerActivity, profile

from fmtutor.bench.recipes import Recipe
from fmtutor.bench.training import fit_config
from fmtutor.core.devices import autocast, use_channels_last
from fmtutor.engine.optimise import RunningAverage, adamw
from fmtutor.paradigms import paradigm

PHASES = ("data", "forward", "loss", "backward", "optimiser")


class Clock:
    """Adds up seconds by the name of a phase."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what stands inside."""
        began = perf_counter()
        yield
        self.seconds[name] += perf_counter() - began


def phases(
    recipe: Recipe, batches: Batches, *, repeats: int, warmup: int = 2
) -> dict[str, dict[str, float]]:
    """Time the phases of a step, batches made when they are wanted.

    The steps are those of `fmtutor.engine.fit` (gradient clipping and the running average count
    as optimiser), written out, as the loop itself has no clock inside.

    Returns:
        For each of `PHASES` its median seconds, and its share of the sum of them.
    """
    model, config = use_channels_last(network(recipe, "fast")), fit_config(recipe, seed=0)
    optimizer, step = adamw(model, config), paradigm(recipe.system).step
    average = RunningAverage(model, config.ema_decay) if config.ema_decay else None
    rows = []
    for i in range(warmup + repeats):
        clock = Clock()
        with clock.phase("data"):
            batch = batches(i)
        with clock.phase("loss"), _forward_clock(model, clock), autocast(config.precision, "cpu"):
            loss = step(model, batch)
        clock.seconds["loss"] -= clock.seconds["forward"]
        with clock.phase("backward"):
            loss.backward()
        with clock.phase("optimiser"):
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or float("inf"))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if average is not None:
                average.update(model, i)
        rows.append([clock.seconds[name] for name in PHASES])
    middle = np.median(np.array(rows[warmup:]), axis=0)
    return {
        name: {"wall": float(seconds), "share": float(seconds / middle.sum())}
        for name, seconds in zip(PHASES, middle, strict=True)
    }


@contextmanager
def _forward_clock(model: nn.Module, clock: Clock) -> Iterator[None]:
    """Time the network's forward pass inside of ``step``."""
    began = []
    before = model.register_forward_pre_hook(lambda *_: began.append(perf_counter()))

    def after(*_: Any) -> None:
        clock.seconds["forward"] += perf_counter() - began.pop()

    done = model.register_forward_hook(after)
    yield
    before.remove()
    done.remove()


def operators(
    recipe: Recipe, batches: Batches, *, steps: int, top: int = 10
) -> list[dict[str, Any]]:
    """Profile some steps of the fast form, after one to warm up.

    Returns:
        The dearest operators by their own CPU time: name, share of all, calls a step.
    """
    run = training(recipe, "fast", batches, steps=steps + 2)
    next(run)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in zip(range(steps), run, strict=False):
            pass
    rows = sorted(seen.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return [
        {
            "name": row.key,
            "share": row.self_cpu_time_total / total,
            "calls": row.count / steps,
        }
        for row in rows[:top]
    ]
