"""A contract's training, run to its end."""

from collections.abc import Iterable

from jaxtyping import config

from fmtutor.engine.fit import Record

CHECKED_STEPS = 3


def losses_of(steps: Iterable[Record]) -> list[float]:
    """The losses of a training, of which only the first steps have their shapes checked.

    All steps call the same functions with the same shapes, and checking takes a third of the time.
    """
    losses: list[float] = []
    try:
        for record in steps:
            losses.append(record.loss)
            config.update("jaxtyping_disable", len(losses) >= CHECKED_STEPS)
    finally:
        config.update("jaxtyping_disable", False)
    return losses
