"""Active choice: which volume to annotate next, and where to click next.

**Volumes.** A small network is trained on what is annotated so far; the next volumes are chosen at
*random*, where the network is least sure (*uncertain*: entropy), or to be unlike those annotated
(*diverse*: the farthest from its nearest annotated neighbour). Random is the rival to beat.

**Clicks.** A person looks for the largest *error*, which needs the whole volume to be checked. An
*uncertain* click needs none: the model asks about the place where it is least sure itself, and the
person says inside or outside. A *random* click in the structure's surroundings is the control.

Taught in: 11
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import nn

from fmtutor.bench.annotation_crowd import worth_it
from fmtutor.bench.annotation_training import (
    Training,
    entropy,
    labelled,
    scored,
    thumbnail,
    trained_on,
    true_masks,
)
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.tables import lookup
from fmtutor.data.cases import Case
from fmtutor.data.clicks import Click, centre
from fmtutor.engine.metrics import dice
from fmtutor.engine.regions_of_interest import case_region, resample
from fmtutor.engine.session import Session

Mask = Bool[np.ndarray, "H W D"]
VOLUME_CHOICES = ("random", "uncertain", "diverse")
CLICK_CHOICES = ("error", "uncertain", "random")
UNSEEN_LOGIT = -8.0
"""What the network is taken to say of voxels that it was not shown."""
SMOOTH_MM = 6.0
"""Doubt is averaged over about so much, so that a click lands where there is much of it."""
APART_MM = 9.0
"""The model does not ask twice within this distance."""


def next_volumes(
    how: str,
    model: nn.Module,
    pool: Sequence[Case],
    annotated: Sequence[int],
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Choose volumes of a pool to annotate next.

    Args:
        how: One of `VOLUME_CHOICES`.
        model: Trained on what is annotated; "uncertain" alone asks it.
        pool: All volumes.
        annotated: Positions of those that are annotated.
        count: How many are chosen.
        rng: For "random".

    Raises:
        ValueError: There is no such choice.
    """
    lookup(dict.fromkeys(VOLUME_CHOICES), how, "choice of volumes")
    left = [at for at in range(len(pool)) if at not in annotated]
    if how == "random":
        return [int(at) for at in rng.permutation(left)[:count]]
    if how == "uncertain":
        doubt = {at: entropy(model, pool[at]) for at in left}
        return sorted(left, key=lambda at: -doubt[at])[:count]
    pictures = np.stack([thumbnail(case) for case in pool])
    chosen: list[int] = []
    for _ in range(min(count, len(left))):
        near = (pictures @ pictures[[*annotated, *chosen]].T).max(1)
        chosen.append(min((at for at in left if at not in chosen), key=lambda at: near[at]))
    return chosen


def growing_sets(
    pool: Sequence[Case],
    tests: dict[str, Sequence[Case]],
    training: Training,
    *,
    seed: int,
    start: int = 2,
    rounds: int = 2,
    add: int = 3,
    choices: Sequence[str] = VOLUME_CHOICES,
) -> list[dict[str, Any]]:
    """Annotate, train, choose, annotate ...: a row for each choice, round, test set and structure.

    All choices start from the same volumes and the same network, trained anew in each round; the
    masks are the true ones, so that the choice alone matters.

    Args:
        pool: Volumes that may be annotated.
        tests: Name to volumes that are scored after each round.
        training: The small network; its steps are those of a round.
        seed: Of the first volumes, the random choice, weights and patches.
        start: Volumes annotated at the start.
        rounds: How often volumes are added.
        add: How many each time.
        choices: Those of `VOLUME_CHOICES` to compare.
    """
    ready = [labelled(case, true_masks(case, training.structures), training) for case in pool]
    first = [int(at) for at in rng_of("start", seed).permutation(len(pool))[:start]]
    base = trained_on([ready[at] for at in first], training, seed=seed)
    about = {"seed": seed, "round": 0, "volumes": start, "names": [pool[at].name for at in first]}
    begin = [{**about, "tests": name, **row} for name, cases in tests.items()
             for row in scored(base, cases, training)]  # fmt: skip
    rows = []
    for how in choices:
        rows += [{"choice": how, **row} for row in begin]
        annotated, model = list(first), base
        for number in range(1, rounds + 1):
            rng = rng_of("choice", how, seed, number)
            annotated += next_volumes(how, model, pool, annotated, add, rng)
            model = trained_on([ready[at] for at in annotated], training, seed=seed)
            about = {"choice": how, "seed": seed, "round": number, "volumes": len(annotated),
                     "names": [pool[at].name for at in annotated]}  # fmt: skip
            rows += [{**about, "tests": name, **row} for name, cases in tests.items()
                     for row in scored(model, cases, training)]  # fmt: skip
    return rows


def logits_of(session: Session) -> Float[np.ndarray, "H W D"]:
    """Return what the network said last of each voxel of the case; `UNSEEN_LOGIT` elsewhere."""
    shape = tuple(session.case.image.shape)
    said = torch.full(shape, UNSEEN_LOGIT)
    for answer in session.prompts().answers:
        source = answer.region.with_shape(answer.low.shape)
        here = resample(answer.low.float(), source, case_region(shape), fill=float("nan"))
        said = torch.where(here.isnan(), said, here)
    return said.numpy()


def doubtful_voxel(
    logits: Float[np.ndarray, "H W D"],
    taken: Sequence[Sequence[int]],
    spacing_mm: Sequence[float],
) -> tuple[int, ...]:
    """Return the voxel with the most doubt around it, away from those already asked about.

    Doubt is p (1 - p), smoothed over `SMOOTH_MM`.
    """
    p = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    doubt = ndimage.gaussian_filter(p * (1 - p), [SMOOTH_MM / edge for edge in spacing_mm])
    for point in taken:
        far = [np.arange(n) * mm for n, mm in zip(logits.shape, spacing_mm, strict=True)]
        h, w, d = (line - at * mm for line, at, mm in zip(far, point, spacing_mm, strict=True))
        near = h[:, None, None] ** 2 + w[:, None] ** 2 + d**2 < APART_MM**2
        doubt[near] = -1.0
    return tuple(int(at) for at in np.unravel_index(int(doubt.argmax()), doubt.shape))


def clicked(
    session: Session, truth: Mask, how: str, *, clicks: int, rng: np.random.Generator
) -> list[float]:
    """Return Dice after each click, the first of which is the truth's middle for every choice.

    Args:
        session: Fresh, about the case of ``truth``.
        truth: The structure.
        how: One of `CLICK_CHOICES`.
        clicks: How many.
        rng: For "random".

    Raises:
        ValueError: There is no such choice.
    """
    lookup(dict.fromkeys(CLICK_CHOICES), how, "choice of clicks")
    spacing = session.case.spacing_mm
    taken: dict[tuple[int, ...], bool] = {}
    scores: list[float] = []
    ask: dict[str, Callable[[], Click | None]] = {
        "error": lambda: centre(truth, session.mask(), rng, spacing_mm=spacing),
        "uncertain": lambda: _answered(
            doubtful_voxel(logits_of(session), list(taken), spacing), truth
        ),
        "random": lambda: _answered(_nearby(truth, rng), truth),
    }
    for number in range(clicks):
        first = centre(truth, np.zeros_like(truth), rng, spacing_mm=spacing)
        click = first if number == 0 else ask[how]()
        if click is not None and taken.setdefault(click.point, click.positive) == click.positive:
            session.click(click.point, click.positive)
        scores.append(dice(session.mask(), truth))
    return scores


def click_rows(
    open_session: Callable[[Case], Session],
    cases: Sequence[Case],
    structures: Sequence[str],
    *,
    clicks: int,
    choices: Sequence[str] = CLICK_CHOICES,
) -> list[dict[str, Any]]:
    """Return a row for each case, structure and choice: Dice after 1, 2, ... clicks."""
    rows = []
    for case in cases:
        for structure, truth in worth_it(case, structures).items():
            for how in choices:
                rng = rng_of("clicked", case.name, structure, how)
                scores = clicked(open_session(case), truth, how, clicks=clicks, rng=rng)
                rows.append(
                    {"case": case.name, "structure": structure, "choice": how, "dice": scores}
                )
    return rows


def _answered(point: tuple[int, ...], truth: Mask) -> Click:
    return Click(point, bool(truth[point]))


def _nearby(truth: Mask, rng: np.random.Generator) -> tuple[int, ...]:
    """Return any voxel of the structure's box."""
    at = np.argwhere(truth)
    low, high = at.min(0), at.max(0)
    return tuple(int(rng.integers(a, b + 1)) for a, b in zip(low, high, strict=True))
