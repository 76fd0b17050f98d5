"""Pictures of in-context segmentation: the block, episodes, answers beside the truth.

Slices are shown as radiologists do: the patient's right on the viewer's left, the front up. A
contour is orange where a mask was given (truth or example), blue where a network drew it.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from fmtutor.data.episodes import Episodes

TRUTH, ANSWER = "#ff8c1a", "#35a7ff"
QUERY, SUPPORT, MIXED = "#2166ac", "#e08214", "#7f7f7f"
Slice = Shaped[np.ndarray, "H W"] | Shaped[Tensor, "H W"]


def upright(plane: Slice) -> np.ndarray:
    """Turn a slice across any RAS axis for the screen: right on the left, front or head up."""
    return np.asarray(plane).T[::-1, ::-1]


def draw_slice(
    axes: Axes,
    image: Slice,
    *,
    truth: Slice | None = None,
    answer: Slice | None = None,
    title: str = "",
) -> None:
    """Draw an image in [0, 1] with contours of up to two masks."""
    axes.imshow(upright(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for mask, colour in ((truth, TRUTH), (answer, ANSWER)):
        if mask is not None and np.asarray(mask).any():
            shown = upright(np.asarray(mask) > 0.5).astype(float)
            # A mask that fills its square has no edge inside of it: the frame of zeros gives one.
            ends = np.arange(-1, shown.shape[1] + 1), np.arange(-1, shown.shape[0] + 1)
            axes.contour(*ends, np.pad(shown, 1), [0.5], colors=colour, linewidths=1.3)
            axes.set(xlim=(-0.5, shown.shape[1] - 0.5), ylim=(shown.shape[0] - 0.5, -0.5))
    axes.set_title(title, fontsize=8)
    axes.axis("off")


def plot_episodes(episodes: Sequence[Episodes], *, supports: int = 6, width: float = 8.4) -> Figure:
    """Draw a contact sheet: an episode a row, its query with target framed, then examples.

    Args:
        episodes: Each with B = 1.
        supports: Examples shown of each.
        width: In inches.
    """
    side = width / (supports + 1)
    figure, grid = plt.subplots(
        len(episodes), supports + 1, figsize=(width, len(episodes) * side * 1.13), squeeze=False
    )
    for row, episode in zip(grid, episodes, strict=True):
        name = episode.names[0].rpartition("/")[2].replace("_", " ")
        draw_slice(row[0], episode.query[0, 0], truth=episode.target[0, 0])
        row[0].set_title(name, fontsize=8, loc="left", pad=3)
        edge = {"transform": row[0].transAxes, "fill": False, "edgecolor": ANSWER, "linewidth": 4}
        row[0].add_patch(Rectangle((0, 0), 1, 1, **edge))
        for number, axes in enumerate(row[1:]):
            if number < episode.supports:
                image, mask = episode.support_images[0, number, 0], episode.support_masks[0, number]
                draw_slice(axes, image, truth=mask[0])
            axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 0.965, wspace=0.03, hspace=0.16)
    return figure


def plot_answers(
    panels: Mapping[str, tuple[Slice, Slice | None, Slice | None]],
    *,
    columns: int = 4,
    margin: int | None = None,
    width: float = 8.4,
) -> Figure:
    """Draw images with truth (orange) and answer (blue) in rows of ``columns``.

    Args:
        panels: Title to image, truth and answer; None leaves a contour out.
        columns: Panels in a row.
        margin: Pixels shown round both masks; None shows all of each image.
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
    for axes, (title, planes) in zip(grid.flat, panels.items(), strict=False):
        masks = [np.asarray(mask) for mask in planes[1:] if mask is not None]
        part = window_round(masks, np.asarray(planes[0]).shape, margin)
        image, truth, answer = (None if p is None else np.asarray(p)[part] for p in planes)
        assert image is not None
        draw_slice(axes, image, truth=truth, answer=answer, title=title)
    return figure


def window_round(
    masks: Sequence[np.ndarray], shape: Sequence[int], margin: int | None
) -> tuple[slice, slice]:
    """Return the square window that holds all masks with a margin; all, where they are empty."""
    seen = [np.argwhere(mask > 0.5) for mask in masks]
    if margin is None or not sum(map(len, seen)):
        return slice(None), slice(None)
    low, high = np.concatenate(seen).min(0), np.concatenate(seen).max(0) + 1
    side = min(int((high - low).max()) + 2 * margin, *shape)
    first = np.clip((low + high - side) // 2, 0, np.array(shape) - side)
    rows, columns = (slice(int(start), int(start) + side) for start in first)
    return rows, columns


def plot_ensemble(
    image: Slice,
    truth: Slice,
    members: Float[Tensor, "M H W"],
    *,
    margin: int | None = None,
    width: float = 8.4,
) -> Figure:
    """Draw each member's contour, their mean, their variance, and where the mean is wrong."""
    part = window_round([np.asarray(truth), *members.numpy()], truth.shape, margin)
    image, truth = np.asarray(image)[part], np.asarray(truth)[part]
    drawn = members.numpy()[(slice(None), *part)]
    mean, variance = drawn.mean(0), drawn.var(0)
    wrong = (mean > 0.5) != (np.asarray(truth) > 0.5)
    figure, panels = plt.subplots(1, 4, figsize=(width, width / 4 + 0.3), layout="constrained")
    draw_slice(panels[0], image, truth=truth, title=f"{len(members)} members")
    for member in drawn:
        edge = upright(member)
        if edge.max() > 0.5 > edge.min():
            panels[0].contour(edge, [0.5], colors=ANSWER, linewidths=0.6)
    draw_slice(panels[1], image, truth=truth, answer=mean > 0.5, title="their mean")
    maps = {"their variance": variance, "where the mean is wrong": wrong}
    for axes, (title, shown) in zip(panels[2:], maps.items(), strict=True):
        axes.imshow(upright(shown), cmap="magma", interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    return figure


def plot_training(
    losses: Sequence[float], sensitivity: Sequence[tuple[int, float, float]], *, window: int = 10
) -> Figure:
    """Draw the loss of each step with its running mean, and Dice with own and exchanged support.

    Args:
        losses: One a step.
        sensitivity: Step, Dice with the own support, Dice with another task's.
        window: Steps of the running mean.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.5), layout="constrained")
    left.plot(losses, color=MIXED, linewidth=0.6)
    if len(losses) >= window:
        smooth = np.convolve(losses, np.ones(window) / window, "valid")
        left.plot(np.arange(window - 1, len(losses)), smooth, color=QUERY, linewidth=1.8)
    left.set(xlabel="step", ylabel="loss", title="training loss")
    steps, own, other = zip(*sensitivity, strict=True)
    right.plot(steps, own, "o-", color=QUERY, label="its own support")
    right.plot(steps, other, "o--", color=SUPPORT, label="another structure's")
    right.fill_between(steps, own, other, color=QUERY, alpha=0.12)
    right.set(xlabel="step", ylabel="Dice", ylim=(0, 1), title="support sensitivity")
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.title.set_fontsize(9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_block() -> Figure:
    """Draw the cross block: what the query meets, what is averaged, what goes on."""
    figure, axes = plt.subplots(figsize=(8.4, 3.1), layout="constrained")
    axes.set(xlim=(0, 10.2), ylim=(0.3, 3.6))
    axes.axis("off")
    _box(axes, 0.1, 2.5, "query $u$", QUERY)
    _box(axes, 0.1, 0.5, "supports $v_i$", SUPPORT, stack=3)
    _box(axes, 2.4, 1.5, "CrossConv\n$z_i=$Conv$(u\\Vert v_i)$", MIXED, wide=1.85)
    _box(axes, 5.05, 1.5, "$z_i$", MIXED, stack=3, wide=0.8)
    _box(axes, 6.5, 2.5, "mean over $i$", QUERY)
    _box(axes, 8.4, 2.5, "Conv$_q$, ReLU\n$u'$", QUERY)
    _box(axes, 8.4, 0.5, "Conv$_s$, ReLU\n$v_i'$", SUPPORT, stack=3)
    for start, end in (
        ((1.6, 2.9), (2.4, 2.1)), ((1.75, 0.95), (2.4, 1.75)), ((4.25, 1.9), (5.05, 1.9)),
        ((6.0, 2.2), (6.5, 2.75)), ((8.0, 2.9), (8.4, 2.9)), ((6.0, 1.75), (8.4, 0.95)),
    ):  # fmt: skip
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black"})
    axes.text(7.25, 2.25, "any number, any order", ha="center", fontsize=8, style="italic")
    axes.text(3.3, 1.25, "once for every support", ha="center", fontsize=8, style="italic")
    return figure


def _box(
    axes: Axes, x: float, y: float, text: str, colour: str, *, stack: int = 1, wide: float = 1.5
) -> None:
    """Draw a box of height 0.8, or a stack of them with the foremost at (x, y)."""
    for layer in reversed(range(stack)):
        at = (x + 0.07 * layer, y + 0.09 * layer)
        axes.add_patch(
            FancyBboxPatch(at, wide, 0.8, boxstyle="round,pad=0.02,rounding_size=0.08",
                           facecolor="white", edgecolor=colour, linewidth=1.8)
        )  # fmt: skip
    axes.text(x + wide / 2, y + 0.4, text, ha="center", va="center", fontsize=9)
