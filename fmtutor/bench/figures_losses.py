"""Figures of notebook 02: what a loss over partial labels does to whom.

Everything is measured with the package's own losses, so a figure cannot say what the code does not
do.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fmtutor.bench.figures_partial import region_mask
from fmtutor.core.colours import GREEN, ON_WHITE, VERMILION
from fmtutor.data.cases import Case
from fmtutor.data.domains import region_of
from fmtutor.data.drawing import Layer, draw_plane
from fmtutor.losses.dice import slice_dice_floor
from fmtutor.losses.partial import REDUCTIONS, partial_loss

STRONG = 0.4
"""Share of the largest push that is drawn in full colour; edges would outshine all else."""
_PUSH = LinearSegmentedColormap.from_list(
    "push", [(0, "#08519c"), (0.5, "#08519c00"), (0.5, "#b2182b00"), (1, "#b2182b")]
)
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


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
