"""Figures of notebook 02: who annotates what, and by which rules.

Everything is computed from the protocols of `fmtutor.data.domains`, so a figure cannot say what the
code does not do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Bool
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, LESIONS, Centre, region_of
from fmtutor.data.drawing import PLANES, Layer, draw_legend, draw_plane
from fmtutor.data.regions import Region

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
_PALE = 0.35


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
