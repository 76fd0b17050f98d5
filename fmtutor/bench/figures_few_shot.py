"""Figures of notebooks 12 and 13: the tables as dots, findings with intervals, Dice against cost.

All take the long frame of `fmtutor.bench.few_shot_table` (a row for each cell and case) or what is
computed from it, so they show what the result files hold and nothing else.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from fmtutor.bench.few_shot_findings import Measured
from fmtutor.core.colours import BLUE, GREEN, GREY, ORANGE, VERMILION
from fmtutor.engine.metrics import bootstrap_mean

FAMILY_COLOURS = {
    "black-box": BLUE, "selective": ORANGE, "additive": VERMILION, "full": GREEN, "none": GREY,
}  # fmt: skip
MARKERS = {"black-box": "o", "selective": "s", "additive": "D", "full": "^", "none": "P"}
"""A second way to tell the families apart."""
VERDICTS = {"appears": GREEN, "unclear": GREY, "reversed": VERMILION}
PUBLISHED = GREY


def plot_rows(
    frame: pd.DataFrame,
    order: Sequence[str],
    *,
    published: pd.Series | None = None,
    title: str = "",
) -> Figure:
    """Draw one table: a row's mean with its interval over cases, each seed, the published value.

    Args:
        frame: Rows of one table, kind, number of shots and preset, with ``where`` "test".
        order: Labels of the rows, top to bottom; those without cells stay empty.
        published: Label to published Dice in [0, 1], drawn as an open ring.
        title: Of the figure.
    """
    figure, axes = plt.subplots(figsize=(7.5, 0.36 * len(order) + 1.3), layout="constrained")
    for place, label in enumerate(order):
        part = frame[frame["row"] == label]
        if len(part):
            _interval(axes, part, place)
        if published is not None and label in published and np.isfinite(published[label]):
            axes.plot(published[label], place, "o", mfc="none", mec=PUBLISHED, ms=9, zorder=1)
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.0)
    axes.set_xlabel("Dice")
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="x", color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(handles=_row_legend(frame, published), loc="outside lower center", ncols=4,
                  frameon=False, fontsize=8)  # fmt: skip
    return figure


def plot_findings(measured: Sequence[Measured]) -> Figure:
    """Draw every finding: the difference in Dice, its interval over cases, and each seed.

    Args:
        measured: From `fmtutor.bench.few_shot_findings.measure_all`.
    """
    figure, axes = plt.subplots(figsize=(8.5, 0.38 * len(measured) + 1.2), layout="constrained")
    for place, one in enumerate(measured):
        colour = VERDICTS[one.verdict]
        axes.plot([one.low, one.high], [place] * 2, color=colour, lw=4, solid_capstyle="butt")
        axes.plot(one.seeds, [place] * len(one.seeds), "|", color="black", ms=9)
        axes.plot(one.difference, place, "o", color=colour, mec="white", ms=8)
    labels = [f"{one.name}  ({one.kind}, {one.shots})" for one in measured]
    axes.set_yticks(range(len(measured)), labels)
    axes.set_ylim(max(len(measured), 1) - 0.5, -0.5)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_xlabel("difference in Dice, as claimed to the right")
    axes.grid(axis="x", color="#e5e5e5")
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles = [Line2D([], [], color=colour, lw=4, label=name) for name, colour in VERDICTS.items()]
    handles.append(Line2D([], [], color="black", marker="|", ls="", ms=9, label="one seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def plot_pareto(
    frame: pd.DataFrame, costs: Sequence[str] = ("parameters", "train_seconds")
) -> Figure:
    """Draw Dice against what a row costs; the line joins the rows that no cheaper row beats.

    Args:
        frame: Rows of one table, kind, number of shots and preset, with ``where`` "test".
        costs: Columns of the frame, one panel each; on a logarithmic axis where they span a lot.
    """
    figure, panels = plt.subplots(
        1, len(costs), figsize=(5.2 * len(costs), 4.6), layout="constrained", sharey=True,
        squeeze=False,
    )  # fmt: skip
    for axes, cost in zip(panels[0], costs, strict=True):
        means = frame.groupby(["row", "family"])[["dice", cost]].mean().reset_index()
        means = means[means[cost] > 0]
        for _, row in means.iterrows():
            axes.plot(row[cost], row["dice"], MARKERS[row["family"]], ms=8, mec="white",
                      color=FAMILY_COLOURS[row["family"]])  # fmt: skip
        front = pareto_front(means, cost)
        axes.step(front[cost], front["dice"], where="post", color="#b0b0b0", lw=1, zorder=0)
        _scale(axes, means[cost])
        _name(axes, means.sort_values("dice"), cost)
        axes.set_xlabel(COSTS[cost])
        axes.grid(color="#ececec")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0, 0].set_ylabel("Dice")
    figure.legend(handles=_family_legend(frame), loc="outside lower center", ncols=5,
                  frameon=False, fontsize=8)  # fmt: skip
    return figure


COSTS = {
    "parameters": "trained parameters",
    "train_seconds": "seconds of training, one core",
    "peak_mb": "peak memory, MB",
}
"""Column to the name of its axis."""


def pareto_front(means: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the rows that no row of equal or lower cost beats, cheapest first."""
    ordered = means.sort_values([cost, "dice"], ascending=[True, False])
    best = ordered["dice"].cummax()
    return ordered[(ordered["dice"] >= best) & ~best.duplicated()]


def plot_structures(frame: pd.DataFrame, order: Sequence[str], *, title: str = "") -> Figure:
    """Draw mean Dice of each row and structure as a table of colours with its numbers.

    Args:
        frame: Rows of one table, kind, number of shots and preset.
        order: Labels of the rows, top to bottom.
        title: Of the figure.
    """
    means = frame.pivot_table(index="row", columns="structure", values="dice")
    means = means.reindex([label for label in order if label in means.index])
    figure, axes = plt.subplots(
        figsize=(1.5 + 1.0 * means.shape[1], 0.34 * len(means) + 1.6), layout="constrained"
    )
    axes.imshow(means, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(means.to_numpy()):
        if np.isfinite(value):
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8,
                      color="white" if value < 0.55 else "black")  # fmt: skip
    axes.set_xticks(range(means.shape[1]), [n.replace("_", " ") for n in means.columns],
                    rotation=30, ha="right")  # fmt: skip
    axes.set_yticks(range(len(means)), means.index)
    axes.tick_params(length=0, labelsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    return figure


def plot_differences(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the difference of two groups of rows, structure by structure, with intervals over cases.

    Args:
        tables: Title to what `fmtutor.bench.few_shot_committed.by_structure` returns.
    """
    rows = max((len(table) for table in tables.values()), default=0)
    figure, panels = plt.subplots(
        1, len(tables), figsize=(8.0, 0.34 * rows + 1.1), layout="constrained", squeeze=False
    )
    for axes, (title, table) in zip(panels[0], tables.items(), strict=True):
        for place, (low, high, mean) in enumerate(table[["low", "high", "difference"]].to_numpy()):
            verdict = "appears" if low > 0 else "reversed" if high < 0 else "unclear"
            axes.plot([low, high], [place] * 2, color=VERDICTS[verdict], lw=4)
            axes.plot(mean, place, "o", color=VERDICTS[verdict], mec="white", ms=8)
        names = [name.replace("_", " ") for name in table["structure"]]
        axes.set_yticks(range(len(table)), names, fontsize=8)
        axes.invert_yaxis()
        axes.axvline(0, color="black", lw=0.8)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("difference in Dice")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _scale(axes: Axes, costs: pd.Series) -> None:
    """Draw costs on a logarithmic axis with short numbers (10k), or on a linear one if close."""
    if len(costs) == 0 or costs.max() < 5 * costs.min():
        return
    axes.set_xscale("log")
    wide = costs.max() > 100 * costs.min()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _name(axes: Axes, means: pd.DataFrame, cost: str) -> None:
    """Write the names of rows in a column at the right, with lines to their markers."""
    low, high = axes.get_ylim()
    heights = spread(list(means["dice"]), least=0.045 * (high - low), highest=high)
    for height, (_, row) in zip(heights, means.iterrows(), strict=True):
        axes.annotate(row["row"], (row[cost], row["dice"]), xytext=(1.05, height),
                      textcoords=axes.get_yaxis_transform(), fontsize=8, va="center",
                      arrowprops={"arrowstyle": "-", "color": "#d0d0d0", "lw": 0.6})  # fmt: skip


def spread(heights: Sequence[float], *, least: float, highest: float) -> list[float]:
    """Move ascending heights apart to a least distance, none above the highest.

    Example:
        >>> spread([0.0, 0.9, 1.0], least=0.25, highest=1.0)
        [0.0, 0.75, 1.0]
    """
    up: list[float] = []
    for height in heights:
        up.append(max(height, up[-1] + least) if up else height)
    down: list[float] = []
    for height in reversed(up):
        down.append(min(height, down[-1] - least if down else highest))
    return down[::-1]


def _interval(axes: Axes, part: pd.DataFrame, place: int) -> None:
    """Draw one row: interval and mean over structures and cases, and a tick for each seed."""
    colour = FAMILY_COLOURS[part["family"].iloc[0]]
    found = bootstrap_mean(part.groupby(["structure", "case"])["dice"].mean(), seed=0)
    axes.plot([found.low, found.high], [place] * 2, color=colour, lw=4, solid_capstyle="butt")
    seeds = part.groupby("seed")["dice"].mean()
    axes.plot(seeds, [place] * len(seeds), "|", color="black", ms=9)
    axes.plot(found.mean, place, MARKERS[part["family"].iloc[0]], color=colour, mec="white", ms=8)


def _row_legend(frame: pd.DataFrame, published: pd.Series | None) -> list[Line2D]:
    handles = _family_legend(frame)
    handles.append(Line2D([], [], color="black", marker="|", ls="", ms=9, label="one seed"))
    if published is not None:
        ring = Line2D([], [], marker="o", ls="", mfc="none", mec=PUBLISHED, label="published")
        handles.append(ring)
    return handles


def _family_legend(frame: pd.DataFrame) -> list[Line2D]:
    families = [name for name in FAMILY_COLOURS if name in set(frame["family"])]
    return [
        Line2D([], [], ls="", marker=MARKERS[n], color=FAMILY_COLOURS[n], mec="white", label=n)
        for n in families
    ]
