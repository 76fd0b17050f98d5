"""A contract's training, run to its end."""

from collections.abc import Iterable

from jaxtyping import config

from fmtutor.engine.fit import Record

CHECKED_STEPS = 10
"""Enough for each kind of prompt that a step may draw to come up."""


def losses_of(steps: Iterable[Record]) -> list[float]:
    """The losses of a training, of which only the first steps have their shapes checked.

    Later steps repeat them, and checking took over a quarter of the time of these trainings.
    """
    losses: list[float] = []
    try:
        for record in steps:
            losses.append(record.loss)
            config.update("jaxtyping_disable", len(losses) >= CHECKED_STEPS)
    finally:
        config.update("jaxtyping_disable", False)
    return losses
