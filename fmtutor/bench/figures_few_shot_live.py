"""Figures of what notebooks 12 and 13 measure live: answers, what is still known, moved features.

They take what `fmtutor.bench.few_shot_lessons` returns.
"""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fmtutor.bench.figures_in_context import draw_slice, window_round
from fmtutor.core.colours import BLUE, GREEN, ORANGE, VERMILION
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


def plot_levels(shifts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw how far the features of every level moved.

    Args:
        shifts: Title to what `fmtutor.bench.few_shot_lessons.feature_shift` returns.
    """
    figure, axes = plt.subplots(figsize=(7.5, 2.7), layout="constrained")
    for (title, levels), (colour, marker) in zip(shifts.items(), ADAPTED, strict=False):
        axes.plot(range(len(levels)), list(levels.values()), f"{marker}-", color=colour,
                  ms=6, mec="white", label=title)  # fmt: skip
        axes.set_xticks(range(len(levels)), list(levels), fontsize=8)
    axes.set_ylim(bottom=-0.02)
    axes.set_ylabel("|after - before| / |before|")
    axes.grid(axis="y", color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure
