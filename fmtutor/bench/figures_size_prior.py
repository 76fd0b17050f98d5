"""The figure on the size prior: what it does to Dice, and to sizes."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fmtutor.core.colours import BLUE, GREY, VERMILION

ARMS = {"without": (GREY, "s"), "support": (BLUE, "o"), "oracle": (VERMILION, "D")}
"""Colour and marker of an arm."""
SHIFTS = {"without": 0.0, "support": -0.18, "oracle": 0.18}
"""How far below its line's place an arm is drawn, so that none hides another."""


def plot_size_prior(table: pd.DataFrame) -> Figure:
    """Draw what each size prior changes in Dice, with intervals, beside how wrong sizes are.

    Args:
        table: From `fmtutor.bench.size_prior_results.size_prior_table`.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.5, 0.32 * len(table) + 1.3), layout="constrained", sharey=True
    )
    for place, (_, line) in enumerate(table.iterrows()):
        _differences(left, line, place)
        for arm, (colour, marker) in ARMS.items():
            at = place + SHIFTS[arm]
            right.plot(100 * line[f"size_{arm}"], at, marker, color=colour, mec="white", ms=7)
    names = table["row"] + ", " + table["structure"].str.replace("_", " ")
    left.set_yticks(range(len(table)), list(names), fontsize=8)
    left.set_ylim(max(len(table), 1) - 0.5, -0.5)
    left.axvline(0, color="black", lw=0.8)
    left.set_xlabel("Dice, difference to no prior")
    right.set_xlabel("size of the mask, median error in %")
    right.set_xscale("log")
    right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    right.xaxis.set_minor_formatter(NullFormatter())
    for axes in (left, right):
        axes.grid(axis="x", color="#e5e5e5")
        axes.spines[["top", "right"]].set_visible(False)
    handles = [
        plt.Line2D([], [], color=colour, marker=marker, ls="", mec="white", label=arm)
        for arm, (colour, marker) in ARMS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _differences(axes: Axes, line: pd.Series, place: int) -> None:
    """Draw the two arms with a prior, one a little above the other."""
    for arm in ("support", "oracle"):
        (colour, marker), at = ARMS[arm], place + SHIFTS[arm]
        ends = [line[f"{arm}_low"], line[f"{arm}_high"]]
        axes.plot(ends, [at] * 2, color=colour, lw=3, solid_capstyle="butt")
        axes.plot(line[arm], at, marker, color=colour, mec="white", ms=7)
