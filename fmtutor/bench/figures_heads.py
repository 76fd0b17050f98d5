"""Figures of generated heads: what a name writes, what it costs, and where two windows disagree.

For notebook 03. The head of `fmtutor.paradigms.partial.clip_driven` is 153 numbers per class and
window, of which the text writes one summand and the pooled image the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from fmtutor.core.colours import BLUE, GREEN, VERMILION
from fmtutor.core.files import read_json
from fmtutor.data.anatomy import colour_of
from fmtutor.data.taxonomies import TAXONOMIES, taxonomy
from fmtutor.data.templates import supervision
from fmtutor.losses.dice import slice_dice_floor
from fmtutor.nets.dynamic_head import dynamic_head
from fmtutor.nets.working_grid import finest_features, to_input_grid
from fmtutor.paradigms.partial.clip_driven import HEAD, ClipDriven

FORM_COLOURS = {"published": VERMILION, "lean": GREEN, "fused": BLUE}
DICE_COLOURS = {"slice": VERMILION, "volume": GREEN}
QUESTIONS = {
    "forward": "answer",
    "forward_backward": "training step,\nall classes",
    "forward_backward_two": "training step,\n2 classes known",
}
"""Parts of a result of benchmarks/dynamic_head, in words."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Window:
    """What a text-driven network makes of one window."""

    features: Float[Tensor, "1 F h w d"]
    """What every head reads."""
    image_part: Float[Tensor, " P"]
    """A g: what the window adds to the parameters of every head."""


@torch.no_grad()
def look(model: ClipDriven, window: Float[Tensor, "1 1 H W D"]) -> Window:
    """Run all of the network but its heads on one window."""
    levels = model.backbone.encode(window)
    features = model.reduce(finest_features(model.backbone, levels))
    image = model.controller.image_part(model.pool(levels[-1]).flatten(1))
    return Window(features=features, image_part=image[0])


@torch.no_grad()
def answer(model: ClipDriven, features: Window, head: Window) -> Float[Tensor, "L H W D"]:
    """Return probabilities: the heads that one window has, on the features of another (or it)."""
    theta = head.image_part + model.text_parameters()
    logits = dynamic_head(features.features, theta[None])
    return to_input_grid(model.backbone, logits)[0].sigmoid()


def plot_theta(model: ClipDriven, windows: Mapping[str, Window]) -> Figure:
    """Draw both summands of the 153 numbers: a row per name, and a row per window.

    Args:
        model: A text-driven network.
        windows: What to write beside a row, to the window.
    """
    with torch.no_grad():
        text = model.text_parameters()
    text = text - text.mean(0)  # the common part, with the bias, is everybody's
    image = torch.stack([window.image_part for window in windows.values()])
    image = image - image.mean(0)
    limit = float(torch.cat([text, image]).abs().quantile(0.995))
    heights = [len(text), len(image)]
    figure, panels = plt.subplots(
        2, 1, figsize=(10.5, 0.19 * sum(heights) + 1.6), height_ratios=heights,
        layout="constrained", sharex=True,
    )  # fmt: skip
    labels = [[name.replace("_", " ") for name in model.config.classes], list(windows)]
    titles = [
        f"written by the name: standard deviation {text.std(0).mean():.3f}",
        f"written by the window: standard deviation {image.std(0).mean():.3f}",
    ]
    for axes, rows, names, title in zip(panels, (text, image), labels, titles, strict=True):
        drawn = axes.imshow(rows.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto",
                            interpolation="nearest")  # fmt: skip
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_title(title, fontsize=9)
        _mark_layers(axes)
    figure.colorbar(drawn, ax=panels, label="distance from the mean row", shrink=0.7)
    return figure


def _mark_layers(axes: Axes) -> None:
    """Rule off weights and biases, and name them below."""
    weights, biases = HEAD.split(torch.zeros(HEAD.count))
    ends = np.cumsum([part.numel() for part in (*weights, *biases)])
    names = ["W₁ (64)", "W₂ (64)", "W₃ (8)", "b₁", "b₂", "b₃"]
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color="black", linewidth=0.7)
    middles = ends - np.diff(ends, prepend=0) / 2 - 0.5
    axes.set_xticks(middles, names, fontsize=8)
    axes.tick_params(length=0)


def plot_forms(result: Path) -> Figure:
    """Draw seconds and memory of the published and the lean head from a benchmark's result."""
    found = read_json(result)
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 2.9), layout="constrained")
    parts = {"CPU seconds": found["seconds"], "memory beyond the inputs, MB": found["extra_mb"]}
    for axes, (title, values) in zip(panels, parts.items(), strict=True):
        forms = [form for form in FORM_COLOURS if form in found["seconds"]["forward"]]
        for place, form in enumerate(forms):
            for row, question in enumerate(QUESTIONS):
                value = values[question][form]
                value = value["cpu"] if isinstance(value, dict) else value
                y = row + (place - (len(forms) - 1) / 2) * 0.36
                axes.barh(y, value, height=0.33, color=FORM_COLOURS[form],
                          label=form if row == 0 else None)  # fmt: skip
                text = f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
                axes.text(value * 1.06, y, text, va="center", fontsize=8)
        axes.set_yticks(range(len(QUESTIONS)), list(QUESTIONS.values()), fontsize=8)
        axes.set(xscale="log", xlabel=title)
        axes.set_xlim(right=axes.get_xlim()[1] * 2)
        axes.invert_yaxis()
        _plain(axes)
    panels[1].legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    side = found["side"]
    figure.suptitle(f"{found['classes']} classes, features of {side}³ voxels", fontsize=10)
    return figure


@dataclass(frozen=True, eq=False, kw_only=True)
class Seam:
    """Three answers to the voxels that two windows share; (L, H, W, D) probabilities each."""

    first: Tensor
    """The first window's."""
    second: Tensor
    """The second window's."""
    exchanged: Tensor
    """The first window's features under the second window's heads."""
    around: Float[np.ndarray, "H W D"]
    """The normalised image, from the first window's start to the second's end."""

    @property
    def shift(self) -> int:
        """Voxels along H between the windows."""
        return (self.around.shape[0] - self.first.shape[1]) // 2


def seam(model: ClipDriven, image: Float[Tensor, "1 1 H W D"], *, shift: int, start: int) -> Seam:
    """Ask two windows, shifted along H, about what they share.

    Args:
        model: A text-driven network.
        image: Normalised, at least as large as the patch along W and D.
        shift: Voxels between the windows: even, and less than the patch's height.
        start: First H of the first window.
    """
    h, w, d = model.config.patch
    w0, d0 = (image.shape[3] - w) // 2, (image.shape[4] - d) // 2
    around = image[:, :, start : start + h + shift, w0 : w0 + w, d0 : d0 + d]
    one, two = (look(model, window) for window in (around[:, :, :h], around[:, :, shift:]))
    return Seam(
        first=answer(model, one, one)[:, shift:],
        second=answer(model, two, two)[:, :-shift],
        exchanged=answer(model, one, two)[:, shift:],
        around=around[0, 0].numpy(),
    )


def seam_table(model: ClipDriven, found: Seam, names: Sequence[str]) -> pd.DataFrame:
    """Return per class the voxels that each answer has, and how far they agree.

    Returns:
        Columns first, second (voxels above 1/2), Dice of both (of the two windows' answers), Dice,
        heads exchanged (of the first answer with the same features under the second's heads).
    """
    rows = {}
    for name in names:
        place = model.config.classes.index(name)
        first, second, other = (
            (p[place] > 0.5) for p in (found.first, found.second, found.exchanged)
        )
        rows[name] = {
            "first": int(first.sum()), "second": int(second.sum()),
            "Dice of both": _dice(first, second), "Dice, heads exchanged": _dice(first, other),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def plot_seam(model: ClipDriven, found: Seam, name: str) -> Figure:
    """Draw one class where two windows overlap, in the slice in which they differ most."""
    place = model.config.classes.index(name)
    first, second, other = (p[place].numpy() for p in (found.first, found.second, found.exchanged))
    d = int(np.abs(first - second).sum((0, 1)).argmax())
    maps = {
        "first": first, "second": second, "second − first": second - first,
        "heads alone": other - first,
    }  # fmt: skip
    (wide, high), both = found.around.shape[:2], first.shape[0]
    figure, panels = plt.subplots(
        1, 5, figsize=(10.5, 2.9), width_ratios=[wide, *[both] * 4], layout="constrained"
    )
    panels[0].imshow(found.around[:, :, d].T, cmap="gray", origin="lower")
    for start, colour in ((0, "#ffd54a"), (found.shift, "#4dd2ff")):
        box = Rectangle((start, 0), wide - found.shift - 1, high - 1, fill=False, color=colour,
                        linewidth=2)  # fmt: skip
        panels[0].add_patch(box)
    panels[0].set_title("two windows", fontsize=9)
    for axes, (title, values) in zip(panels[1:], maps.items(), strict=True):
        low, colours = (0, "viridis") if title in ("first", "second") else (-1, "RdBu_r")
        drawn = axes.imshow(values[:, :, d].T, cmap=colours, origin="lower", vmin=low, vmax=1)
        axes.set_title(title, fontsize=8)
        if axes in (panels[2], panels[4]):
            figure.colorbar(drawn, ax=axes, shrink=0.7)
    for axes in panels:
        axes.invert_xaxis()  # radiological: the patient's right is on the left
        axes.set_axis_off()
    figure.suptitle(f"probability of {name.replace('_', ' ')} where both windows see", fontsize=10)
    return figure


def plot_slice_dice(radius: int, *, side: int = 96) -> Figure:
    """Draw what a Dice per slice says of a PERFECT ball: slice after slice, and by radius."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 2.9), layout="constrained")
    place = np.arange(side) - side // 2
    empty = np.abs(place) >= radius
    left.bar(place, empty.astype(float), width=1.0, color=DICE_COLOURS["slice"],
             label="empty slice: loss 1")  # fmt: skip
    left.axhline(empty.mean(), color="black", linewidth=1, linestyle="--",
                 label=f"mean {empty.mean():.2f}")  # fmt: skip
    left.set(xlabel="slice, from the centre of the ball", ylabel="Dice loss", ylim=(0, 1.35))
    left.set_title(f"a ball of radius {radius}, found without an error", fontsize=10)
    left.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    radii = np.arange(3, side // 2)
    for form, colour in DICE_COLOURS.items():
        floors = [slice_dice_floor(int(r), side=side, dice=form) for r in radii]
        right.plot(radii, floors, color=colour, label=f'dice="{form}"')
    right.set(xlabel="radius, voxels", ylabel="lowest possible loss", ylim=(-0.03, 1.03))
    right.set_title(f"the floor of the loss in a patch of {side}³", fontsize=10)
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        _plain(axes)
    return figure


def plot_supervision(system: str = "clip_driven") -> Figure:
    """Draw how many datasets teach each class of a published system."""
    taught = supervision(system)
    names = sorted(taught, key=lambda name: (-len(taught[name]), name))
    counts = np.array([len(taught[name]) for name in names])
    figure, axes = plt.subplots(figsize=(10.5, 3.2), layout="constrained")
    colours = [colour_of(name) for name in names]
    axes.bar(range(len(names)), counts, color=colours, edgecolor="#555555", linewidth=0.6)
    for place, (name, count) in enumerate(zip(names, counts, strict=True)):
        label = taught[name][0].replace("_", " ") if count == 1 else str(count)
        axes.text(place, count + 0.15, label, ha="center", va="bottom", fontsize=7,
                  rotation=90 if count == 1 else 0)  # fmt: skip
    axes.set_xticks(range(len(names)), [n.replace("_", " ") for n in names], rotation=90,
                    fontsize=8)  # fmt: skip
    axes.set(ylabel="datasets that teach it", xlim=(-0.7, len(names) - 0.3))
    title = TAXONOMIES[system].partition(":")[0]
    axes.set_title(f"{title}: {len(taxonomy(system))} classes", fontsize=10)
    _plain(axes)
    return figure


def _dice(one: Tensor, other: Tensor) -> float:
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else float("nan")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
