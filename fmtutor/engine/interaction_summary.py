"""Numbers from curves of clicks: what a Dice costs, how high a curve lies, means of both.

=====================  =========================================================================
number                 from a curve
=====================  =========================================================================
`clicks_to`            clicks to reach a Dice; the protocol's limit where it is never reached
                       (RITM counts so, on IoU), so `Summary.failed` has to stand beside it
`area`                 mean height of the curve, trapezoids from no click to the last, in [0, 1]
Dice at n clicks       what the talk's tables compare
=====================  =========================================================================

Source: Sofiiuk et al., Reviving Iterative Training with Mask Guidance (RITM), 2022, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmtutor.core.configs import to_dict
from fmtutor.engine.interaction import Curve, Protocol
from fmtutor.engine.metrics import Interval, bootstrap_mean


def clicks_to(curve: Curve, threshold: float) -> int:
    """Return how many clicks reached a Dice; the limit if none did (see `reached`)."""
    hits = np.flatnonzero(np.array(curve.dice) >= threshold)
    return int(hits[0]) if len(hits) else len(curve.dice) - 1


def reached(curve: Curve, threshold: float) -> bool:
    """Return whether a curve ever reached a Dice."""
    return max(curve.dice) >= threshold


def area(curve: Curve) -> float:
    """Return the mean height of a curve between no click and the last, in [0, 1]."""
    return float(np.trapezoid(curve.dice)) / (len(curve.dice) - 1)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Means over cases with their bootstrap intervals, and the protocol they are of."""

    protocol: Protocol
    dice: tuple[Interval, ...]
    """After 0, 1, 2 ... clicks."""
    area: Interval
    clicks_to: tuple[Interval, ...]
    """For each threshold of the protocol."""
    failed: tuple[float, ...]
    """Share of cases that never reached the threshold; they stand in ``clicks_to`` as the limit."""
    seconds: float
    """Median of all clicks answered; NaN where none was."""

    def record(self) -> dict[str, Any]:
        """Return plain values for a result file: the protocol, then every number.

        The fields of each interval are `fmtutor.engine.metrics.Interval`'s.
        """
        plain = to_dict(self)
        return plain | {"seconds": None if np.isnan(self.seconds) else self.seconds}


def summarise(curves: Sequence[Curve], protocol: Protocol, *, seed: int = 0) -> Summary:
    """Return means over curves, one for each structure of each case.

    Args:
        curves: All of this protocol.
        protocol: What they were made by.
        seed: Of the bootstrap.

    Raises:
        ValueError: There is no curve, or one is not of the protocol's length.
    """
    lengths = sorted({len(curve.dice) - 1 for curve in curves})
    if lengths != [protocol.clicks]:
        raise ValueError(
            f"curves of this protocol have {protocol.clicks} clicks, got {lengths}; summarise "
            "those of one protocol."
        )
    heights = np.array([curve.dice for curve in curves])
    seconds = [value for curve in curves for value in curve.seconds]
    return Summary(
        protocol=protocol,
        dice=tuple(bootstrap_mean(column.tolist(), seed) for column in heights.T),
        area=bootstrap_mean([area(curve) for curve in curves], seed),
        clicks_to=tuple(
            bootstrap_mean([float(clicks_to(curve, aim)) for curve in curves], seed)
            for aim in protocol.thresholds
        ),
        failed=tuple(
            float(np.mean([not reached(curve, aim) for curve in curves]))
            for aim in protocol.thresholds
        ),
        seconds=float(np.median(seconds)) if seconds else float("nan"),
    )
