"""How good a system is at being corrected: the protocol of the clicks, and the curves it gives.

A curve is the Dice before any click, after one, after two ... Simulated people click where the
answer is wrong (`fmtutor.data.clicks`). Numbers hang on who clicks, how often, and on what the
system was given besides; a `Protocol` states all of it, and travels with the results.
`fmtutor.engine.interaction_summary` makes numbers of curves.

Source: Sofiiuk et al., Reviving Iterative Training with Mask Guidance (RITM), 2022, section 4; the
CVPR 2025 challenge "Foundation models for interactive 3D biomedical image segmentation".
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, runtime_checkable
from typing import Protocol as Interface

import numpy as np

from fmtutor.core.ask import Clicks
from fmtutor.core.prompt_checks import MOST_CLICKS
from fmtutor.core.tables import lookup
from fmtutor.data.clicks import SIMULATORS, Click, Clicker, simulate, skilled
from fmtutor.engine.metrics import dice

Answerer = Callable[[Clicks], np.ndarray]
"""Takes all clicks so far, the newest last, and returns a boolean mask (H, W, D)."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Who clicks how often, and what the system knows besides; part of every result.

    Raises:
        ValueError: The simulator is unknown, or a number is out of its range.
    """

    simulator: str = "centre"
    """Of `fmtutor.data.clicks.SIMULATORS`; curves of different ones are not comparable."""
    clicker: Clicker = field(default_factory=Clicker)
    """Skill of the simulator "human"; the others do not look at it."""
    clicks: int = 10
    """The most clicks a structure gets."""
    thresholds: tuple[float, ...] = (0.8, 0.9)
    """Dice to reach, for `fmtutor.engine.interaction_summary.clicks_to`."""
    oracle: bool = False
    """Whether what the system looks at was found with the label, which a user has not."""
    start: str = "nothing"
    """What the curve starts from, in words: nothing, or the answer to a box or a text."""
    millimetres: bool = True
    """Whether the middle of an error is found in mm; otherwise in voxels."""

    def __post_init__(self) -> None:
        lookup(SIMULATORS, self.simulator, "click simulator")
        if not 1 <= self.clicks <= MOST_CLICKS:
            raise ValueError(f"a protocol has 1 to {MOST_CLICKS} clicks, got {self.clicks}.")
        if not self.thresholds or not all(0 < aim <= 1 for aim in self.thresholds):
            raise ValueError(f"thresholds are Dice in (0, 1], got {self.thresholds}; 0.9 is usual.")

    def next_click(
        self,
        truth: np.ndarray,
        answer: np.ndarray,
        rng: np.random.Generator,
        spacing_mm: Sequence[float] | None,
    ) -> Click | None:
        """Return the next click of this protocol; None if the answer is right."""
        spacing_mm = spacing_mm if self.millimetres else None
        if self.simulator == "human":
            return skilled(self.clicker)(truth, answer, rng, spacing_mm=spacing_mm)
        return simulate(self.simulator, truth, answer, rng, spacing_mm=spacing_mm)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How one structure of one case came right."""

    dice: tuple[float, ...]
    """Before any click, after one, ...: one more than the protocol's clicks."""
    seconds: tuple[float, ...]
    """Of the system, for each click that it answered; the simulator's time is left out."""
    clicks: tuple[Click, ...]
    """Those made; fewer than allowed where nothing was left to correct."""
    refused: int = 0
    """Clicks on a voxel clicked before with the other sign, which no session takes. They count."""


def run_clicks(
    answer: Answerer,
    truth: np.ndarray,
    protocol: Protocol,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] | None = None,
    start: np.ndarray | None = None,
) -> Curve:
    """Click until the answer is right, or the protocol's clicks are made.

    Args:
        answer: The system; it never sees the truth.
        truth: The structure, boolean (H, W, D), at least a voxel.
        protocol: Who clicks how often.
        rng: All chance comes from here; equal ones for all systems on a case.
        spacing_mm: Voxel edges along H, W, D; None takes voxels for cubes of 1 mm.
        start: The answer before the first click, as ``protocol.start`` says; None is empty.

    Raises:
        ValueError: The truth is empty, or an answer is no boolean mask of its shape.
    """
    if not truth.any():
        raise ValueError("clicks correct a structure, got an empty truth; leave the case out.")
    now = np.zeros_like(truth) if start is None else _mask(start, truth)
    scores, seconds = [dice(now, truth)], []
    made: list[Click] = []
    asked: list[Click] = []
    taken: dict[tuple[int, ...], bool] = {}
    while len(made) < protocol.clicks:
        click = protocol.next_click(truth, now, rng, spacing_mm)
        if click is None:
            break
        made.append(click)
        if taken.setdefault(click.point, click.positive) == click.positive:
            asked.append(click)
            begin = time.perf_counter()
            now = answer(as_asked(asked))
            seconds.append(time.perf_counter() - begin)
            now = _mask(now, truth)
        scores.append(dice(now, truth))
    scores += [scores[-1]] * (protocol.clicks + 1 - len(scores))
    refused = len(made) - len(asked)
    return Curve(dice=tuple(scores), seconds=tuple(seconds), clicks=tuple(made), refused=refused)


@runtime_checkable
class Clickable(Interface):
    """What `fmtutor.engine.session.Session` offers to a hand that clicks."""

    def click(self, voxel: Sequence[int], positive: bool = True) -> Any:
        """Answer one click more."""

    def mask(self) -> np.ndarray:
        """Return the mask now."""


def through(session: Clickable) -> Answerer:
    """Return a session as an answerer: it remembers, so each call hands it the newest click.

    The session starts fresh with each curve; a box or a text given to it before is the start.
    """

    def answer(clicks: Clicks) -> np.ndarray:
        session.click(clicks.points_vox[-1], clicks.positive[-1])
        return session.mask()

    return answer


def as_asked(clicks: Sequence[Click]) -> Clicks:
    """Return simulated clicks as a person's ask."""
    points = tuple(click.point for click in clicks)
    return Clicks(points, tuple(click.positive for click in clicks))  # type: ignore[arg-type]


def _mask(answer: np.ndarray, truth: np.ndarray) -> np.ndarray:
    if answer.shape != truth.shape or answer.dtype != bool:
        raise ValueError(
            f"an answer is a boolean mask {truth.shape}, got {answer.dtype} {answer.shape}; "
            "threshold it, and bring it back onto the case's grid."
        )
    return answer
