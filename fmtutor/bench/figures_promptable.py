"""Pictures of promptable 2D networks: the pipeline, prompts on a slice, similarity of places.

Slices are shown as radiologists do (`fmtutor.bench.figures_in_context.upright`). Clicks inside are
green discs, clicks outside vermilion crosses, boxes yellow, the truth orange and an answer blue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from fmtutor.bench.figures_in_context import Slice, draw_slice, upright
from fmtutor.core.colours import BLUE, BROWN, GREEN, GREY, ORANGE, VERMILION, YELLOW
from fmtutor.data.clicks import Click

INSIDE, OUTSIDE, BOX = GREEN, VERMILION, YELLOW
IMAGE, PROMPT, MASK = BLUE, ORANGE, GREEN
LINES = {"box": (ORANGE, "s-"), "click": (BLUE, "o-"), "another's click": (GREY, "x:")}


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """One picture with what is drawn upon it."""

    image: Slice
    truth: Slice | None = None
    answer: Slice | None = None
    clicks: Sequence[Click] = ()
    boxes: Sequence[np.ndarray] = ()
    """First and last pixel (2, 2) of each."""
    strokes: Slice | None = None


def plot_panels(
    panels: Mapping[str, Panel],
    *,
    columns: int = 4,
    window: tuple[slice, slice] | None = None,
    width: float = 8.4,
) -> Figure:
    """Draw panels with their titles, in rows of ``columns``.

    Args:
        panels: Title to panel.
        columns: Panels in a row.
        window: The part of every image that is shown, as stored; None shows all.
        width: In inches.
    """
    rows = -(-len(panels) // columns)
    lines = max(title.count("\n") for title in panels) + 1
    side = width / columns
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, rows * (side + 0.17 * lines)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes in grid.flat:
        axes.axis("off")
    for axes, (title, panel) in zip(grid.flat, panels.items(), strict=False):
        draw_panel(axes, panel, title=title)
        if window is not None:
            (height, wide), (rows_shown, shown) = np.asarray(panel.image).shape, window
            axes.set_xlim(height - rows_shown.stop - 0.5, height - rows_shown.start - 0.5)
            axes.set_ylim(wide - shown.start - 0.5, wide - shown.stop - 0.5)
    return figure


def draw_panel(axes: Axes, panel: Panel, *, title: str = "") -> None:
    """Draw one panel."""
    draw_slice(axes, panel.image, truth=panel.truth, answer=panel.answer, title=title)
    height, width = np.asarray(panel.image).shape
    if panel.strokes is not None:
        shown = np.ma.masked_less(upright(np.asarray(panel.strokes).astype(float)), 0.5)
        axes.imshow(shown, cmap="cool", vmin=0, vmax=1, interpolation="nearest")
    for box in panel.boxes:
        (h0, w0), (h1, w1) = box
        corner = (height - 1 - h1 - 0.5, width - 1 - w1 - 0.5)
        axes.add_patch(
            Rectangle(corner, h1 - h0 + 1, w1 - w0 + 1, fill=False, edgecolor=BOX, linewidth=1.2)
        )
    for click in panel.clicks:
        h, w = click.point
        colour, marker = (INSIDE, "o") if click.positive else (OUTSIDE, "X")
        axes.plot(height - 1 - h, width - 1 - w, marker, color=colour, markersize=6,
                  markeredgecolor="white", markeredgewidth=0.7)  # fmt: skip


def plot_similarity(
    maps: Mapping[str, np.ndarray], clicks: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw the similarity of a click's place with each cell of a grid, rows down, as stored.

    Args:
        maps: Title to cosine (h, w).
        clicks: The same titles to the click, in cells.
    """
    figure, grid = plt.subplots(1, len(maps), figsize=(2.1 * len(maps) + 0.5, 2.4),
                                layout="constrained")  # fmt: skip
    for axes, (title, shown) in zip(grid, maps.items(), strict=True):
        drawn = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        h, w = clicks[title]
        axes.plot(w, h, "o", color=INSIDE, markeredgecolor="white", markersize=7)
        axes.set_title(title, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(drawn, ax=grid, shrink=0.8, label="cosine")
    return figure


def plot_rated(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the expected against the true overlap of every candidate, a panel a network."""
    figure, grid = plt.subplots(1, len(tables), figsize=(2.9 * len(tables), 2.8), sharey=True,
                                squeeze=False, layout="constrained")  # fmt: skip
    for axes, (title, frame) in zip(grid[0], tables.items(), strict=True):
        three = frame[frame["mask"] > 0]
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        axes.scatter(three["overlap"], three["expected"], s=10, alpha=0.6, color=IMAGE)
        axes.set(xlabel="true overlap (IoU)", xlim=(-0.02, 1.02))
        axes.set_title(title, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0][0].set_ylabel("expected by the IoU head")
    return figure


def plot_live(
    losses: Mapping[str, Sequence[float]], scores: Mapping[str, Sequence[Mapping[str, float]]]
) -> Figure:
    """Draw the loss of each network, and Dice of each prompt against the seconds of training.

    Args:
        losses: Network to the loss of each step, as a share of its first loss.
        scores: Network to rows of `fmtutor.bench.promptable.prompt_scores` with "seconds".
    """
    figure, grid = plt.subplots(1, 1 + len(scores), figsize=(2.9 * (1 + len(scores)), 2.6),
                                layout="constrained")  # fmt: skip
    for (name, values), style in zip(losses.items(), ("-", "--", ":"), strict=False):
        grid[0].plot(values, style, color="black", linewidth=1, label=name)
    grid[0].set(xlabel="step", ylabel="loss, share of the first", ylim=(0, None))
    grid[0].legend(frameon=False, fontsize=7)
    for axes, (name, rows) in zip(grid[1:], scores.items(), strict=True):
        table = pd.DataFrame(rows).set_index("seconds")
        for kind in table:
            colour, style = LINES[kind]
            axes.plot(table.index, table[kind], style, color=colour, markersize=4, label=kind)
        axes.set(xlabel="seconds", ylabel="Dice", ylim=(0, 1))
        axes.set_title(name, fontsize=9)
    grid[1].legend(frameon=False, fontsize=7)
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_bars(table: pd.DataFrame, *, ylabel: str = "Dice", xlabel: str = "") -> Figure:
    """Draw a group of bars for each row of a table, a colour a column."""
    figure, axes = plt.subplots(figsize=(8.4, 2.4), layout="constrained")
    width, colours = 0.8 / len(table.columns), (BROWN, ORANGE, IMAGE, MASK)
    for place, (name, colour) in enumerate(zip(table, colours, strict=False)):
        at = np.arange(len(table)) + width * (place - (len(table.columns) - 1) / 2)
        axes.bar(at, table[name], width * 0.92, color=colour, label=name)
    axes.set_xticks(range(len(table)), [str(name).replace("_", " ") for name in table.index],
                    fontsize=8)  # fmt: skip
    axes.set(ylim=(0, 1), ylabel=ylabel, xlabel=xlabel)
    axes.legend(frameon=False, fontsize=8, ncols=len(table.columns), loc="upper right",
                bbox_to_anchor=(1, 1.16))  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_pipeline() -> Figure:
    """Draw the three parts of SAM: what is slow and done once, what is fast and done each click."""
    figure, axes = plt.subplots(figsize=(8.4, 2.7), layout="constrained")
    axes.set(xlim=(0, 10.6), ylim=(-0.05, 3.5))
    axes.axis("off")
    for x, y, wide, text, colour in (
        (0.1, 2.3, 1.2, "image", IMAGE), (1.8, 2.3, 2.0, "image encoder\n(ViT)", IMAGE),
        (4.3, 2.3, 1.7, "embedding", IMAGE), (0.1, 0.6, 1.2, "clicks, box", PROMPT),
        (1.8, 0.6, 2.0, "prompt encoder\nplace + kind", PROMPT), (4.3, 0.6, 1.7, "tokens", PROMPT),
        (6.6, 1.4, 2.0, "mask decoder\n(two-way)", MASK), (9.1, 1.4, 1.4, "3 masks,\n3 IoUs", MASK),
    ):  # fmt: skip
        axes.add_patch(FancyBboxPatch((x, y), wide, 0.8, facecolor="white", edgecolor=colour,
                                      boxstyle="round,pad=0.02,rounding_size=0.08",
                                      linewidth=1.8))  # fmt: skip
        axes.text(x + wide / 2, y + 0.4, text, ha="center", va="center", fontsize=9)
    for start, end in (
        ((1.3, 2.7), (1.8, 2.7)), ((3.8, 2.7), (4.3, 2.7)), ((1.3, 1.0), (1.8, 1.0)),
        ((3.8, 1.0), (4.3, 1.0)), ((6.0, 2.6), (6.6, 2.0)), ((6.0, 1.1), (6.6, 1.6)),
        ((8.6, 1.8), (9.1, 1.8)),
    ):  # fmt: skip
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black"})
    axes.plot([9.8, 9.8, 2.8], [1.38, 0.15, 0.15], "--", color=PROMPT, linewidth=1)
    back = {"arrowstyle": "-|>", "color": PROMPT, "linestyle": "--"}
    axes.annotate("", (2.8, 0.6), (2.8, 0.12), arrowprops=back)
    axes.text(6.9, 0.22, "the last mask comes back", fontsize=8, style="italic", ha="center")
    axes.text(2.8, 3.25, "once an image, slow", ha="center", fontsize=8, style="italic")
    axes.text(7.6, 2.4, "at every click, fast", ha="center", fontsize=8, style="italic")
    return figure
