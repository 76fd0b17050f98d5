"""Simulated scribbles: strokes within an error, as people draw them.

==========  ==================================================
stroke      drawn
==========  ==================================================
``line``    straight lines between two voxels of the error
``spine``   along the middle of the error, its skeleton
``edge``    along a contour some way inside of the error
==========  ==================================================

A stroke is then broken: smooth noise decides which stretches stay, so it comes in pieces of uneven
length. Every voxel of a stroke is in the error; strokes in volumes are drawn slice by slice, as
people draw.

Source: Wong et al., ScribblePrompt, 2024, section 3.2 (which warps the strokes besides; ours are
not warped, they never leave the error).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool
from scipy import ndimage
from skimage.draw import line as straight
from skimage.morphology import skeletonize

from fmtutor.core.tables import lookup

Mask = Bool[np.ndarray, "..."]
Slice = Bool[np.ndarray, "H W"]


def line(error: Slice, rng: np.random.Generator) -> Slice:
    """Return one to three straight lines between voxels of an error, cut where they leave it."""
    voxels = np.argwhere(error)
    out = np.zeros_like(error)
    for _ in range(rng.integers(1, 4)):
        (h0, w0), (h1, w1) = voxels[rng.integers(len(voxels), size=2)]
        out[straight(int(h0), int(w0), int(h1), int(w1))] = True
    return out & error


def spine(error: Slice, rng: np.random.Generator) -> Slice:
    """Return the skeleton of an error: one voxel wide, along its middle."""
    return skeletonize(np.pad(error, 1))[1:-1, 1:-1]


def edge(error: Slice, rng: np.random.Generator) -> Slice:
    """Return a contour of an error, a random share of the way from its border to its middle."""
    depth = ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1]
    level = rng.uniform(0.0, 0.7) * float(depth.max())
    within = depth > level
    return within & ~ndimage.binary_erosion(within)


STROKES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "edge": edge,
    "line": line,
    "spine": spine,
}
"""Each takes an error in a slice, with at least one voxel, and returns a stroke in it."""


def broken(stroke: Slice, rng: np.random.Generator, *, length: float = 4.0) -> Slice:
    """Return pieces of a stroke, at least a voxel: those where smooth noise is above its middle.

    Args:
        stroke: To break.
        rng: All chance comes from here.
        length: Of the noise's waves, in voxels; longer ones leave longer pieces.
    """
    noise = ndimage.gaussian_filter(rng.normal(size=stroke.shape), length, mode="nearest")
    on_stroke = noise[stroke]
    if not len(on_stroke):
        return stroke
    return stroke & (noise >= np.quantile(on_stroke, rng.uniform(0.2, 0.7)))


def scribble(
    error: Mask,
    rng: np.random.Generator,
    *,
    stroke: str | None = None,
    slices: int = 1,
    axis: int = -1,
) -> Mask:
    """Draw into an error; return the strokes, which are empty only where the error is.

    Args:
        error: Where an answer is wrong, a slice (H, W) or a volume; or the structure itself, for
            first strokes.
        rng: All chance comes from here.
        stroke: Of `STROKES`; None draws one for each slice.
        slices: Of a volume, how many at most are drawn on. The chance of a slice is its share of
            the error.
        axis: That the slices of a volume lie along.

    Raises:
        ValueError: The stroke is unknown, or there is neither slice nor volume.
    """
    if error.ndim not in (2, 3):
        raise ValueError(f"scribbles need a slice or a volume, got shape {error.shape}; cut one.")
    out = np.zeros_like(error)
    if error.ndim == 2:
        return _drawn(error, rng, stroke)
    parts, drawn = np.moveaxis(error, axis, 0), np.moveaxis(out, axis, 0)  # views
    sizes = parts.sum(axis=(1, 2))
    count = min(slices, int((sizes > 0).sum()))
    if count:
        chosen = rng.choice(len(sizes), count, replace=False, p=sizes / sizes.sum())
        for at in chosen:
            drawn[at] = _drawn(parts[at], rng, stroke)
    return out


def corrections(
    truth: Mask, answer: Mask, rng: np.random.Generator, *, slices: int = 1, axis: int = -1
) -> tuple[Mask, Mask]:
    """Draw what corrects an answer.

    Args:
        truth: The structure.
        answer: What a system takes for it, of equal shape.
        rng: All chance comes from here.
        slices: Of a volume, how many at most are drawn on for either kind of stroke.
        axis: That the slices of a volume lie along.

    Returns:
        Strokes inside (where the structure is missing) and outside (where there is too much);
        either is empty where there is no such error.
    """
    return (
        scribble(truth & ~answer, rng, slices=slices, axis=axis),
        scribble(answer & ~truth, rng, slices=slices, axis=axis),
    )


def _drawn(error: Slice, rng: np.random.Generator, stroke: str | None) -> Slice:
    if not error.any():
        return np.zeros_like(error)
    name = stroke or sorted(STROKES)[rng.integers(len(STROKES))]
    return broken(lookup(STROKES, name, "stroke")(error, rng), rng)
