"""Figures of prompt-driven models: what a prompt looks like, and what it changes in one patient.

For notebook 04. A prompt of UniSeg is a small map at the bottleneck, so it can be laid over the
image that it was made from; answers of several tasks about one patient stand side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.stats import rankdata
from torch.nn import functional

from fmtutor.bench.figures_prompts import cosine_matrix, organ_of
from fmtutor.data.anatomy import STRUCTURES, colour_of
from fmtutor.data.cases import Case
from fmtutor.data.drawing import PLANES, Layer, draw_legend, draw_plane
from fmtutor.data.regions import Protocol
from fmtutor.data.resampling import resample_case
from fmtutor.data.transforms import normalise
from fmtutor.paradigms.partial.uniseg import UniSeg

Answers = Mapping[str, Mapping[str, np.ndarray]]
"""Title of a panel to its masks; a name may say its dataset, as in "survey/spleen"."""
_EXTRA = {
    "kidneys": "kidney_right",
    "kidney_lesion": "kidney_lesion_left",
    "bowel": "small_bowel",
}
"""Classes that are no structure to the structure whose colour they have."""


def cut_out(case: Case, box: tuple[slice, slice, slice]) -> Case:
    """Return a part of a case in its own place: fewer windows to run.

    Args:
        case: Any case.
        box: Voxels along H, W, D, with a start each.
    """
    affine = case.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    labels = None if case.labels is None else case.labels[box]
    return replace(case, image=case.image[box], labels=labels, affine=affine, native=None)


@torch.no_grad()
def prompt_maps(model: UniSeg, case: Case) -> Float[np.ndarray, "T h w d"]:
    """Return the prompts of every task over a whole case: windows side by side, no overlap.

    The case is padded with 0 at its far ends to whole windows, so the maps may reach beyond it.

    Args:
        model: A trained network; it is put into evaluation mode.
        case: Any volume; it is resampled.
    """
    patch = model.config.patch
    working = resample_case(case, model.config.spacing_mm)
    image = torch.from_numpy(normalise(working.image, working.modality))[None, None]
    counts = [-(-size // side) for size, side in zip(image.shape[2:], patch, strict=True)]
    gaps = [n * p - s for n, p, s in zip(counts, patch, image.shape[2:], strict=True)]
    image = functional.pad(image, [x for gap in reversed(gaps) for x in (0, gap)])
    model.eval()
    grid = model.prompt.volume.shape[2:]
    sides = [n * g for n, g in zip(counts, grid, strict=True)]
    out = np.zeros((len(model.config.tasks), *sides), np.float32)
    for place in np.ndindex(*counts):
        fine = (slice(i * p, (i + 1) * p) for i, p in zip(place, patch, strict=True))
        coarse = (slice(i * g, (i + 1) * g) for i, g in zip(place, grid, strict=True))
        prompts = model.encode(image[(..., *fine)])[1]
        out[(slice(None), *coarse)] = prompts[0].float().numpy()
    return out


def told_by_place(maps: Float[np.ndarray, "T h w d"], grid: Sequence[int]) -> np.ndarray:
    """Return the share of each map's variance that the place in the window explains alone.

    A prompt that is a learned constant, whatever the window shows, has 1; one that only follows
    the image has about one over the number of windows.

    Args:
        maps: From `prompt_maps`.
        grid: Voxels of one window's prompt.
    """
    counts = [side // own for side, own in zip(maps.shape[1:], grid, strict=True)]
    split = [n for pair in zip(counts, grid, strict=True) for n in pair]
    windows = maps.reshape(len(maps), *split).transpose(0, 1, 3, 5, 2, 4, 6)
    windows = windows.reshape(len(maps), -1, int(np.prod(grid)))  # (T, windows, places)
    rest = windows - windows.mean(1, keepdims=True)
    return 1 - rest.var((1, 2)) / windows.var((1, 2))


def plot_task_prompts(
    case: Case,
    maps: Float[np.ndarray, "T h w d"],
    titles: Sequence[str],
    *,
    voxel_mm: Sequence[float],
    index: int,
) -> Figure:
    """Lay each task's prompt over one coronal slice of the case it was made from.

    Args:
        case: The image.
        maps: From `prompt_maps`.
        titles: Of the tasks.
        voxel_mm: Edges of a voxel of the maps, from the same corner as the case.
        index: Voxel along W of the slice.
    """
    figure, panels = plt.subplots(
        1, len(maps) + 1, figsize=(1.75 * (len(maps) + 1) + 0.6, 2.9), layout="constrained"
    )
    at = int((index + 0.5) * case.spacing_mm[1] / voxel_mm[1])
    wide, tall = maps.shape[1] * voxel_mm[0], maps.shape[3] * voxel_mm[2]
    limit = float(np.abs(maps[:, :, at]).max())
    for panel, title, one in zip(panels, ("the scan", *titles), (None, *maps), strict=True):
        draw_plane(panel, case, "coronal", index=index, marks=one is None)
        panel.set_title(title.replace("_", " "), fontsize=9)
        if one is not None:
            ends = panel.get_xlim(), panel.get_ylim()
            shown = panel.imshow(
                one[:, at].T, cmap="PuOr_r", vmin=-limit, vmax=limit, alpha=0.7, origin="lower",
                extent=(0, wide, 0, tall), interpolation="nearest", aspect="equal",
            )  # fmt: skip
            panel.set(xlim=ends[0], ylim=ends[1])
    figure.colorbar(shown, ax=list(panels), shrink=0.7, label="prompt", aspect=30)
    return figure


def plot_answers(
    case: Case,
    answers: Answers,
    *,
    plane: str,
    index: int,
    width: float = 2.1,
) -> Figure:
    """Draw several answers about one case on the same slice.

    Args:
        case: The image.
        answers: One panel each.
        plane: "axial", "coronal" or "sagittal".
        index: Voxel along the axis which that plane cuts.
        width: Of a panel, in inches.
    """
    sides = [n * mm for n, mm in zip(case.image.shape, case.spacing_mm, strict=True)]
    wide, tall = (side for axis, side in enumerate(sides) if axis != PLANES[plane])
    size = (width * len(answers), width * min(tall / wide, 1.6) + 0.75)
    figure, panels = plt.subplots(1, len(answers), figsize=size, layout="constrained")
    shown: dict[str, str] = {}
    for panel, (title, masks) in zip(np.atleast_1d(panels), answers.items(), strict=True):
        colours = {name: _colour(name) for name in masks}
        layers = [Layer(masks=masks, colours=colours)]
        draw_plane(panel, case, plane, index=index, layers=layers, marks=False)
        panel.set_title(title.replace("_", " "), fontsize=9)
        cut = {n for n, mask in masks.items() if np.take(mask, index, axis=PLANES[plane]).any()}
        shown.update({organ_of(name): colours[name] for name in masks if name in cut})
    draw_legend(figure, shown, columns=8)
    return figure


def _colour(name: str) -> str:
    organ = organ_of(name)
    organ = _EXTRA.get(organ, organ)
    return colour_of(organ) if organ in STRUCTURES else "#8a8a8a"


def shared_organs(protocols: Sequence[Protocol]) -> Float[np.ndarray, "T T"]:
    """Return for every pair of tasks the share of their structures that both annotate (Jaccard)."""
    sets = [frozenset().union(*(r.structures for r in p.regions)) for p in protocols]
    return np.array([[len(a & b) / len(a | b) for b in sets] for a in sets])


def task_likeness(
    protocols: Sequence[Protocol], vectors: Float[np.ndarray, "T E"]
) -> tuple[float, float]:
    """Return how well the cosines of task prompts follow the structures that tasks share.

    Args:
        protocols: One per task; few, as every order of them is tried.
        vectors: Its prompt as one row.

    Returns:
        The rank correlation over all pairs of tasks, and the share of the orders of the tasks that
        do at least as well (pairs are not independent, so a table of chances would be wrong).
    """
    ranks = [
        rankdata(values[np.triu_indices(len(protocols), 1)])
        for values in (cosine_matrix(vectors, centred=True), shared_organs(protocols))
    ]
    pairs = np.zeros((len(protocols), len(protocols)))
    pairs[np.triu_indices(len(protocols), 1)] = ranks[0]
    pairs += pairs.T
    found = [
        np.corrcoef(pairs[np.ix_(order, order)][np.triu_indices(len(order), 1)], ranks[1])[0, 1]
        for order in permutations(range(len(protocols)))
    ]
    return float(found[0]), float(np.mean(np.array(found) >= found[0] - 1e-9))


def plot_task_likeness(protocols: Sequence[Protocol], vectors: Float[np.ndarray, "T E"]) -> Figure:
    """Draw the cosines of task prompts (centred) beside the structures that the tasks share.

    Args:
        protocols: One per task.
        vectors: Its prompt as one row.
    """
    likeness, shared = cosine_matrix(vectors, centred=True), shared_organs(protocols)
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
    names = [protocol.name.replace("_", " ") for protocol in protocols]
    parts = (
        ("cosine of the prompts, centred", likeness, "RdBu_r", -1),
        ("share of structures in common", shared, "Greens", 0),
    )
    for panel, (title, values, colours, low) in zip(panels, parts, strict=True):
        panel.imshow(values, cmap=colours, vmin=low, vmax=1)
        for row, column in np.ndindex(values.shape):
            ink = "white" if abs(values[row, column]) > 0.65 else "black"
            panel.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center",
                       fontsize=7, color=ink)  # fmt: skip
        panel.set_title(title, fontsize=10)
        panel.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
        panel.set_yticks(range(len(names)), names, fontsize=8)
        panel.tick_params(length=0)
    return figure
