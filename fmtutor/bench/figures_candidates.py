"""Figures of several answers: the block that makes them, candidates, and maps of where they differ.

For notebook 08. Drawn from arrays that the notebook computed; the scores of the full run are in
`fmtutor.bench.candidate_results`.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from fmtutor.core.colours import BLUE, GREEN, ORANGE, PURPLE, VERMILION
from fmtutor.engine.uncertainty import pairwise_distance

READING_COLOURS = ("#ffd92f", "#41b6c4")
"""With the lesion, without it."""
ANSWER = "#e7298a"
LINE_COLOURS = (GREEN, VERMILION, BLUE, ORANGE, PURPLE)

Maps = Float[np.ndarray, "M H W"]


def plot_readings(
    images: Sequence[np.ndarray], answers: Sequence[np.ndarray], titles: Sequence[str]
) -> Figure:
    """Draw slices with both right answers.

    Args:
        images: (H, W) each, in [0, 1].
        answers: Bool (2, H, W) each: with the lesion, without it.
        titles: One a slice.
    """
    figure, panels = _row(len(images))
    for axes, image, pair, title in zip(panels, images, answers, titles, strict=True):
        _picture(axes, image, title)
        _both(axes, pair)
    handles = [
        plt.Line2D([], [], color=colour, linewidth=2, linestyle=style, label=label)  # type: ignore[arg-type]
        for colour, style, label in zip(
            READING_COLOURS, ("dashed", "solid"), ("with its lesion", "without it"), strict=True
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def plot_support(images: Maps, masks: Maps) -> Figure:
    """Draw the examples of a support, each with its mask outlined."""
    figure, panels = plt.subplots(
        1, len(images), figsize=(1.25 * len(images), 1.3), layout="constrained", squeeze=False
    )
    for axes, image, mask in zip(panels[0], images, masks, strict=True):
        _picture(axes, image, "")
        _outline(axes, mask, READING_COLOURS[0])
    return figure


def plot_block() -> Figure:
    """Draw a set block: how the candidates meet the support, and each other in their mean alone."""
    figure, axes = plt.subplots(figsize=(9.4, 3.3), layout="constrained")
    axes.set(xlim=(0, 10.6), ylim=(-0.1, 4.1))
    axes.axis("off")
    green, grey, blue = "#d9f0d3", "#eeeeee", "#d1e5f0"
    heights = (3.3, 2.5, 1.7)
    for place, name in zip(heights, ("$u_1$", "$u_2$", "$u_K$"), strict=True):
        _box(axes, 0.5, place, name, green)
        _box(axes, 7.0, place, "Conv mix\nLeakyReLU", green, width=1.5)
        _arrow(axes, (6.0, 2.5), (6.25, place))
        _arrow(axes, (0.85, place), (1.55, 2.5))
        _arrow(axes, (0.85, place), (6.25, place), colour=GREEN, alpha=0.35, bend=-0.25)
        _box(axes, 8.9, place, "Conv q", green, width=1.1)
        _arrow(axes, (7.75, place), (8.35, place))
        _box(axes, 10.1, place, name + "′", green)
        _arrow(axes, (9.45, place), (9.75, place))
    _box(axes, 1.95, 2.5, "mean", grey, width=0.8)
    _box(axes, 3.75, 2.5, "CrossConv\nLeakyReLU", blue, width=1.6)
    _box(axes, 5.6, 2.5, "mean\n= $m$", grey, width=0.8)
    _arrow(axes, (2.35, 2.5), (2.95, 2.5))
    _arrow(axes, (4.55, 2.5), (5.2, 2.5))
    _box(axes, 1.95, 0.5, "$v_1$ … $v_S$", blue, width=1.2)
    _arrow(axes, (2.55, 0.5), (3.5, 2.2))
    _box(axes, 8.9, 0.5, "Conv s", blue, width=1.1)
    _arrow(axes, (3.9, 2.2), (8.35, 0.5), bend=0.12)
    _box(axes, 10.1, 0.5, "$v_i$′", blue)
    _arrow(axes, (9.45, 0.5), (9.75, 0.5))
    axes.text(0.1, 3.85, "candidates", fontsize=9)
    axes.text(1.4, -0.05, "support: image and mask", fontsize=9)
    axes.text(4.2, 1.35, "$z_1$ … $z_S$", fontsize=9)
    return figure


def plot_candidates(
    image: np.ndarray,
    rows: Mapping[str, Maps],
    answers: np.ndarray | None = None,
    *,
    titles: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Draw candidates as outlines, one row a name; over each, its Dice with either answer.

    Args:
        image: (H, W) in [0, 1].
        rows: Probabilities (M, H, W) by the name of a row.
        answers: Bool (2, H, W): with the lesion, without it; drawn at the left.
        titles: What to write over the candidates of a row instead.
    """
    columns = max(len(maps) for maps in rows.values()) + (answers is not None)
    figure, grid = plt.subplots(
        len(rows), columns, figsize=(1.25 * columns + 0.6, 1.5 * len(rows) + 0.2),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, (name, maps) in zip(grid, rows.items(), strict=True):
        for axes in line:
            axes.axis("off")
        own = titles.get(name) if titles else None
        words = own or (["" for _ in maps] if answers is None else dice_labels(maps, answers))
        first = 0
        if answers is not None:
            first = 1
            _picture(line[0], image, "right answers")
            _both(line[0], answers)
        for axes, found, word in zip(line[first:], maps, words, strict=False):
            _picture(axes, image, word)
            _outline(axes, found, ANSWER)
        line[0].text(-0.08, 0.5, name, rotation=90, ha="right", va="center", fontsize=8,
                     transform=line[0].transAxes)  # fmt: skip
    return figure


def dice_labels(maps: Maps, answers: np.ndarray) -> list[str]:
    """Return "0.91 | 0.72" for each map: its Dice with each of the answers."""
    scores = 1 - pairwise_distance(maps, answers, "dice")
    return [" | ".join(f"{value:.2f}" for value in row) for row in scores]


def plot_maps(
    maps: Mapping[str, np.ndarray], *, cmap: str = "viridis", top: float | None = None
) -> Figure:
    """Draw maps (H, W) side by side, all on the scale from 0 to ``top``."""
    figure, panels = _row(len(maps))
    limit = top or max(float(values.max()) for values in maps.values())
    for axes, (title, values) in zip(panels, maps.items(), strict=True):
        drawn = axes.imshow(values.T, origin="lower", cmap=cmap, vmin=0, vmax=limit)
        axes.invert_xaxis()
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    figure.colorbar(drawn, ax=panels, shrink=0.8)
    return figure


def plot_map_rows(rows: Mapping[str, Maps]) -> Figure:
    """Draw maps of probability (M, H, W) in small, one row a name."""
    columns = max(len(maps) for maps in rows.values())
    figure, grid = plt.subplots(
        len(rows), columns, figsize=(1.3 * columns + 2.2, 1.25 * len(rows)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, (name, maps) in zip(grid, rows.items(), strict=True):
        for axes in line:
            axes.axis("off")
        for axes, values in zip(line, maps, strict=False):
            drawn = axes.imshow(values.T, origin="lower", vmin=0, vmax=1)
        line[0].text(-0.08, 0.5, name.replace(", ", ",\n"), ha="right", va="center", fontsize=9,
                     transform=line[0].transAxes)  # fmt: skip
    figure.colorbar(drawn, ax=grid, shrink=0.6, label="probability")
    return figure


def plot_lines(
    panels: Mapping[str, pd.DataFrame], *, xlabels: Sequence[str], smooth: int = 1
) -> Figure:
    """Draw one panel a frame: a line for each column over the frame's index.

    Args:
        panels: Frames by the title of their panel.
        xlabels: What the index of each counts.
        smooth: Length of a running mean; 1 draws the values themselves.
    """
    figure, places = plt.subplots(
        1, len(panels), figsize=(3.9 * len(panels), 2.7), layout="constrained", squeeze=False
    )
    for axes, (title, frame), xlabel in zip(places[0], panels.items(), xlabels, strict=True):
        for column, colour in zip(frame.columns, LINE_COLOURS, strict=False):
            values = frame[column].rolling(smooth, min_periods=1, center=True).mean()
            axes.plot(frame.index, values, color=colour, label=column,
                      marker="o" if len(frame) <= 20 else None, markersize=4)  # fmt: skip
        if len(frame) <= 20:
            axes.set_xticks(frame.index)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(xlabel)
        axes.legend(frameon=False, fontsize=8)
        _plain(axes)
    return figure


def _row(count: int) -> tuple[Figure, np.ndarray]:
    figure, panels = plt.subplots(
        1, count, figsize=(2.3 * count + 0.4, 2.5), layout="constrained", squeeze=False
    )
    return figure, panels[0]


def _picture(axes: Axes, image: np.ndarray, title: str) -> None:
    """Draw an axial slice as radiologists do: the patient's front up, their right at the left."""
    axes.imshow(image.T, origin="lower", cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=8)
    axes.invert_xaxis()
    axes.axis("off")


def _outline(
    axes: Axes, mask: np.ndarray, colour: str, *, width: float = 1.3, style: str = "solid"
) -> None:
    values = np.asarray(mask, float)
    if values.max() > 0.5 >= values.min():
        axes.contour(values.T, levels=[0.5], colors=[colour], linewidths=width, linestyles=style)


def _both(axes: Axes, answers: np.ndarray) -> None:
    """Outline both answers so that each is seen where they coincide."""
    _outline(axes, answers[1], READING_COLOURS[1], width=1.6)
    _outline(axes, answers[0], READING_COLOURS[0], width=1.6, style="dashed")


def _box(axes: Axes, x: float, y: float, text: str, colour: str, *, width: float = 0.7) -> None:
    axes.add_patch(FancyBboxPatch((x - width / 2, y - 0.27), width, 0.54,
                                  boxstyle="round,pad=0.02", facecolor=colour))  # fmt: skip
    axes.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float],
    *, colour: str = "black", alpha: float = 1.0, bend: float = 0.0,
) -> None:  # fmt: skip
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="->", mutation_scale=9, color=colour,
                                   alpha=alpha, connectionstyle=f"arc3,rad={bend}"))  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
