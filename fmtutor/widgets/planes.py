"""`show_planes`: a volume as a picture, for everywhere that shows pictures."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from fmtutor.data.cases import Case
from fmtutor.data.drawing import (
    MAX_LEGEND,
    Layer,
    Window,
    draw_legend,
    draw_planes,
    figure_size,
    visible,
)

COLUMNS = 6


def show_planes(
    case: Case,
    *,
    labels: bool | Sequence[str] = True,
    masks: Mapping[str, np.ndarray] | None = None,
    colours: Mapping[str, str] | None = None,
    at: Sequence[int] | None = None,
    window: Window | None = None,
    title: str = "",
    width: float = 10.0,
) -> Figure:
    """Draw axial, coronal and sagittal slices with labels (filled) and masks (outlines).

    The convention is the radiologists': the patient's right is on the viewer's left.

    Args:
        case: The volume.
        labels: True fills every labelled structure of the case, False none, names only those.
        masks: Further masks by structure name, on the case's grid, drawn as solid outlines.
        colours: "#rrggbb" of masks by name; a structure that is left out takes its own.
        at: Voxel (h, w, d) that the planes cut; None goes where most structures are in view.
        window: Black and white end of the grey scale; None is soft tissue for CT.
        title: Written above.
        width: Of the figure, in inches.

    Returns:
        A closed figure: as the last value of a cell it is shown once, and nothing stays in memory.

    Raises:
        ValueError: A structure is not annotated here, the voxel is outside, or a grid differs.

    Example:
        >>> show_planes(case, labels=["liver", "spleen"], at=(60, 50, 70))  # doctest: +SKIP
    """
    layers = [Layer(masks=label_masks(case, labels), style="filled")]
    if masks:
        layers.append(Layer(masks=masks, style="solid", colours=colours))
    figure = plt.figure(layout="constrained", dpi=80)
    try:
        voxel = draw_planes(figure, case, layers=layers, at=at, window=window)
    finally:
        plt.close(figure)
    names = visible(case, layers, voxel)
    rows = -(-min(len(names), MAX_LEGEND + 1) // COLUMNS)
    figure.set_size_inches(*figure_size(case, width=width, legend_rows=rows + bool(title)))
    draw_legend(figure, names, columns=COLUMNS)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def label_masks(case: Case, labels: bool | Sequence[str]) -> dict[str, np.ndarray]:
    """Return the masks that ``labels`` of `show_planes` asks for."""
    if not isinstance(labels, bool):
        return {name: case.mask(name) for name in labels}
    if not labels or case.labels is None:
        return {}
    present = set(np.unique(case.labels).tolist())
    return {name: np.equal(case.labels, i) for i, name in case.table.items() if i in present}
