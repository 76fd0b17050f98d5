"""Figures of class vectors: who is near whom, before and after the common part is taken off.

And one table: what a bank knows of left and right.
"""

from collections.abc import Collection

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox, BboxBase

from fmtutor.data.anatomy import STRUCTURES, colour_of
from fmtutor.nets.text import TextBank

_GREY = "#8a8a8a"
_PLACES = tuple(
    (across * gap, up * gap)
    for gap in (6, 12, 19, 27, 36)
    for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
)
"""Where a label may stand, in points from its mark: the nearest free place is taken."""
_ANCHOR = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}


def off_diagonal(bank: TextBank) -> dict[str, float]:
    """Return mean, min and max of the cosine between different classes.

    Raises:
        ValueError: The bank has one class only.
    """
    count = len(bank.names)
    if count < 2:
        raise ValueError("a cosine between classes needs two of them, not 1; give more names.")
    values = bank.cosine()[~torch.eye(count, dtype=torch.bool)]
    return {
        "mean": values.mean().item(),
        "min": values.min().item(),
        "max": values.max().item(),
    }


def sides(bank: TextBank) -> pd.DataFrame:
    """Measure, for each class with a left and a right, whether the vectors tell them apart.

    Args:
        bank: Two or more pairs of names that differ in "left" and "right" alone.

    Returns:
        Columns left (the name), cosine (of the pair), rank (of the right one among all classes
        nearest to the left one, from 1), gap (distance of the pair over the mean distance of two
        classes), agreement (cosine of left minus right with the mean of the other pairs' own:
        near 1 where "left" is one direction for all, near 0 where each pair has its own).

    Raises:
        ValueError: The bank has fewer than two such pairs.
    """
    left = [n for n in bank.names if "left" in n and n.replace("left", "right") in bank.names]
    if len(left) < 2:
        raise ValueError(f"two pairs of left and right are needed, not {len(left)}; add names.")
    right = [name.replace("left", "right") for name in left]
    apart = torch.pdist(bank.vectors).mean()
    cosine = bank.cosine().fill_diagonal_(2)  # above all others, even an equal row
    change = bank.rows(left) - bank.rows(right)
    others = change.sum(0) - change  # of every pair but this
    agreement = torch.nn.functional.cosine_similarity(change, others, dim=1)
    rows = []
    for i, (one, other) in enumerate(zip(left, right, strict=True)):
        near, place = cosine[bank.names.index(one)], bank.names.index(other)
        rank = int((near > near[place]).sum())  # the class itself is above: ranks count from 1
        gap = (change[i].norm() / apart).item()
        rows.append((one, near[place].item(), rank, gap, agreement[i].item()))
    return pd.DataFrame(rows, columns=["left", "cosine", "rank", "gap", "agreement"])


def plot_cosines(bank: TextBank) -> Figure:
    """Draw the cosine of every pair of classes, as encoded and centred, side by side.

    Args:
        bank: Two to some forty classes: `TextBank.only` picks them.

    Returns:
        A figure that grows with the number of classes; the caller saves or shows it.

    Raises:
        ValueError: The bank has one class only.
    """
    side = max(2.7, 0.2 * len(bank.names))  # of a panel, in inches
    figure, panels = plt.subplots(
        1, 2, figsize=(2 * side + 2.9, side + 1.8), layout="constrained", sharey=True
    )
    for axes, title, shown in zip(
        panels, ("as encoded", "mean row taken off"), (bank, bank.centred()), strict=True
    ):
        image = axes.imshow(shown.cosine().numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
        found = off_diagonal(shown)
        numbers = f"mean {found['mean']:.2f}, {found['min']:.2f} to {found['max']:.2f}"
        axes.set_title(f"{title}\noff the diagonal: {numbers.replace('-', '−')}", fontsize=9)
        _name_axes(axes, bank)
    figure.colorbar(image, ax=panels, label="cosine", shrink=0.6)
    return figure


def _name_axes(axes: Axes, bank: TextBank) -> None:
    labels = [name.replace("_", " ") for name in bank.names]
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0, labelsize=7)
    for spine in axes.spines.values():
        spine.set_visible(False)


def plot_map(bank: TextBank, *, novel: Collection[str] = ()) -> Figure:
    """Draw the classes in the plane of the two directions along which they differ most (PCA).

    Args:
        bank: Three or more classes. Two directions of hundreds are a rough view: the share of the
            variance that they hold stands at the axes.
        novel: Classes drawn as rings, such as those that no network was trained on.

    Returns:
        A figure of 9 by 7 inches; the caller saves or shows it.

    Raises:
        ValueError: There are fewer than three classes.
    """
    if len(bank.names) < 3:
        raise ValueError(f"a map needs three classes, not {len(bank.names)}; give more names.")
    u, s, _ = torch.linalg.svd(bank.centred().vectors, full_matrices=False)
    places = (u * s)[:, :2].numpy()
    share = (s.square() / s.square().sum())[:2].tolist()
    figure, axes = plt.subplots(figsize=(9, 7), layout="constrained")
    for name, (x, y) in zip(bank.names, places, strict=True):
        colour = colour_of(name) if name in STRUCTURES else _GREY
        if name in novel:
            axes.plot(x, y, "o", color=colour, markerfacecolor="white", markeredgewidth=1.8)
        else:  # the rim keeps pale colours in sight
            axes.plot(x, y, "o", color=colour, markeredgecolor=_GREY, markeredgewidth=0.6)
    axes.set_xlabel(f"first direction ({share[0]:.0%} of the variance)")
    axes.set_ylabel(f"second direction ({share[1]:.0%})")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(x=0.2, y=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    _write_names(figure, axes, bank.names, places)
    return figure


def _write_names(figure: Figure, axes: Axes, names: tuple[str, ...], places: np.ndarray) -> None:
    figure.canvas.draw()  # so that text has its size in pixels
    points = axes.transData.transform(places)
    half = 3.5 * figure.dpi / 72  # of a mark
    taken = [Bbox.from_extents(x - half, y - half, x + half, y + half) for x, y in points]
    for name, place in zip(names, places, strict=True):
        text = axes.annotate(
            name.replace("_", " "), place, (0, 0), textcoords="offset points", fontsize=8
        )
        text.set_in_layout(False)
        across, up = _free_place(text, axes.bbox, taken)
        taken.append(text.get_window_extent())
        if max(abs(across), abs(up)) > 10:  # far from its mark: a line leads there
            line = {"arrowstyle": "-", "color": _GREY, "linewidth": 0.6}
            axes.annotate("", place, (across, up), textcoords="offset points", arrowprops=line)


def _free_place(text: Annotation, frame: BboxBase, taken: list[Bbox]) -> tuple[int, int]:
    for across, up in _PLACES:
        (side, _), (_, level) = _ANCHOR[int(np.sign(across))], _ANCHOR[int(np.sign(up))]
        text.set(position=(across, up), horizontalalignment=side, verticalalignment=level)
        box = text.get_window_extent()
        inside = frame.x0 < box.x0 and box.x1 < frame.x1
        if inside and not any(box.overlaps(other) for other in taken):
            break
    return across, up
