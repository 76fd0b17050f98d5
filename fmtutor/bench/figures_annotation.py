"""Pictures of annotation: who drew what, what it cost, and what a network learnt from it.

All but the slices are drawn from the frames of `fmtutor.bench.annotation_results`; an empty frame
gives an empty figure with a note.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fmtutor.bench.annotation_context import AIM, MOST
from fmtutor.bench.annotation_crowd import Costs
from fmtutor.bench.annotation_results import LABELS, SKILLS, case_means, click_curves
from fmtutor.bench.figures_in_context import TRUTH, draw_slice, upright, window_round
from fmtutor.core.colours import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from fmtutor.engine.metrics import bootstrap_mean

COLOURS = {
    "expert": BLUE, "trained": GREEN, "novice": VERMILION, "vote": SKY,
    "true": BLACK, "rough": GREY, "grown": ORANGE,
    "random": GREY, "uncertain": VERMILION, "diverse": BLUE, "error": BLUE,
    "growing": BLUE, "fixed": GREEN, "afresh": VERMILION,
}  # fmt: skip
Mask = Bool[np.ndarray, "H W"]


def plot_people(
    image: Float[np.ndarray, "H W"],
    truth: Mask,
    people: Mapping[str, Mask],
    *,
    margin: int = 8,
    width: float = 8.4,
) -> Figure:
    """Draw one slice: everybody's contour on the truth's, and how many took each pixel too much.

    Args:
        image: In [0, 1].
        truth: The structure on the slice.
        people: Name ("novice-0") to mask.
        margin: Pixels shown round all masks.
        width: In inches.
    """
    part = window_round([truth, *people.values()], truth.shape, margin)
    figure, panels = plt.subplots(1, 3, figsize=(width, width / 3 + 0.3), layout="constrained")
    draw_slice(panels[0], image[part], truth=truth[part], title="the truth")
    draw_slice(panels[1], image[part], title="everybody")
    for name, mask in people.items():
        shown = upright(mask[part]).astype(float)
        if 0 < shown.sum() < shown.size:
            colour = COLOURS.get(name.partition("-")[0], "white")
            panels[1].contour(shown, [0.5], colors=colour, linewidths=1.4)
    signed = np.mean([mask.astype(float) - truth for mask in people.values()], 0)
    drawn = panels[2].imshow(upright(signed[part]), cmap="RdBu_r", vmin=-1, vmax=1)
    panels[2].contour(upright(truth[part]).astype(float), [0.5], colors=TRUTH, linewidths=1.0)
    panels[2].set_title("share of people: too much (red), missed (blue)", fontsize=8)
    panels[2].axis("off")
    figure.colorbar(drawn, ax=panels[2], shrink=0.7)
    return figure


def plot_crowd(frame: pd.DataFrame) -> Figure:
    """Draw Dice after each click by skill, and each mask's Dice against its border's mean shift."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
    for skill in (s for s in SKILLS if s in set(frame["skill"])):
        curves = frame[frame["skill"] == skill]["by_click"].tolist()
        most = max(map(len, curves))
        full = np.array([[*c, *[c[-1]] * (most - len(c))] for c in curves if c])
        left.plot(range(1, most + 1), full.mean(0), "o-", color=COLOURS[skill], label=skill)
    for skill, part in frame.groupby("skill", sort=False):
        shift = part["bias_mm"].astype(float)
        right.scatter(shift, part["dice"], s=14, color=COLOURS[str(skill)], label=skill, alpha=0.7)
    right.axvline(0, color="black", linewidth=0.6)
    left.set(xlabel="clicks", ylabel="Dice with the truth", ylim=(0, 1), title="mean of all masks")
    right.set(xlabel="mean shift of the border, mm (outwards +)", ylabel="Dice",
              title="each mask")  # fmt: skip
    if len(frame):
        right.legend(frameon=False, fontsize=8, loc="upper left")  # the vote has no curve
    return _finished(figure, [left, right], empty=frame.empty)


def plot_costs(frame: pd.DataFrame, costs: Costs, *, skill: str = "expert") -> Figure:
    """Draw the minutes of a structure against what a click takes, beside outlining it by hand."""
    figure, axes = plt.subplots(figsize=(5.4, 2.8), layout="constrained")
    mine = frame[frame["skill"] == skill]
    if len(mine):
        seconds = np.arange(1, 61)
        clicks, outlined = mine["clicks"].mean(), mine["outlined_s"].mean()
        axes.plot(seconds, (costs.look_s + clicks * seconds) / 60, color=COLOURS[skill],
                  label=f"{clicks:.1f} clicks")  # fmt: skip
        upper = costs.look_s + (outlined - costs.look_s) * 79 / costs.slice_s
        axes.axhspan(outlined / 60, upper / 60, color=TRUTH, alpha=0.3, label="outlined by hand")
        axes.axvline(costs.click_s, color="black", linewidth=0.6, linestyle=":")
    axes.set(
        xlabel="seconds a click (assumed: dotted)", ylabel="minutes a structure", ylim=(0, None)
    )
    return _finished(figure, [axes], empty=not len(mine))


def plot_labels(labels: pd.DataFrame, training: pd.DataFrame, tests: str) -> Figure:
    """Draw, for each label set, the labels' Dice and border beside those of what learnt from it.

    Lines are 95 % intervals over cases.
    """
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.0), layout="constrained", sharey=True)
    learnt = training[training["tests"] == tests] if len(training) else training
    names = [name for name in LABELS if len(learnt) and name in set(learnt["labels"])]
    for axes, value in zip(panels, ("dice", "bias_mm"), strict=True):
        for row, name in enumerate(reversed(names)):
            for frame, marker, offset in ((labels, "s", 0.16), (learnt, "o", -0.16)):
                mine = frame[frame["labels"] == name].assign(
                    bias_mm=lambda f: f["bias_mm"].astype(float)
                )
                values = case_means(mine, [], value).dropna()
                if values.empty:
                    continue
                found = bootstrap_mean(values.tolist(), 0)
                axes.plot([found.low, found.high], [row + offset] * 2, color=COLOURS[name])
                axes.plot(found.mean, row + offset, marker, color=COLOURS[name], markersize=7,
                          fillstyle="none" if marker == "s" else "full")  # fmt: skip
    panels[0].set_yticks(range(len(names)), [LABELS[name] for name in reversed(names)])
    panels[0].set(xlabel="Dice", title="square: the labels; dot: the network, other patients")
    panels[1].axvline(0, color="black", linewidth=0.6)
    panels[1].set(xlabel="mean shift of the border, mm", title="outwards +")
    return _finished(figure, list(panels), empty=not names, legend=False)


def plot_volumes(frame: pd.DataFrame) -> Figure:
    """Draw Dice against annotated volumes for each choice and test set; thin lines are seeds."""
    names = list(dict.fromkeys(frame["tests"])) or [""]
    figure, grid = plt.subplots(
        1, len(names), figsize=(4.2 * len(names), 2.9), layout="constrained", squeeze=False
    )
    for axes, name in zip(grid[0], names, strict=True):
        part = frame[frame["tests"] == name]
        for choice, mine in part.groupby("choice", sort=False):
            seeds = mine.groupby(["seed", "volumes"])["dice"].mean().unstack("volumes")
            colour = COLOURS[str(choice)]
            axes.plot(seeds.columns, seeds.to_numpy().T, color=colour, linewidth=0.5, alpha=0.6)
            axes.plot(seeds.columns, seeds.mean(), "o-", color=colour, label=choice)
        axes.set(xlabel="annotated volumes", ylabel="Dice", title=name)
    return _finished(figure, list(grid[0]), empty=frame.empty)


def plot_clicks(frame: pd.DataFrame) -> Figure:
    """Draw the mean Dice after each click, for each way to choose where it goes."""
    figure, axes = plt.subplots(figsize=(5.4, 2.8), layout="constrained")
    for choice, values in click_curves(frame).items():
        axes.plot(values.index, values, "o-", color=COLOURS[str(choice)], label=choice)
    axes.set(xlabel="clicks (the first is everybody's)", ylabel="Dice", ylim=(0, 1))
    return _finished(figure, [axes], empty=frame.empty)


def plot_context(frame: pd.DataFrame) -> Figure:
    """Draw clicks, and Dice before the first of them, against the number of the image."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
    for start, mine in frame.groupby("start", sort=False):
        colour, per_image = COLOURS[str(start)], mine.groupby("image")
        left.plot(per_image["clicks"].mean(), "o-", color=colour, label=start, markersize=4)
        right.plot(per_image["before"].mean(), "o-", color=colour, label=start, markersize=4)
    left.set(xlabel="image of the data set", ylabel="clicks", ylim=(0, None),
             title=f"clicks until Dice {AIM}, at most {MOST}")  # fmt: skip
    right.set(xlabel="image of the data set", ylabel="Dice", ylim=(0, 1), title="before any click")
    return _finished(figure, [left, right], empty=frame.empty)


def _finished(
    figure: Figure, panels: Sequence[Axes], *, empty: bool, legend: bool = True
) -> Figure:
    """Give panels their common manners; an empty figure says that it is."""
    for axes in panels:
        if axes.get_xlabel().startswith(("clicks", "annotated", "image")):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.title.set_fontsize(9)
        axes.spines[["top", "right"]].set_visible(False)
        if empty:
            axes.text(0.5, 0.5, "no results yet", ha="center", transform=axes.transAxes)
    if legend and not empty:
        panels[0].legend(frameon=False, fontsize=8)
    return figure
