"""One label for both sides of the body, told apart: left and right kidneys, lungs, adrenal glands.

Each connected piece goes to the side of the body's middle that its bulk lies on, so that a kidney
reaching over the middle stays one kidney. A piece with much of its bulk on both sides (lungs that
touch, a horseshoe kidney) is cut at the middle. Two rules in common use fail where this one does
not: the two largest components (one kidney missing; both joined), and a cut at the middle of the
image (a patient off centre).
"""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from fmtutor.core.geometry import Grid

JOINED = 0.2
"""A piece with more than this part of it on each side is both sides joined."""
BODY_HU = -500.0
"""What is denser than this is body (or table)."""


def body_middle(image: np.ndarray) -> float:
    """Return the index along H at which half of the body lies on either side.

    Args:
        image: (H, W, D) in RAS, HU.

    Raises:
        ValueError: Nothing in the image is dense enough to be a body.
    """
    along = (image > BODY_HU).sum(axis=(1, 2)).astype(float)
    if not along.any():
        raise ValueError(
            f"a CT has voxels above {BODY_HU:g} HU, got at most {float(image.max()):g}; check "
            "whether the intensities are HU."
        )
    return float(np.average(np.arange(len(along)), weights=along))


def split_sides(
    labels: np.ndarray, pairs: Mapping[int, tuple[int, int]], *, middle: float, grid: Grid
) -> np.ndarray:
    """Return a label map in which labels of both sides are replaced by one of each side.

    All labels of ``pairs`` are split together: a tumour goes with the kidney it touches.

    Args:
        labels: (H, W, D) in RAS.
        pairs: Label id of both sides to the ids of left and right; they may be new ids.
        middle: Index along H of the body's middle.
        grid: The labels' grid, which must run to the patient's right along H.

    Raises:
        ValueError: The grid is not in RAS.
    """
    if grid.orientation != "RAS":
        raise ValueError(f"sides are told in RAS, got {grid.orientation}; reorient first.")
    both = np.isin(labels, list(pairs))
    pieces, count = ndimage.label(both, structure=np.ones((3, 3, 3)))
    right_of = np.broadcast_to(
        (np.arange(labels.shape[0]) > middle)[:, None, None], labels.shape
    )  # RAS: H grows to the patient's right
    share = np.zeros(count + 1)
    if count:
        share[1:] = ndimage.mean(right_of, pieces, range(1, count + 1))
    joined = (share > JOINED) & (share < 1 - JOINED)
    right = np.where(joined[pieces], right_of, (share >= 0.5)[pieces])
    out = labels.astype(np.int32)
    for number, (left_id, right_id) in pairs.items():
        where = labels == number
        out[where & ~right] = left_id
        out[where & right] = right_id
    return out
