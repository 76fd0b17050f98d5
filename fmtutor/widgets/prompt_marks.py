"""Clicks and boxes on paper: markers over a figure of `show_planes`.

A prompt is anything with ``voxel`` and ``positive`` (a click) or ``low`` and ``high`` (the first
and last voxel of a box). The sign tells inside from outside, never the colour alone.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fmtutor.data.cases import Case
from fmtutor.data.drawing import PLANES

NEAR = 2
"""Slices from which a click still shows, hollow."""


def is_box(prompt: Any) -> bool:
    """Tell a box from a click."""
    return hasattr(prompt, "low")


def middle_of(prompt: Any) -> tuple[int, int, int]:
    """Return the voxel of a click, or the middle one of a box."""
    ends = (prompt.low, prompt.high) if is_box(prompt) else (prompt.voxel, prompt.voxel)
    h, w, d = ((int(a) + int(b)) // 2 for a, b in zip(*ends, strict=True))
    return h, w, d


def draw_prompts(
    figure: Figure, case: Case, prompts: Sequence[Any], at: Sequence[int], colour: str
) -> None:
    """Draw prompts over the three panels of `show_planes`.

    Args:
        figure: What `show_planes` returned.
        case: Its case.
        prompts: Clicks and boxes in voxels of the case.
        at: The voxel that the planes cut.
        colour: "#rrggbb" of the structure.
    """
    for panel, axis in zip(figure.axes, PLANES.values(), strict=True):
        for prompt in prompts:
            if is_box(prompt):
                _draw_box(panel, case, prompt, axis, at[axis], colour)
            else:
                _draw_click(panel, case, prompt, axis, at[axis], colour)


def _draw_click(panel: Axes, case: Case, click: Any, axis: int, index: int, colour: str) -> None:
    away = abs(int(click.voxel[axis]) - index)
    if away > NEAR:
        return
    place = [(click.voxel[a] + 0.5) * case.spacing_mm[a] for a in range(3) if a != axis]
    disc, sign = ("white", "black") if click.positive else ("black", "white")
    fill = "none" if away else disc
    panel.plot(*place, "o", markersize=7, markerfacecolor=fill, markeredgecolor=colour)
    symbol = "+" if click.positive else "_"
    panel.plot(*place, symbol, markersize=5, color="white" if away else sign)


def _draw_box(panel: Axes, case: Case, box: Any, axis: int, index: int, colour: str) -> None:
    if not box.low[axis] <= index <= box.high[axis]:
        return
    rest = [a for a in range(3) if a != axis]
    x, y = (box.low[a] * case.spacing_mm[a] for a in rest)
    wide, tall = ((box.high[a] + 1 - box.low[a]) * case.spacing_mm[a] for a in rest)
    panel.add_patch(Rectangle((x, y), wide, tall, fill=False, edgecolor=colour, linewidth=1.5))
