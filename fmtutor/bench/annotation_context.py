"""A data set annotated image by image: does each finished image save clicks on the next?

Slices of one structure, one of each patient, come one after the other. Every image ends the same
way: a promptable 2D network is clicked until Dice reaches the aim, or the clicks are spent. What
differs is where it starts:

============  ===================================================================================
start         the first answer
============  ===================================================================================
``growing``   of an in-context network, whose support is every image finished so far
``fixed``     of the same network, whose support stays the first image
``afresh``    none: the first click
============  ===================================================================================

That is the idea of MultiverSeg, made of two networks that know nothing of each other: the
in-context network sees no clicks, and the promptable one sees no examples but is shown the first
answer as its mask. The very first image is drawn by hand and counts for nobody.

Source: Wong et al., "MultiverSeg", ICCV 2025. Taught in: 11
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import nn

from fmtutor.core.ask import Support
from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.tables import lookup
from fmtutor.data.cases import Case
from fmtutor.data.clicks import Clicker, human
from fmtutor.data.task_bank import Task, TaskBank
from fmtutor.data.transforms import HU_WINDOW
from fmtutor.engine.growing_context import segment_dataset
from fmtutor.engine.metrics import dice
from fmtutor.engine.session import Session

Plane = Float[np.ndarray, "H W"]
PlaneMask = Bool[np.ndarray, "H W"]
STARTS = ("growing", "fixed", "afresh")
AIM, MOST = 0.7, 10
"""Dice at which an image is finished, and the most clicks that it gets. MultiverSeg asks for 0.9,
which our small 2D network reaches on no data set within ten clicks: nothing could be saved."""
PIXEL_MM = 6.0
"""Edge of a pixel of the bank's squares, about."""
STEADY = Clicker(jitter_mm=PIXEL_MM / 2, slip=0.0, lazy=0.0, second=0.0)
"""Clicks near the middle of the largest error: what differs is the start, not the hand."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Finished:
    """One image of the data set, done."""

    mask: PlaneMask
    clicks: int
    before: float
    """Dice of the first answer; 0 where there was none."""
    dice: float
    """At the end."""


Finish = Callable[[int, PlaneMask | None], Finished]
"""A person: takes the number of an image and its first answer, returns it finished."""


def data_set(
    bank: TaskBank, task: Task, *, most: int, seed: int
) -> tuple[list[Plane], list[PlaneMask]]:
    """Return images in [0, 1] and masks of a task, a slice of each patient, shuffled."""
    rng = rng_of("data set", task.name, seed)
    rows, chosen = bank.rows[task], []
    for patient in rng.permutation(np.unique(bank.patient[rows])):
        chosen.append(int(rng.choice(rows[bank.patient[rows] == patient])))
    images, masks = bank.pairs(task, np.array(chosen[:most]))
    return list(images[:, 0].numpy()), list(masks[:, 0].numpy() > 0.5)


def person(
    model: nn.Module, images: Sequence[Plane], truths: Sequence[PlaneMask], *, seed: int
) -> Finish:
    """Return someone who clicks on a promptable 2D network until an image is right enough.

    Where the first answer is right enough, no click is made.

    Args:
        model: Promptable, 2D.
        images: The data set, in [0, 1].
        truths: What the person has in mind.
        seed: Of the clicks; equal ones for every start.
    """

    def finish(number: int, first: PlaneMask | None) -> Finished:
        truth, rng = truths[number][..., None], rng_of("finish", seed, number)
        session = Session(model, plane_case(images[number]), roi="slices")
        if first is not None and first.any():
            session.start_from(first[..., None])
        before, clicks = dice(session.mask(), truth), 0
        taken: dict[tuple[int, ...], bool] = {}
        while clicks < MOST and dice(session.mask(), truth) < AIM:
            click = human(
                truth, session.mask(), rng, spacing_mm=session.case.spacing_mm, clicker=STEADY
            )
            clicks += 1
            if click and taken.setdefault(click.point, click.positive) == click.positive:
                session.click(click.point, click.positive)
        mask = np.array(session.mask())
        return Finished(mask=mask[..., 0], clicks=clicks, before=before, dice=dice(mask, truth))

    return finish


def plane_case(image: Plane) -> Case:
    """Return an image in [0, 1] as a CT of one slice, whose intensities come back as they were."""
    low, high = HU_WINDOW
    hu = (image * (high - low) + low)[..., None].astype(np.float32)
    return Case(name="plane", image=hu, affine=np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0]))


def annotated(
    start: str,
    context: nn.Module,
    images: Sequence[Plane],
    truths: Sequence[PlaneMask],
    finish: Finish,
) -> list[Finished]:
    """Annotate a data set from its second image on; the first is the example drawn by hand.

    Args:
        start: One of `STARTS`.
        context: An in-context 2D network.
        images: In [0, 1], square.
        truths: Their masks; that of the first image is shown.
        finish: Who corrects the answers.

    Raises:
        ValueError: There is no such start.
    """
    lookup(dict.fromkeys(STARTS), start, "start")
    done: list[Finished] = []

    def corrected(index: int, answer: np.ndarray) -> np.ndarray:
        done.append(finish(len(done) + 1, answer))
        return done[-1].mask

    first = Support((images[0],), (truths[0],))
    if start == "afresh":
        return [finish(number, None) for number in range(1, len(images))]
    size = images[0].shape[0]
    if start == "growing":
        segment_dataset(context, images[1:], first, size=size, correct=corrected)
    else:
        for image in images[1:]:
            segment_dataset(context, [image], first, size=size, correct=corrected)
    return done


def context_rows(
    context: nn.Module,
    promptable: nn.Module,
    bank: TaskBank,
    tasks: Sequence[Task],
    *,
    most: int,
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Return a row for each task, order, start and image.

    Args:
        context: An in-context 2D network.
        promptable: A promptable 2D network.
        bank: Slices.
        tasks: Structures that are annotated.
        most: Images of a data set.
        seeds: Orders in which the images come.
    """
    rows = []
    for task in tasks:
        for seed in seeds:
            images, truths = data_set(bank, task, most=most, seed=seed)
            finish = person(promptable, images, truths, seed=seed)
            for start in STARTS:
                found = annotated(start, context, images, truths, finish)
                for number, one in enumerate(found, 1):
                    rows.append(
                        {"structure": task.region, "axis": task.axis, "seed": seed, "start": start,
                         "image": number, "clicks": one.clicks, "before": one.before,
                         "dice": one.dice}
                    )  # fmt: skip
    return rows
