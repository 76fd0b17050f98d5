"""Clicks and boxes on paper: markers over a figure of `show_planes`.

The sign tells inside from outside, never the colour alone.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fmtutor.data.cases import Case
from fmtutor.data.drawing import PLANES
from fmtutor.widgets.prompting import Asked, Click

NEAR = 2
"""Slices from which a click still shows, hollow."""


def draw_prompts(figure: Figure, case: Case, asked: Asked, at: Sequence[int], colour: str) -> None:
    """Draw prompts over the three panels of `show_planes`.

    Args:
        figure: What `show_planes` returned.
        case: Its case.
        asked: Clicks and box of one structure, in voxels of the case.
        at: The voxel that the planes cut.
        colour: "#rrggbb" of the structure.
    """
    for panel, axis in zip(figure.axes, PLANES.values(), strict=True):
        if asked.box is not None:
            _draw_box(panel, case, asked.box, axis, at[axis], colour)
        for click in asked.clicks:
            _draw_click(panel, case, click, axis, at[axis], colour)


def _draw_click(panel: Axes, case: Case, click: Click, axis: int, index: int, colour: str) -> None:
    away = abs(int(click.voxel[axis]) - index)
    if away > NEAR:
        return
    place = [(click.voxel[a] + 0.5) * case.spacing_mm[a] for a in range(3) if a != axis]
    disc, sign = ("white", "black") if click.positive else ("black", "white")
    fill = "none" if away else disc
    panel.plot(*place, "o", markersize=7, markerfacecolor=fill, markeredgecolor=colour)
    symbol = "+" if click.positive else "_"
    panel.plot(*place, symbol, markersize=5, color="white" if away else sign)


def _draw_box(
    panel: Axes,
    case: Case,
    box: tuple[Sequence[int], Sequence[int]],
    axis: int,
    index: int,
    colour: str,
) -> None:
    low, high = box
    if not low[axis] <= index <= high[axis]:
        return
    rest = [a for a in range(3) if a != axis]
    x, y = (low[a] * case.spacing_mm[a] for a in rest)
    wide, tall = ((high[a] + 1 - low[a]) * case.spacing_mm[a] for a in rest)
    panel.add_patch(Rectangle((x, y), wide, tall, fill=False, edgecolor=colour, linewidth=1.5))
