"""Automatic 2D networks on volumes: each axial slice in its square, classes by softmax.

A network of stacks sees a few neighbouring slices at a time. Stacks follow one another without
overlap; the last one begins so that it ends with the volume, and a volume of too few slices repeats
its last one.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.devices import autocast
from fmtutor.core.geometry import Grid
from fmtutor.core.tables import unknown_name
from fmtutor.data.cases import Case
from fmtutor.data.slices import SquareFrame, slices_of
from fmtutor.data.transforms import normalise
from fmtutor.engine.in_context import evaluating
from fmtutor.engine.prediction import BACKGROUND, Prediction

AXIAL = 2


def classes_of(ask: Ask | Part, known: Sequence[str], *, system: str) -> tuple[str, ...]:
    """Return the classes that an ask wants of a system that knows some.

    Raises:
        ValueError: The ask has another part than `Classes`, or names one that is not known.
    """
    part = answerable(ask, Classes, system=system).get(Classes, Classes())
    for name in part.names:
        if name not in known:
            raise unknown_name(name, known, f"class of this {system}")
    return part.names or tuple(known)


def segment_classes(
    model: nn.Module,
    forward: Callable[[Tensor], Float[Tensor, "B L1 *grid"]],
    case: Case,
    *,
    classes: Sequence[str],
    size: int,
    slices: int = 1,
) -> Prediction:
    """Segment every axial slice of a case; a voxel belongs to its most probable class.

    Args:
        model: The network, put into evaluation mode for the time of the call.
        forward: Images (B, 1, size, size), or stacks (B, 1, size, size, slices), to logits,
            the background first.
        case: Its image as read (HU for CT); labels are not looked at.
        classes: Names of the classes.
        size: Pixels along each side of the network's square.
        slices: Slices of a stack; 1 gives images.

    Returns:
        Softmax probabilities, the background among them, on the lattice of the network's pixels.
    """
    image = slices_of(normalise(case.image, case.modality), AXIAL)
    spacing = case.spacing_mm
    frame = SquareFrame(shape=image.shape[1:], spacing_mm=(spacing[0], spacing[1]), size=size)
    (top, left), (rows, columns) = frame.corner, frame.inner
    scores = np.zeros((1 + len(classes), rows, columns, len(image)), np.float16)
    device = next(model.parameters()).device
    with evaluating(model), torch.inference_mode(), autocast("auto", device):
        for at in stacks(len(image), slices):
            seen = frame.image(image[at])[:, 0].movedim(0, -1)[None, None]  # (1, 1, s, s, slices)
            logits = forward((seen if slices > 1 else seen[..., 0]).to(device)).float().cpu()
            found = logits.softmax(1)[0].reshape(1 + len(classes), size, size, slices)
            scores[..., at] = found[:, top : top + rows, left : left + columns].numpy()
    return Prediction(
        names=(BACKGROUND, *classes),
        scores=scores,
        grid=case.grid,
        working=lattice_of(case.grid, (rows, columns)),
        native=case.native,
        exclusive=True,
    )


def stacks(count: int, slices: int) -> list[np.ndarray]:
    """Return the slices of each stack, so that all are seen; the last stack ends with the volume.

    Example:
        >>> [list(map(int, at)) for at in stacks(7, 5)]
        [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]
    """
    last = max(0, count - slices)
    starts = [*range(0, last, slices), last]
    return [np.minimum(start + np.arange(slices), count - 1) for start in starts]


def lattice_of(grid: Grid, pixels: tuple[int, int]) -> Grid:
    """Return the grid of so many pixels that fill the slices of another one."""
    step = np.array([grid.shape[0] / pixels[0], grid.shape[1] / pixels[1], 1.0])
    change = np.diag([*step, 1.0])
    change[:3, 3] = (step - 1) / 2
    return Grid((*pixels, grid.shape[2]), np.asarray(grid.affine) @ change)
