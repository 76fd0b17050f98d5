"""Growing context: every finished case becomes an example for the next ones.

A data set is segmented case by case. The user looks at each answer and corrects it (``correct``);
the finished pair joins the pool, and the next case is shown those of the pool that suit it.
Answers get better, corrections fewer, and the user faster. The cost of a case does not grow: at
most ``most`` examples reach the network, and each image in the pool is embedded once. What grows is
a scalar product of 256 numbers for every example there is.

Without corrections the network teaches itself, and its mistakes teach it too: compare both.
A finished case whose mask is empty is no example here, as supports of training show the structure.

Source: Wong et al., "MultiverSeg", ICCV 2025; any in-context network will do. Taught in: 07
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from fmtutor.core.ask import Support
from fmtutor.core.devices import Precision
from fmtutor.engine.in_context import probabilities
from fmtutor.engine.metrics import dice
from fmtutor.engine.support_pool import SupportPool, check_range, dims_of, frame_of, pool_of

MOST = 32
"""Examples that reach the network for one case."""

Correct = Callable[[int, np.ndarray], np.ndarray]
"""A user: takes the number of a case and the answer, returns the mask as it should be."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One case of the data set, finished."""

    index: int
    """Its number."""
    mask: np.ndarray
    """bool, on the image's own pixels: the answer, corrected where there is a user."""
    pool: int
    """Examples there were when it was its turn."""
    support: int
    """Examples that the network was shown."""
    seconds: float
    """From the choice of the examples to the answer; the user's time does not count."""
    dice: float | None = None
    """Of the answer before its correction, where the truth is given; NaN where both are empty."""


def segment_dataset(
    model: nn.Module,
    images: Sequence[np.ndarray],
    start: Support,
    *,
    size: int,
    most: int = MOST,
    correct: Correct | None = None,
    select: str = "nearest",
    truth: Sequence[np.ndarray] | None = None,
    spacing_mm: tuple[float, ...] | None = None,
    generator: np.random.Generator | None = None,
    precision: Precision = "auto",
) -> list[Step]:
    """Segment images one after the other, each with the finished ones as examples.

    Args:
        model: An in-context network.
        images: (H, W) for a 2D network, (H, W, D) for a 3D one, of any size, in [0, 1] as the
            support's are.
        start: The examples to begin with; one is enough.
        size: Pixels along each side of what the network sees.
        most: Examples shown for one case.
        correct: Called with the number of a case and its answer (bool, on the image's pixels);
            what it returns is the finished mask. None takes the answers as they are.
        select: How examples are chosen once there are more than ``most``: "nearest" to the image,
            "diverse" (whose cost grows with the square of the pool), or "random".
        truth: Masks of the images, for `Step.dice` alone; the network never sees them.
        spacing_mm: Edge lengths of the images' pixels; None takes them for squares.
        generator: Draws for "random".
        precision: As in training.

    Returns:
        A step for each image, in order.

    Raises:
        ValueError: An image or a corrected mask does not fit the network or its image, the truth
            is of another length, or the support does not fit the network.
    """
    if truth is not None and len(truth) != len(images):
        raise ValueError(
            f"the truth is one mask for each image, got {len(truth)} for {len(images)}; give all "
            "of them or none."
        )
    pool, steps = pool_of(start, size=size, dims=dims_of(model)), []
    for index, image in enumerate(images):
        frame = frame_of(image.shape, spacing_mm or (1.0,) * image.ndim, size)
        query = frame.image(_query(image, index, dims_of(model))[None])
        began = time.perf_counter()
        rows = pool.chosen(query, most, select=select, generator=generator)[0]
        shown = pool.images[rows], pool.masks[rows]
        maps = probabilities(model, query, *shown, precision=precision)
        answer = (frame.back(maps[:, None])[0] > 0.5).numpy()
        seconds = time.perf_counter() - began
        mask = answer if correct is None else _corrected(correct, index, answer)
        steps.append(
            Step(
                index=index,
                mask=mask,
                pool=len(pool),
                support=len(rows),
                seconds=seconds,
                dice=None if truth is None else dice(answer, truth[index] > 0),
            )
        )
        framed = frame.mask(mask[None])
        if framed.any():
            pool = pool.joined(SupportPool.of(query, framed))
    return steps


def _query(image: np.ndarray, index: int, dims: int) -> np.ndarray:
    """Return an image, after checking that the network can see it."""
    if image.ndim != dims:
        raise ValueError(
            f"a {dims}D network takes images of {dims} axes, got {image.shape} for image {index}; "
            "cut volumes into slices, or take a 3D network."
        )
    check_range(image, f"image {index}")
    return image


def _corrected(correct: Correct, index: int, answer: np.ndarray) -> np.ndarray:
    """Return what the user makes of an answer, as bool."""
    mask = np.asarray(correct(index, answer))
    if mask.shape != answer.shape:
        raise ValueError(
            f"a corrected mask is as large as its image, got {mask.shape} for image {index} of "
            f"{answer.shape}; return the whole mask."
        )
    return mask > 0
