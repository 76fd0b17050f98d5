"""Diagrams of the scores of promptable networks, from `fmtutor.bench.interactive_results`.

Lines are means over tasks (a structure of a volume), bands their 95 % bootstrap intervals. Colours
are told apart by colour-blind readers, and every system has a marker of its own besides. An empty
table gives a figure that says which command makes it.
"""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fmtutor.bench.interactive_results import COMMAND, TITLES, means, per_click
from fmtutor.core.colours import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, SKY, VERMILION

COLOURS = {
    "sam_med3d": BLUE,
    "early_prompt": VERMILION,
    "sam_base": SKY,
    "sam_med2d": GREEN,
    "organs": BLACK,
    "sphere": GREY,
    "box": BROWN,
    "box per slice": ORANGE,
}
MARKERS = dict(zip(COLOURS, "osD^*xvh", strict=True))
SEEN = {True: "seen structures", False: "unseen structures"}
TICKS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
PROMPTS = ("automatic", "tight box", "relaxed box", "10 points")


def plot_clicks(
    frame: pd.DataFrame, *, volume: str = "target", simulator: str = "centre"
) -> Figure:
    """Draw mean Dice against clicks with intervals, seen and unseen structures apart.

    Args:
        frame: Rows of curves3d; dashed is what an oracle's crop gives.
        volume: Whose structures.
        simulator: Who clicks; the box, which nobody clicks, is drawn in any case.
    """
    here = frame[(frame["volume"] == volume) & frame["simulator"].isin([simulator, "none"])]
    if here.empty:
        return nothing()
    groups = [seen for seen in SEEN if (here["seen"] == seen).any()]
    figure, grid = plt.subplots(
        1, len(groups), figsize=(4.2 * len(groups) + 1.6, 3.1), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axes, seen in zip(grid[0], groups, strict=True):
        part = per_click(here[here["seen"] == seen])
        for system in present(part["system"]):
            for oracle, style in ((False, "-"), (True, "--")):
                line = part[(part["system"] == system) & (part["oracle"] == oracle)]
                if not line.empty:
                    _line(axes, means(line, ["clicks"]), system, style, oracle=oracle)
        tasks = part["structure"].nunique()
        axes.set(xlabel="clicks", ylim=(0, 1), title=f"{SEEN[seen]} ({tasks})")
        plain(axes)
    grid[0][0].set_ylabel("Dice")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    return figure


def plot_seconds(frame: pd.DataFrame) -> Figure:
    """Draw the seconds of each click, a dot a curve: the first with its embedding, then a median.

    Args:
        frame: Rows of curves3d.
    """
    asked = frame[
        frame["first_s"].notna() & (frame["system"] != "sphere") & ~_true(frame, "oracle")
    ]
    if asked.empty:
        return nothing()
    systems = present(asked["system"])
    figure, axes = plt.subplots(figsize=(5.6, 0.9 + 0.7 * len(systems)), layout="constrained")
    for place, system in enumerate(systems):
        rows = asked[asked["system"] == system]
        later = [pd.Series(seconds[1:]).median() for seconds in rows["seconds"]]
        for offset, values, filled in ((-0.15, rows["first_s"], "none"), (0.15, later, None)):
            axes.plot(
                values, [place + offset] * len(rows), MARKERS[system], color=COLOURS[system],
                markerfacecolor=filled or COLOURS[system], markersize=4, alpha=0.6,
            )  # fmt: skip
    axes.set_yticks(range(len(systems)), [TITLES[system] for system in systems])
    axes.set(xscale="log", xlabel="seconds a click (hollow: the first, with the embedding)")
    _ticks(axes)
    axes.set_ylim(len(systems) - 0.5, -0.5)
    plain(axes)
    return figure


def plot_points(frame: pd.DataFrame) -> Figure:
    """Draw Dice against points and against seconds: slice by slice in 2D, and in 3D.

    Args:
        frame: Rows of points.
    """
    if frame.empty:
        return nothing()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 3.1), layout="constrained", sharey=True
    )
    for system in present(frame["system"]):
        rows = frame[frame["system"] == system]
        table = {value: means(rows, ["per"], value)["mean"] for value in ("dice", "points")}
        seconds = means(rows, ["per"], "seconds")["mean"]
        look = {"color": COLOURS[system], "marker": MARKERS[system], "label": TITLES[system]}
        look["linestyle"] = "-" if rows["dims"].iloc[0] == 3 else ":"
        left.plot(table["points"], table["dice"], **look)
        right.plot(seconds, table["dice"], **look)
    left.set(xscale="log", xlabel="points of a structure in all", ylabel="Dice", ylim=(0, 1))
    right.set(xscale="log", xlabel="seconds of a structure in all")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    for axes in (left, right):
        _ticks(axes)
        plain(axes)
    return figure


def plot_prompts(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice a system for each kind of prompt, seen and unseen structures apart.

    Args:
        frame: Rows of prompts. A system that does not answer a prompt has no dot there.
    """
    rows = frame.dropna(subset=["dice"])
    if rows.empty:
        return nothing()
    prompts = [prompt for prompt in PROMPTS if prompt in set(rows["prompt"])]
    groups = [seen for seen in SEEN if (rows["seen"] == seen).any()]
    figure, grid = plt.subplots(
        1, len(groups), figsize=(4.2 * len(groups) + 1.6, 3.1), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    systems = present(rows["system"])
    for axes, seen in zip(grid[0], groups, strict=True):
        table = means(rows[rows["seen"] == seen], ["system", "prompt"])
        for (system, prompt), row in table.iterrows():
            x = prompts.index(prompt) + 0.09 * (systems.index(system) - (len(systems) - 1) / 2)
            axes.plot([x, x], [row["low"], row["high"]], color=COLOURS[system], linewidth=2)
            axes.plot(x, row["mean"], MARKERS[system], color=COLOURS[system], markersize=6)
        axes.set_xticks(range(len(prompts)), prompts)
        axes.set(xlim=(-0.5, len(prompts) - 0.5), ylim=(0, 1), title=SEEN[seen])
        plain(axes)
    grid[0][0].set_ylabel("Dice")
    figure.legend(handles=[_key(s) for s in systems], loc="outside right center", frameon=False,
                  fontsize=8)  # fmt: skip
    return figure


def present(column: pd.Series) -> list[str]:
    """Return the systems of a column in the order of `TITLES`."""
    return [name for name in TITLES if name in set(column)]


def plain(axes: Axes) -> None:
    """Take away what is not data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.title.set_fontsize(9)


def nothing() -> Figure:
    """Return the figure of a result that is not there."""
    figure = plt.figure(figsize=(5.6, 0.6))
    figure.text(0.5, 0.5, f"no result yet: {COMMAND}", ha="center", va="center", fontsize=9)
    return figure


def table_text(table: pd.DataFrame) -> str:
    """Return a table of `fmtutor.bench.interactive_results` as text, systems by their titles.

    Args:
        table: Numbers, rounded to two places; "-" where there is none.
    """
    if table.empty:
        return f"no result yet: {COMMAND}"
    shown = table.reset_index()
    shown["system"] = shown["system"].map(lambda name: TITLES.get(name, name))
    if "seen" in shown:
        shown["seen"] = shown["seen"].map({True: "seen", False: "unseen"})
    return shown.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.2f}")


def _line(axes: Axes, table: pd.DataFrame, system: str, style: str, *, oracle: bool) -> None:
    label = TITLES[system] + (", crop on the label" if oracle else "")
    x, colour = table.index.to_numpy(float), COLOURS[system]
    look: dict[str, Any] = {"marker": MARKERS[system], "markersize": 4, "linestyle": style}
    axes.plot(x, table["mean"], color=colour, label=label, **look)
    if not oracle:
        low, high = table["low"].to_numpy(float), table["high"].to_numpy(float)
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)


def _ticks(axes: Axes) -> None:
    """Write plain numbers along a logarithmic axis."""
    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _key(system: str) -> Line2D:
    return Line2D([], [], color=COLOURS[system], marker=MARKERS[system], label=TITLES[system])


def _true(frame: pd.DataFrame, column: str) -> pd.Series:
    return frame[column].astype(bool)
