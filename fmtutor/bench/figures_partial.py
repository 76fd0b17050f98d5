"""Figures of notebook 02: who annotates what, by which rules, and what a loss does to whom.

Everything is computed from the protocols of `fmtutor.data.domains` and from the package's own
losses, so a figure cannot say what the code does not do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fmtutor.core.colours import GREEN, ON_WHITE, VERMILION
from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, LESIONS, Centre, region_of
from fmtutor.data.drawing import PLANES, Layer, draw_legend, draw_plane
from fmtutor.data.regions import Region
from fmtutor.losses.dice import slice_dice_floor
from fmtutor.losses.partial import REDUCTIONS, partial_loss

COLUMNS = (
    "liver", "liver_lesion", "kidney_left", "kidney_right", "kidney_lesion", "spleen", "pancreas",
    "gallbladder", "stomach", "duodenum", "small_bowel", "colon", "urinary_bladder", "aorta",
    "inferior_vena_cava", "vertebrae", "spinal_cord",
)  # fmt: skip
"""Structures of the centre figure, contradicted ones first in their group."""
MARKS = {
    "own": ("", "annotated"),
    "with": ("+", "with its lesions"),
    "without": ("−", "without its lesions"),
    "part": ("½", "lower part only"),
    "merged": ("∪", "both sides as one class"),
}
"""How a centre reads a structure: its sign, and the sign in words."""
STRONG = 0.4
"""Share of the largest push that is drawn in full colour; edges would outshine all else."""
_PALE = 0.35
_PUSH = LinearSegmentedColormap.from_list(
    "push", [(0, "#08519c"), (0.5, "#08519c00"), (0.5, "#b2182b00"), (1, "#b2182b")]
)
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def reading(centre: Centre, name: str) -> str | None:
    """Return how a centre reads a structure: a key of `MARKS`, or None where it does not.

    Args:
        centre: With the protocol to look into.
        name: A region name; the reading is told against `fmtutor.data.domains.region_of`.

    Example:
        >>> reading(CENTRES["abdomen_atlas"], "liver"), reading(CENTRES["spine_clinic"], "aorta")
        ('without', 'part')
    """
    whole = region_of(name).structures
    region = centre.protocol.region(name)
    if region is None:
        larger = any(whole < other.structures for other in centre.protocol.regions)
        return "merged" if larger and name in LESIONS else None
    if name in LESIONS:
        return "with" if LESIONS[name] in region.structures else "without"
    return "part" if region.structures < whole else "own"


def teachers(name: str, centres: Mapping[str, Centre] = CENTRES) -> int:
    """Return how many centres annotate a class of this name."""
    return sum(centre.protocol.region(name) is not None for centre in centres.values())


def plot_centres(
    centres: Mapping[str, Centre] = CENTRES, columns: Sequence[str] = COLUMNS
) -> Figure:
    """Draw centre x structure: what is annotated, by which rule; white is unknown."""
    figure, axes = plt.subplots(figsize=(10.5, 3.9), layout="constrained")
    colours = np.ones((len(centres), len(columns), 3))
    for row, centre in enumerate(centres.values()):
        for column, name in enumerate(columns):
            how = reading(centre, name)
            if how is None:
                continue
            full = np.array(to_rgb(colour_of(name)))
            colours[row, column] = 1 - _PALE * (1 - full) if how == "merged" else full
            ink = "black" if colours[row, column] @ (0.3, 0.6, 0.1) > 0.6 else "white"
            axes.text(
                column, row, MARKS[how][0], ha="center", va="center", color=ink, weight="bold"
            )
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    counts = [teachers(name, centres) for name in columns]
    labels = [f"{name.replace('_', ' ')}  ({n})" for name, n in zip(columns, counts, strict=True)]
    axes.set_xticks(range(len(columns)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(centres)), [name.replace("_", " ") for name in centres])
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(centres) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#d5d5d5", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    handles = [Patch(facecolor="#c8742c") for _ in MARKS]
    texts = [" ".join(mark).strip() for mark in MARKS.values()]
    handles.append(Patch(facecolor="white", edgecolor="#8a8a8a"))
    figure.legend(handles, [*texts, "unknown"], loc="outside upper center", ncols=6, frameon=False,
                  fontsize=9, handlelength=1.0, columnspacing=1.2)  # fmt: skip
    return figure


def region_mask(case: Case, region: Region) -> Bool[np.ndarray, "H W D"]:
    """Return a region's voxels in a virtual patient's full truth, whatever its centre releases."""
    ids = [number for number, name in case.table.items() if name in region.structures]
    return np.isin(np.asarray(case.labels), ids)


def plot_readings(case: Case, centres: Sequence[Centre], *, axial: int, coronal: int) -> Figure:
    """Draw one patient as each centre would annotate it: an axial and a coronal slice each.

    Args:
        case: A virtual patient with its full labels.
        centres: One column each.
        axial: Voxel along D of the upper row.
        coronal: Voxel along W of the lower row.
    """
    figure, panels = plt.subplots(
        2, len(centres), figsize=(2.15 * len(centres), 4.7), layout="constrained", squeeze=False,
        height_ratios=[0.85, 1.0],
    )  # fmt: skip
    for centre, column in zip(centres, panels.T, strict=True):
        masks = {region.name: region_mask(case, region) for region in centre.protocol.regions}
        layers = [Layer(masks=masks)]
        for panel, (plane, index) in zip(
            column, {"axial": axial, "coronal": coronal}.items(), strict=True
        ):
            draw_plane(panel, case, plane, index=index, layers=layers)
            panel.set_title("")
        column[0].set_title(centre.name.replace("_", " "), fontsize=10)
    at = (0, coronal, axial)
    shown = {
        region.name: colour_of(region.name)
        for centre in centres
        for region in centre.protocol.regions
        if any(np.take(region_mask(case, region), at[axis], axis=axis).any() for axis in (1, 2))
    }
    draw_legend(figure, shown, columns=8)
    return figure


def plot_conflicts(case: Case, views: Sequence[tuple[tuple[str, ...], str, str, int]]) -> Figure:
    """Draw classes as single centres mean them, cut out around their whole reading.

    Args:
        case: A virtual patient with its full labels.
        views: Per panel the region names, a centre that has them, a plane ("axial", "coronal" or
            "sagittal") and the voxel along the axis which that plane cuts.
    """
    figure, panels = plt.subplots(
        1, len(views), figsize=(2.1 * len(views), 2.5), layout="constrained", squeeze=False
    )
    for panel, (names, centre, plane, index) in zip(panels[0], views, strict=True):
        regions = {region.name: region for region in CENTRES[centre].protocol.regions}
        whole = np.any(
            [region_mask(case, r) for n in names for r in (regions[n], region_of(n))], axis=0
        )
        part = _cut_out(case, whole, keep=PLANES[plane])
        masks = {name: region_mask(part, regions[name]) for name in names}
        draw_plane(panel, part, plane, index=index, layers=[Layer(masks=masks)])
        title = ", ".join(name.replace("_", " ") for name in names)
        panel.set_title(f"{title}\n{centre.replace('_', ' ')}", fontsize=9)
    return figure


def _cut_out(case: Case, mask: np.ndarray, *, keep: int, margin: int = 6) -> Case:
    """Return the case cut to a square around a mask, whole along the axis ``keep``."""
    ends = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {a})))[[0, -1]] for a in range(3)]
    half = max(end - begin for a, (begin, end) in enumerate(ends) if a != keep) // 2 + margin
    box = tuple(
        slice(None)
        if a == keep
        else slice(max(0, sum(ends[a]) // 2 - half), sum(ends[a]) // 2 + half)
        for a in range(3)
    )
    return replace(case, image=case.image[box], labels=case.labels[box])  # type: ignore[index]


def confident_logits(masks: Bool[np.ndarray, "L H W D"]) -> torch.Tensor:
    """Return logits (1, L, H, W, D), 2 inside of the masks and -4 outside, with a soft edge."""
    soft = np.stack([gaussian_filter(mask.astype(np.float32), 0.8) for mask in masks])
    return torch.from_numpy(6 * soft - 4)[None]


def push(loss: Loss, logits: Tensor, target: Tensor, known: Tensor) -> np.ndarray:
    """Return -dL/dz, where one step of gradient descent moves each logit; (L, H, W, D)."""
    leaf = logits.clone().requires_grad_()
    loss(leaf, target, known).backward()
    return -leaf.grad[0].numpy()  # type: ignore[index]


def plot_push(
    case: Case,
    names: Sequence[str],
    known: Sequence[str],
    losses: Mapping[str, Loss],
    *,
    axial: int,
) -> Figure:
    """Draw where each loss pushes each class of a network that already finds all of them.

    Args:
        case: A virtual patient with its full labels.
        names: Classes, one column each.
        known: Those of them that the patient's centre annotates.
        losses: Title to loss, one row each.
        axial: Voxel along D.
    """
    truth = np.stack([region_mask(case, region_of(name)) for name in names])
    knows = torch.tensor([[name in known for name in names]])
    logits = confident_logits(truth)
    target = torch.from_numpy(truth)[None] & knows[:, :, None, None, None]
    pushes = {title: push(loss, logits, target, knows) for title, loss in losses.items()}
    largest = max(float(np.abs(p).max()) for p in pushes.values())
    figure, panels = plt.subplots(
        len(losses), len(names), figsize=(3.0 * len(names), 2.55 * len(losses)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for row, (title, values) in zip(panels, pushes.items(), strict=True):
        for panel, name, value, mask in zip(row, names, values, truth, strict=True):
            shown = _push_panel(panel, case, value[..., axial] / largest, mask, name, axial=axial)
            status = "annotated here" if name in known else "not annotated here"
            panel.set_title(f"{title}: {name.replace('_', ' ')}\n({status})", fontsize=9)
    bar = figure.colorbar(shown, ax=panels, shrink=0.7, ticks=[-STRONG, 0, STRONG])
    bar.ax.set_yticklabels(["down", "no push", "up"])
    bar.set_label("push on the logit")
    return figure


def _push_panel(
    panel: Any, case: Case, value: np.ndarray, mask: np.ndarray, name: str, *, axial: int
) -> Any:
    """Draw one push over the grey slice, with the outline of the organ."""
    outline = Layer(masks={name: mask}, style="solid", colours={name: "#111111"})
    draw_plane(panel, case, "axial", index=axial, layers=[outline], window=(-900, 400))
    wide, tall = (n * mm for n, mm in zip(case.image.shape[:2], case.spacing_mm[:2], strict=True))
    return panel.imshow(
        value.T, cmap=_PUSH, vmin=-STRONG, vmax=STRONG, origin="lower", extent=(0, wide, 0, tall),
        interpolation="nearest", zorder=1.5,
    )  # fmt: skip


def pair_weights(known: Bool[Tensor, "B L"], reduction: str) -> np.ndarray:
    """Return how much each (sample, class) pair weighs in a reduction, shape (B, L).

    Measured: all pairs get equal logits and targets, so their gradients differ by the weight
    alone; the unit is the gradient of a pair that stands alone.
    """
    alone = torch.zeros_like(known[:1, :1]).logical_not()
    sizes = []
    for knows in (known, alone):
        logits = torch.zeros(*knows.shape, 4, 4, 4, requires_grad=True)
        target = torch.zeros(logits.shape, dtype=torch.bool)
        partial_loss(logits, target, knows, reduction=reduction, dice_weight=0).backward()
        sizes.append(logits.grad.abs().sum((2, 3, 4)))  # type: ignore[union-attr]
    return (sizes[0] / sizes[1]).numpy()


def plot_loss_choices(known: Bool[Tensor, "B L"], names: Sequence[str]) -> Figure:
    """Draw the weight of a pair under each reduction, and the floor of the slice-wise Dice.

    Args:
        known: Two or more samples.
        names: Of the samples.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
    rows = np.arange(len(known))
    for place, reduction in enumerate(REDUCTIONS):
        weights = pair_weights(known, reduction).max(axis=1)
        spots = rows + (place - 1) * 0.26
        left.bar(spots, weights, width=0.24, label=reduction, color=ON_WHITE[place])
        for x, weight in zip(spots, weights, strict=True):
            left.text(x, weight * 1.08, f"{weight:.2g}", ha="center", fontsize=8)
    counts = known.sum(1).tolist()
    left.set_xticks(rows, [f"{n}\n({c} known)" for n, c in zip(names, counts, strict=True)])
    left.set(yscale="log", ylabel="weight of one known class", ylim=(0.02, 4))
    left.set_title("Who is heard? One batch, three reductions", fontsize=10)
    left.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    radii = (3, 6, 9, 12, 16, 20, 25, 30, 36, 41, 45)
    for form, colour in (("slice", VERMILION), ("volume", GREEN)):
        floors = [slice_dice_floor(radius, dice=form) for radius in radii]
        right.plot(radii, floors, "o-", color=colour, label=f'dice="{form}"', markersize=4)
    right.set(xlabel="radius of a ball in a 96³ patch, voxels", ylabel="loss", ylim=(-0.03, 1.03))
    right.set_title("Dice loss of a PERFECT prediction", fontsize=10)
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure
