"""Figures of what notebooks 12 and 13 measure live: answers, what is still known, moved features.

They take what `fmtutor.bench.few_shot_lessons` and `fmtutor.bench.few_shot_levels` return; curves
of losses, what result files hold.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fmtutor.bench.figures_in_context import draw_slice, window_round
from fmtutor.core.colours import BLUE, GREEN, ON_WHITE, ORANGE, VERMILION
from fmtutor.data.few_shot import Volume
from fmtutor.engine.metrics import dice

ADAPTED = ((BLUE, "o"), (ORANGE, "s"), (VERMILION, "D"), (GREEN, "^"))
"""Colour and marker of each adapted backbone in turn."""


def plot_masks(
    panels: Mapping[str, tuple[Volume, np.ndarray]], *, margin: int = 10, columns: int = 4
) -> Figure:
    """Draw answers on the axial slice that shows most of the structure, with Dice of the volume.

    Args:
        panels: Title to what was asked, whose reference is drawn, and the mask (H, W, D) answered.
        margin: Voxels round the structure.
        columns: Panels in a row.
    """
    rows = -(-len(panels) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(2.1 * columns, 2.4 * rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.axis("off")
    for axes, (title, (volume, mask)) in zip(grid.flat, panels.items(), strict=False):
        truth = volume.reference
        axial = int(truth.sum((0, 1)).argmax())
        at = (*window_round([truth[..., axial]], truth.shape[:2], margin), axial)
        draw_slice(axes, volume.image[at], truth=truth[at], answer=mask[at],
                   title=f"{title}: {dice(mask, truth):.2f}")  # fmt: skip
    return figure


def plot_knowledge(table: pd.DataFrame, *, base: str = "base") -> Figure:
    """Draw what backbones still know of each structure, beside the base.

    Args:
        table: Of `fmtutor.bench.few_shot_lessons.knowledge`.
        base: Name of the backbone that nothing was done to.
    """
    means = table.pivot_table(index="structure", columns="backbone", values="dice", sort=False)
    others = [name for name in means.columns if name != base]
    figure, axes = plt.subplots(figsize=(7.5, 0.42 * len(means) + 1.3), layout="constrained")
    for place, known in enumerate(means[base]):
        axes.plot([known] * 2, [place - 0.38, place + 0.38], color="black", lw=2)
    for number, name in enumerate(others):
        colour, marker = ADAPTED[number % len(ADAPTED)]
        places = np.arange(len(means)) + 0.5 * (number + 0.5) / len(others) - 0.25
        axes.hlines(places, means[name], means[base], color=colour, lw=1.2)
        axes.plot(means[name], places, marker, color=colour, ms=7, mec="white", label=name)
    axes.plot([], [], color="black", lw=2, label=base)
    axes.set_yticks(range(len(means)), [name.replace("_", " ") for name in means.index])
    axes.set_ylim(len(means) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.0)
    axes.set_xlabel("Dice, asked with the base's own head")
    axes.grid(axis="x", color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def plot_levels(
    values: Mapping[str, Mapping[str, float]],
    *,
    ylabel: str = "|after - before| / |before|",
    bottom: float = -0.02,
) -> Figure:
    """Draw a number of every level of a backbone: how far its features moved, or what they tell.

    Args:
        values: Title to level to number: what `fmtutor.bench.few_shot_levels.feature_shift` or
            ``separability`` returns. At most four titles.
        ylabel: What the number is.
        bottom: Where the axis begins.
    """
    figure, axes = plt.subplots(figsize=(7.5, 2.7), layout="constrained")
    for (title, levels), (colour, marker) in zip(values.items(), ADAPTED, strict=False):
        axes.plot(range(len(levels)), list(levels.values()), f"{marker}-", color=colour,
                  ms=6, mec="white", label=title.replace("_", " "))  # fmt: skip
        axes.set_xticks(range(len(levels)), list(levels), fontsize=8)
    axes.set_ylim(bottom=bottom)
    axes.set_ylabel(ylabel)
    axes.grid(axis="y", color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def plot_losses(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw the losses of trainings over the share of each that is done, a panel for a backbone.

    Args:
        curves: Title of a panel to label to losses; a panel holds what
            `fmtutor.bench.few_shot_committed.loss_curves` returns. At most ten labels a panel;
            every other line is dashed.
    """
    figure, panels = plt.subplots(
        1, len(curves), figsize=(4.2 * len(curves), 3.6), layout="constrained", sharey=True,
        squeeze=False,
    )  # fmt: skip
    for axes, (title, lines) in zip(panels[0], curves.items(), strict=True):
        for number, (label, losses) in enumerate(lines.items()):
            axes.plot(np.linspace(0, 100, len(losses)), losses, "--" if number % 2 else "-",
                      color=ON_WHITE[number], lw=1.4, label=label)  # fmt: skip
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("% of the training")
        axes.spines[["top", "right"]].set_visible(False)
        if lines:
            axes.legend(fontsize=8, frameon=False, ncols=2, loc="upper center",
                        bbox_to_anchor=(0.5, -0.22))  # fmt: skip
    panels[0, 0].set_ylabel("loss")
    return figure
