"""Diagrams of one dialogue: what each click changed, where the network looked, what it waited for.

Slices are axial and drawn as radiologists do. Orange is the reference, blue an answer; a click is a
disc with a plus (inside) or a minus (outside), hollow where it lies in another slice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fmtutor.bench.figures_interaction import COLOURS, MARKERS, TITLES, plain
from fmtutor.core.colours import GREEN, SKY, VERMILION, YELLOW
from fmtutor.data.cases import Case
from fmtutor.data.drawing import Layer, draw_plane
from fmtutor.engine.regions_of_interest import Region
from fmtutor.engine.session_state import Click

TRUTH, ANSWER = "#ff8c1a", "#35a7ff"
RULES = {"whole": GREEN, "first_click": SKY, "auto_zoom": YELLOW, "oracle": VERMILION}
LINES = {"whole": (2.2, "-"), "first_click": (5.0, "-"), "auto_zoom": (2.2, "--"),
         "oracle": (2.2, "-")}  # fmt: skip
"""Width and style of a rule's frame: two rules that look at the same place are both seen."""
MOST_WIDE = 3.2
"""Inches of a slice."""
MARGIN_MM = 25.0
"""Shown around masks and clicks."""
PAPER = {"SAM": "sam_base", "SAM-Med2D": "sam_med2d", "SAM-Med3D": "sam_med3d"}
"""The talk's models, and whose colour and marker they have here."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Turn:
    """One state of a dialogue about a structure."""

    clicks: tuple[Click, ...]
    """All so far, the newest last."""
    mask: np.ndarray
    """The answer, bool (H, W, D)."""
    title: str
    """Written above."""


def plot_turns(
    case: Case, turns: Sequence[Turn], truth: np.ndarray | None = None, *, width: float = 9.6
) -> Figure:
    """Draw the slice of the newest click after each turn, all cut to the same part.

    Args:
        case: The volume.
        turns: In order of time, each with a click at least.
        truth: The reference, where there is one.
        width: In inches, at most.
    """
    left, right, low, high = _extent(case, turns, truth)
    width = min(width, MOST_WIDE * len(turns))
    tall = width / len(turns) * (high - low) / (right - left)
    figure, axes = plt.subplots(
        1, len(turns), figsize=(width, tall + 0.35), layout="constrained", squeeze=False
    )
    for panel, turn in zip(axes[0], turns, strict=True):
        depth = turn.clicks[-1].voxel[2]
        layers = [Layer(masks={"answer": turn.mask}, style="solid", colours={"answer": ANSWER})]
        if truth is not None:
            colours = {"reference": TRUTH}
            layers.insert(0, Layer(masks={"reference": truth}, style="solid", colours=colours))
        draw_plane(panel, case, "axial", index=depth, layers=layers, marks=False)
        for click in turn.clicks:
            draw_click(panel, case, click, depth)
        panel.set(xlim=(right, left), ylim=(low, high))
        panel.set_title(turn.title, fontsize=8)
    return figure


def draw_click(panel: Axes, case: Case, click: Click, depth: int) -> None:
    """Draw a click on an axial slice; hollow where it lies in another one."""
    x, y = ((click.voxel[a] + 0.5) * case.spacing_mm[a] for a in (0, 1))
    here = click.voxel[2] == depth
    edge = "#ffffff" if click.positive else "#000000"
    face = (GREEN if click.positive else VERMILION) if here else "none"
    panel.plot(x, y, "o", markersize=8, markerfacecolor=face, markeredgecolor=edge)
    panel.plot(x, y, "+" if click.positive else "_", markersize=5, color="white")


def plot_waits(waits: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the seconds that a person waits at each click, a line a system.

    Args:
        waits: A key of `fmtutor.bench.interactive_results.TITLES` to its seconds, click by click.
    """
    figure, axes = plt.subplots(figsize=(5.4, 2.6), layout="constrained")
    for name, seconds in waits.items():
        axes.plot(
            range(1, len(seconds) + 1), seconds, color=COLOURS[name], marker=MARKERS[name],
            label=TITLES[name],
        )  # fmt: skip
    most = max(len(seconds) for seconds in waits.values())
    axes.set(xlabel="click", ylabel="seconds", xticks=range(1, most + 1))
    axes.set_ylim(0)
    axes.legend(frameon=False, fontsize=8)
    plain(axes)
    return figure


def plot_regions(
    case: Case, regions: Mapping[str, Region], click: Click, truth: np.ndarray | None = None
) -> Figure:
    """Draw what each rule shows to the network, around one click: axial, and from the front.

    Args:
        case: The volume.
        regions: A key of `RULES` to its region.
        click: The click that was answered.
        truth: The structure, where its reference is known.
    """
    sizes = np.array(case.image.shape) * case.spacing_mm
    ends = np.array([region.field() for region in regions.values()]) + 0.5  # (rules, 2, 3)
    low = np.minimum(ends[:, 0].min(0) * case.spacing_mm, 0) - 8
    high = np.maximum(ends[:, 1].max(0) * case.spacing_mm, sizes) + 8
    figure, panels = plt.subplots(
        1, 2, figsize=(9.4, 4.6), layout="constrained", facecolor="white",
        width_ratios=[1.0, 1.0],
    )  # fmt: skip
    masks = {} if truth is None else {"reference": truth}
    layer = Layer(masks=masks, style="filled", colours={"reference": TRUTH})
    for panel, plane, axis, (u, v) in zip(
        panels, ("axial", "coronal"), (2, 1), ((0, 1), (0, 2)), strict=True
    ):
        draw_plane(panel, case, plane, index=click.voxel[axis], layers=[layer], marks=False)
        for rule, region in regions.items():
            first, last = ((end + 0.5) * case.spacing_mm for end in region.field())
            wide, dashes = LINES[rule]
            frame = Rectangle(
                (first[u], first[v]), last[u] - first[u], last[v] - first[v], fill=False,
                edgecolor=RULES[rule], label=rule, linewidth=wide, linestyle=dashes,
            )  # fmt: skip
            panel.add_patch(frame)
        place = [(click.voxel[a] + 0.5) * case.spacing_mm[a] for a in (u, v)]
        panel.plot(*place, "P", color=GREEN, markeredgecolor="white", markersize=9)
        panel.set(xlim=(high[u], low[u]), ylim=(low[v], high[v]))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def plot_window(grid: int = 8, window: int = 14) -> Figure:
    """Draw one layer of a window: the real tokens, and those that are padding."""
    figure, axes = plt.subplots(figsize=(2.9, 2.9), layout="constrained")
    for row in range(window):
        for column in range(window):
            real = row < grid and column < grid
            colour = COLOURS["sam_med3d"] if real else "#dddddd"
            axes.add_patch(Rectangle((column, row), 0.86, 0.86, facecolor=colour))
    axes.set(xlim=(-0.2, window), ylim=(window, -0.2), aspect="equal")
    axes.set_title(f"{grid} x {grid} real tokens in a window of {window} x {window}", fontsize=8)
    axes.set_axis_off()
    return figure


def plot_rounds(losses: np.ndarray, curves: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the loss of every round of the conversation, and Dice after each click.

    Args:
        losses: (steps, rounds).
        curves: Title to the mean Dice after 1, 2 ... clicks.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 2.8), layout="constrained")
    width = max(1, len(losses) // 8)
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, losses.shape[1]))
    for number, shade in enumerate(shades):
        smooth = pd.Series(losses[:, number]).rolling(width, min_periods=1).mean()
        left.plot(smooth, color=shade, label=f"round {number + 1}")
    left.set(xlabel="training step", ylabel=f"loss, mean of {width} steps")
    for (title, curve), style in zip(curves.items(), (":", "-", "--", "-."), strict=False):
        right.plot(range(1, len(curve) + 1), curve, style, marker="o", color="black", label=title)
    right.set(xlabel="clicks", ylabel="Dice, other patients", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
        plain(axes)
    return figure


def plot_worth(table: pd.DataFrame) -> Figure:
    """Draw two numbers for each row of a table as dots joined by a line.

    Args:
        table: Structures by two columns, Dice.
    """
    figure, axes = plt.subplots(figsize=(6.2, 0.9 + 0.26 * len(table)), layout="constrained")
    for place, (name, (one, other)) in enumerate(table.iterrows()):
        axes.plot([one, other], [place, place], color="#bbbbbb", linewidth=2, zorder=1)
        for value, colour in ((one, RULES["first_click"]), (other, RULES["oracle"])):
            axes.plot(value, place, "o", color=colour, zorder=2)
        axes.text(-0.02, place, str(name).replace("_", " "), ha="right", va="center", fontsize=8)
    for title, colour in zip(table, (RULES["first_click"], RULES["oracle"]), strict=True):
        axes.plot([], [], "o", color=colour, label=title)
    axes.set(xlim=(0, 1), xlabel="Dice", yticks=[], ylim=(len(table) - 0.5, -0.5))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    plain(axes)
    return figure


def plot_published(table: pd.DataFrame) -> Figure:
    """Draw the talk's table of points: N, 3N, 5N points slice by slice, 1 to 10 in a volume.

    Args:
        table: The frame of the talk's table "sam_med3d_prompts".
    """
    figure, panels = plt.subplots(1, 2, figsize=(9.2, 2.8), layout="constrained", sharey=True)
    points = table["Prompt"].str.extract(r"^(\d*)")[0].replace("", "1").astype(int)
    for axes, column in zip(panels, ("Seen", "Unseen"), strict=True):
        for model, name in PAPER.items():
            rows = table["Model"] == model
            style = "-" if model == "SAM-Med3D" else ":"
            label = f"{model}, {'in the volume' if style == '-' else 'on each slice'}"
            axes.plot(
                points[rows], table.loc[rows, column], style, color=COLOURS[name],
                marker=MARKERS[name], label=label,
            )  # fmt: skip
        axes.set(xlabel="points", title=f"{column.lower()} targets, as published", ylim=(0, 100))
        axes.set_xticks([1, 3, 5, 10])
        plain(axes)
    panels[0].set_ylabel("Dice, %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def _extent(
    case: Case, turns: Sequence[Turn], truth: np.ndarray | None
) -> tuple[float, float, float, float]:
    """Return left, right, low and high (mm) of what the slices of all turns have to show."""
    places = [click.voxel[:2] for turn in turns for click in turn.clicks]
    for mask in (truth, *(turn.mask for turn in turns)):
        if mask is not None and mask.any():
            flat = np.argwhere(mask.any(2))
            places += [tuple(flat.min(0)), tuple(flat.max(0))]
    at = np.array(places) * case.spacing_mm[:2]
    ends = np.array(case.image.shape[:2]) * case.spacing_mm[:2]
    (left, low), (right, high) = at.min(0) - MARGIN_MM, at.max(0) + MARGIN_MM
    return max(left, 0), min(right, ends[0]), max(low, 0), min(high, ends[1])
