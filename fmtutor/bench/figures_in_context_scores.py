"""Diagrams of in-context scores, drawn from the tables of `fmtutor.bench.in_context_results`.

Lines and bars are means over tasks, their bands 95 % bootstrap intervals. An empty table gives a
figure that says which command makes it.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmtutor.bench.in_context_results import COMMAND, TITLES, means, task_means
from fmtutor.core.colours import BLUE, GREEN, GREY, ORANGE
from fmtutor.engine.growing_context import Step

COLOURS = {
    "universeg": BLUE,
    "tyche": GREEN,
    "nearest_copy": GREY,
    "unet": ORANGE,
    "random": GREY,
    "nearest": BLUE,
    "diverse": GREEN,
}
HOW = ("random", "nearest", "diverse")


def plot_support_size(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice against the number of examples, a line per system."""
    if frame.empty:
        return _nothing()
    figure, axes = plt.subplots(figsize=(5.6, 3.1), layout="constrained")
    _lines(axes, means(frame, ["system", "support"]), _present(frame["system"], TITLES))
    axes.set(xlabel="examples in the support", ylabel="Dice, unseen structures")
    return figure


def plot_selection(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice against the number of examples, a line per way of choosing them."""
    if frame.empty:
        return _nothing()
    figure, axes = plt.subplots(figsize=(5.6, 3.1), layout="constrained")
    _lines(axes, means(frame, ["how", "support"]), _present(frame["how"], HOW))
    axes.set(xlabel="examples in the support", ylabel="Dice, unseen structures")
    return figure


def plot_ensemble_size(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice against the number of members, and Dice against variance, a dot per query."""
    if frame.empty:
        return _nothing()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.8), layout="constrained")
    table = means(frame, ["members"])
    left.plot(table.index, table["mean"], "o-", color=COLOURS["universeg"])
    left.fill_between(table.index, table["low"], table["high"], color=COLOURS["universeg"],
                      alpha=0.15, linewidth=0)  # fmt: skip
    left.set(xlabel="members", ylabel="Dice", xscale="log")
    left.set_xticks(list(table.index), [str(count) for count in table.index])
    left.minorticks_off()
    rows = frame[frame["members"] == frame["members"].max()]
    right.plot(rows["variance"], rows["dice"], ".", color=COLOURS["universeg"], alpha=0.6)
    right.set(xlabel="mean variance over the mask", ylabel="Dice of the query")
    for axes in (left, right):
        _plain(axes)
    return figure


def plot_specific(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice per system, and each task's: in context against trained on the support."""
    if frame.empty:
        return _nothing()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.8), layout="constrained")
    systems = _present(frame["system"], ("universeg", "unet", "nearest_copy"))
    table = means(frame, ["system"])
    for place, name in enumerate(systems):
        line = table.loc[name]
        left.barh(place, line["mean"], height=0.6, color=COLOURS[name], alpha=0.5)
        left.plot([line["low"], line["high"]], [place] * 2, color=COLOURS[name], linewidth=3)
    left.set_yticks(range(len(systems)), [TITLES[name] for name in systems])
    left.set(xlim=(0, 1), xlabel="Dice, unseen structures")
    left.invert_yaxis()
    pair = task_means(frame, ["system"]).unstack("system")
    right.plot([0, 1], [0, 1], color="black", linewidth=0.6)
    right.plot(pair["unet"], pair["universeg"], "o", color=COLOURS["universeg"], markersize=4)
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel=TITLES["unet"], ylabel=TITLES["universeg"])
    right.set_aspect("equal")
    for axes in (left, right):
        _plain(axes)
    return figure


def plot_exchange(frame: pd.DataFrame) -> Figure:
    """Draw Dice with the own support and with another structure's, a line per task and draw."""
    if frame.empty:
        return _nothing()
    systems = _present(frame["system"], TITLES)
    figure, grid = plt.subplots(
        1, len(systems), figsize=(2.9 * len(systems), 2.8), layout="constrained", squeeze=False
    )
    for axes, name in zip(grid[0], systems, strict=True):
        own = frame[frame["system"] == name]
        for before, after in zip(own["own"], own["exchanged"], strict=True):
            axes.plot([0, 1], [before, after], color=COLOURS[name], linewidth=0.6, alpha=0.5)
        middle = [own["own"].mean(), own["exchanged"].mean()]
        axes.plot([0, 1], middle, "o-", color="black", linewidth=2)
        axes.set_xticks([0, 1], ["own support", "another's"])
        axes.set(ylim=(0, 1), ylabel="Dice", title=TITLES[name], xlim=(-0.2, 1.2))
        _plain(axes)
    return figure


def plot_growing(runs: Mapping[str, Sequence[Step]]) -> Figure:
    """Draw Dice before correction, and examples shown, case by case.

    Args:
        runs: Title to the steps of `fmtutor.engine.growing_context.segment_dataset`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.7), layout="constrained")
    for number, (title, steps) in enumerate(runs.items()):
        style = {"color": list(COLOURS.values())[number], "linewidth": 1.4}
        cases = [step.index + 1 for step in steps]
        left.plot(cases, [step.dice for step in steps], "o-", markersize=3, label=title, **style)
        right.plot(cases, [step.support for step in steps], label=title, **style)
    left.set(xlabel="case", ylabel="Dice before correction", ylim=(0, 1))
    right.set(xlabel="case", ylabel="examples shown", ylim=(0, None))
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        _plain(axes)
    return figure


def _lines(axes: Axes, table: pd.DataFrame, groups: Sequence[str]) -> None:
    """Draw a line with its band for each group over the second index, on a doubling scale."""
    for name in groups:
        part = table.loc[name]
        x = part.index.to_numpy(float)
        label = TITLES.get(name, name)
        axes.plot(x, part["mean"], "o-", color=COLOURS[name], label=label)
        axes.fill_between(
            x, part["low"].astype(float), part["high"].astype(float), color=COLOURS[name],
            alpha=0.15, linewidth=0,
        )  # fmt: skip
    sizes = sorted({size for _, size in table.index})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    _plain(axes)


def _present(column: pd.Series, order: Sequence[str] | Mapping[str, str]) -> list[str]:
    return [name for name in order if name in set(column)]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.title.set_fontsize(9)


def _nothing() -> Figure:
    figure = plt.figure(figsize=(5.6, 0.6))
    figure.text(0.5, 0.5, f"no result yet: {COMMAND}", ha="center", va="center", fontsize=9)
    return figure
