"""Simulated clicks: where a user would correct an answer, if the truth is known.

====================  =====================================================================
simulator             the next click
====================  =====================================================================
``uniform``           any wrong voxel, all equally likely (SAM, SAM-Med2D)
``foreground_first``  any voxel of the structure until the answer holds one of them, then as
                      ``uniform`` (SAM-Med3D); from an empty answer the two are one
``centre``            the innermost voxel of the largest error (CVPR 2025 challenge; RITM takes
                      the innermost of all errors)
``human``             ``centre`` with the faults of a `Clicker`
====================  =====================================================================

A wrong voxel is one that truth and answer disagree on: missing (a positive click) or too much (a
negative one). Scores after clicks of different simulators are not comparable: results name theirs.
All work on masks of any dimension, and none draws from a global generator.

Source: Kirillov et al., Segment Anything, 2023, section 3; Wang et al., SAM-Med3D, 2024; Sofiiuk et
al., Reviving Iterative Training with Mask Guidance (RITM), 2022, section 3.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from fmtutor.core.tables import lookup

Mask = Bool[np.ndarray, "..."]


@dataclass(frozen=True)
class Click:
    """One click: a voxel, and whether it says inside (positive) or outside."""

    point: tuple[int, ...]
    positive: bool


@dataclass(frozen=True, kw_only=True)
class Clicker:
    """How well a person clicks; the defaults are our guess, not measured on people."""

    jitter_mm: float = 2.0
    """Standard deviation along each axis of where the click lands."""
    slip: float = 0.02
    """Chance of the wrong sign."""
    lazy: float = 0.1
    """Chance to click any wrong voxel instead of the middle of a large error."""
    second: float = 0.2
    """Chance to correct the second largest error, where there are two."""

    def __post_init__(self) -> None:
        chances = {name: getattr(self, name) for name in ("slip", "lazy", "second")}
        if not all(0 <= chance <= 1 for chance in chances.values()):
            raise ValueError(f"chances of a clicker lie in [0, 1], got {chances}; give shares.")
        if not 0 <= self.jitter_mm < float("inf"):
            raise ValueError(f"jitter_mm is 0 or a length, got {self.jitter_mm}; 0 is exact.")


@dataclass(frozen=True, eq=False)
class Component:
    """A connected error: its voxels within the box that holds it."""

    box: tuple[slice, ...]
    mask: Mask
    size: int
    positive: bool
    """Whether it is missing from the answer (and a positive click corrects it)."""


def errors(truth: Mask, answer: Mask, *, most: int | None = None) -> list[Component]:
    """Return the connected errors, the largest first; voxels that share a corner are connected.

    Args:
        truth: The structure.
        answer: What a system takes for it.
        most: Return so many at most.

    Raises:
        ValueError: The shapes differ.
    """
    _check(truth, answer)
    found: list[Component] = []
    for wrong, positive in ((truth & ~answer, True), (answer & ~truth, False)):
        box = _box(wrong)
        if box is None:
            continue
        labels, _ = ndimage.label(wrong[box], ndimage.generate_binary_structure(wrong.ndim, 99))
        sizes = np.bincount(labels.ravel())[1:]
        boxes = ndimage.find_objects(labels)
        for at in np.argsort(-sizes, kind="stable")[:most]:
            inner = boxes[at]
            moved = tuple(
                slice(o.start + i.start, o.start + i.stop) for o, i in zip(box, inner, strict=True)
            )
            found.append(Component(moved, labels[inner] == at + 1, int(sizes[at]), positive))
    return sorted(found, key=lambda component: -component.size)[:most]


def innermost(component: Component, *, spacing_mm: Sequence[float] | None = None) -> Click:
    """Return the click on the voxel farthest from the border; the image's edge is border too.

    Args:
        component: The error to click into.
        spacing_mm: Edge lengths of a voxel; None takes it for a cube.
    """
    padded = np.pad(component.mask, 1)  # a layer outside, so that the edge of the box is border
    depth = ndimage.distance_transform_edt(padded, sampling=spacing_mm)
    deepest = np.unravel_index(int(depth.argmax()), depth.shape)
    point = tuple(int(at) - 1 + s.start for at, s in zip(deepest, component.box, strict=True))
    return Click(point, component.positive)


def uniform(
    truth: Mask,
    answer: Mask,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] | None = None,
) -> Click | None:
    """Click any wrong voxel; None if there is none. ``spacing_mm`` changes nothing."""
    _check(truth, answer)
    return _any_voxel(truth != answer, truth, rng)


def foreground_first(
    truth: Mask,
    answer: Mask,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] | None = None,
) -> Click | None:
    """Click into the structure while the answer misses all of it, then any wrong voxel."""
    _check(truth, answer)
    missed = truth.any() and not (truth & answer).any()
    return _any_voxel(truth if missed else truth != answer, truth, rng)


def centre(
    truth: Mask,
    answer: Mask,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] | None = None,
) -> Click | None:
    """Click the innermost voxel of the largest error, the first of equals; ``rng`` is not used."""
    largest = errors(truth, answer, most=1)
    return innermost(largest[0], spacing_mm=spacing_mm) if largest else None


def human(
    truth: Mask,
    answer: Mask,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] | None = None,
    clicker: Clicker | None = None,
) -> Click | None:
    """Click as a person of some skill would: near the middle of a large error, mostly.

    The sign is the one that the person means for the error aimed at, even where the click lands
    beside it. A click stays on the grid.
    """
    clicker = clicker or Clicker()
    slipped, lazy, second = rng.random(3) < (clicker.slip, clicker.lazy, clicker.second)
    largest = errors(truth, answer, most=2)
    if not largest:
        return None
    aim = innermost(largest[int(second and len(largest) > 1)], spacing_mm=spacing_mm)
    if lazy:
        aim = _any_voxel(truth != answer, truth, rng) or aim
    edges = np.ones(truth.ndim) if spacing_mm is None else np.asarray(spacing_mm, dtype=float)
    landed = np.rint(aim.point + rng.normal(size=truth.ndim) * clicker.jitter_mm / edges)
    point = np.clip(landed, 0, np.array(truth.shape) - 1)
    return Click(tuple(int(at) for at in point), aim.positive != bool(slipped))


SIMULATORS: dict[str, Callable[..., Click | None]] = {
    "centre": centre,
    "foreground_first": foreground_first,
    "human": human,
    "uniform": uniform,
}
"""Each takes ``(truth, answer, rng, *, spacing_mm=None)`` and returns a click, or None if the
answer is right."""


def skilled(clicker: Clicker) -> Callable[..., Click | None]:
    """Return the ``human`` simulator of another skill."""
    return partial(human, clicker=clicker)


def simulate(
    name: str,
    truth: Mask,
    answer: Mask,
    rng: np.random.Generator,
    *,
    spacing_mm: Sequence[float] | None = None,
) -> Click | None:
    """Return the next click of a simulator of `SIMULATORS`; None if the answer is right.

    Args:
        name: Of the simulator.
        truth: The structure; it may be empty, or everything.
        answer: What a system takes for it, of equal shape.
        rng: All chance comes from here.
        spacing_mm: Edge lengths of a voxel; None takes it for a cube of 1 mm.

    Raises:
        ValueError: The name is unknown, or the shapes differ.
    """
    simulator = lookup(SIMULATORS, name, "click simulator")
    return simulator(truth, answer, rng, spacing_mm=spacing_mm)


def _any_voxel(where: Mask, truth: Mask, rng: np.random.Generator) -> Click | None:
    voxels = np.flatnonzero(where)
    if not len(voxels):
        return None
    at = np.unravel_index(int(voxels[rng.integers(len(voxels))]), where.shape)
    return Click(tuple(int(index) for index in at), bool(truth[at]))


def _box(mask: Mask) -> tuple[slice, ...] | None:
    """Return the tight box of a mask; None for an empty one."""
    found = []
    for axis in range(mask.ndim):
        line = np.flatnonzero(
            mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis))
        )
        if not len(line):
            return None
        found.append(slice(int(line[0]), int(line[-1]) + 1))
    return tuple(found)


def _check(truth: Mask, answer: Mask) -> None:
    if truth.shape != answer.shape:
        raise ValueError(
            f"truth and answer share a grid, got {truth.shape} and {answer.shape}; resample one."
        )
    if truth.dtype != bool or answer.dtype != bool:
        raise ValueError(
            f"truth and answer are boolean, got {truth.dtype} and {answer.dtype}; threshold them."
        )
