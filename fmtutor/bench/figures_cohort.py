"""Figures about the virtual cohort: its patients beside the real torso, and how far they spread.

`plot_spread` draws from ``benchmarks/cohort/results/spread.json`` alone, which
``benchmarks/cohort/run.py`` measures.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.cohort import draw, realise
from fmtutor.data.domains import Centre, region_of
from fmtutor.data.drawing import Layer, draw_legend, draw_plane
from fmtutor.data.samples import load_sample

OUTLINED = (
    "liver", "liver_lesion", "spleen", "kidney_left", "kidney_right", "stomach", "pancreas",
    "aorta", "urinary_bladder", "vertebrae",
)  # fmt: skip
"""What is outlined on the sheet of patients."""
SPREAD_ORGANS = (
    "liver", "spleen", "kidney_left", "kidney_right", "gallbladder", "stomach", "pancreas",
    "duodenum", "small_bowel", "colon", "urinary_bladder", "aorta", "inferior_vena_cava",
    "vertebrae",
)  # fmt: skip
GROUPS = {"wide": "#c8742c", "training": "#3b6ea5"}
"""Pairs whose overlap is drawn, with a colour."""
WHOLE_TORSO_MM = 1000.0
"""A scan as long as this is cut to the patient's torso."""


def patient(centre: Centre, index: int, *, seed: int = 0) -> Case:
    """Grow a virtual patient with a scan of full length, so that sheets show whole torsos.

    Anatomy and scanner are those of patient ``index``; only the field of view is another.
    """
    recipe = replace(draw(centre, index, seed), length_mm=WHOLE_TORSO_MM)
    return realise(centre, recipe, name=f"{centre.name}-{seed}-{index:04d}-whole")


def plot_patients(
    centres: Sequence[Centre],
    *,
    index: int = 0,
    seed: int = 0,
    names: Sequence[str] = OUTLINED,
    width: float = 12.0,
) -> Figure:
    """Draw one patient of each centre beside the real torso, axial and coronal, with outlines.

    Outlines are the full truth, whatever the centre annotates. Both slices go where they cut most
    of the liver and the right kidney.

    Args:
        centres: One column each, after the real torso.
        index: Number of the patient at its centre.
        seed: Seed of the cohort.
        names: Scoring regions to outline.
        width: Width of the figure in inches.
    """
    cases = [load_sample("torso"), *(patient(c, index, seed=seed) for c in centres)]
    titles = ["the real torso", *(c.name.replace("_", " ") for c in centres)]
    layers = [_outlines(case, names) for case in cases]
    sizes = np.array([np.array(case.image.shape) * case.spacing_mm for case in cases])
    across = float(sizes[:, 0].sum())
    back, up = sizes[:, 1:].max(0).tolist()
    figure, axes = plt.subplots(
        2, len(cases), figsize=(width, width * (back + up) / across + 0.8), squeeze=False,
        width_ratios=sizes[:, 0].tolist(), height_ratios=[back, up], layout="constrained",
    )  # fmt: skip
    for column, (case, title, layer) in enumerate(zip(cases, titles, layers, strict=True)):
        for row, plane in enumerate(("axial", "coronal")):
            panel = axes[row, column]
            at = _slice_through(layer, 2 - row)
            draw_plane(panel, case, plane, index=at, layers=[layer], marks=column == 0)
            panel.set_title(title if row == 0 else "", fontsize=10)
            tall = sizes[column, 1 + row]  # one height in mm for all: patients compare by size
            panel.set_ylim(tall - (back, up)[row], tall)
    draw_legend(figure, {name: colour_of(name) for name in names}, columns=len(names))
    return figure


def plot_spread(result: Mapping[str, Any], *, names: Sequence[str] = SPREAD_ORGANS) -> Figure:
    """Draw the spread of organ volumes at each centre and the overlap between patients.

    Left: median and 5 to 95 % of each organ's volume, relative to the real torso. Right: Dice of
    pairs of patients after rigid alignment, one dot a pair, the median a bar, with the design's
    upper aims as red marks.

    Args:
        result: What ``benchmarks/cohort/run.py`` wrote.
        names: Organs to show, top to bottom.

    Raises:
        ValueError: The result lacks an organ.
    """
    if missing := [name for name in names if name not in result["template_ml"]]:
        raise ValueError(f"the result lacks {missing}; run benchmarks/cohort/run.py again.")
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 0.42 * len(names) + 1.6), sharey=True, layout="constrained"
    )
    _draw_volumes(left, result, names)
    _draw_overlap(right, result, names)
    left.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    left.invert_yaxis()
    for panel in (left, right):
        panel.grid(axis="x", color="#e3e3e3", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(length=0)
        for spine in ("top", "right", "left"):
            panel.spines[spine].set_visible(False)
    return figure


def _draw_volumes(panel: Axes, result: Mapping[str, Any], names: Sequence[str]) -> None:
    shown = {"wide": GROUPS["wide"], "target_hospital": "#4c8c4a"}
    for step, (name, colour) in enumerate(shown.items()):
        for row, organ in enumerate(names):
            found, real = result["volumes_ml"][name][organ], result["template_ml"][organ]
            y = row + 0.24 * (step - 0.5)
            ends = [found["p5"] / real, found["p95"] / real]
            panel.plot(ends, [y, y], color=colour, linewidth=2.2, solid_capstyle="round", alpha=0.6)
            label = f"{name.replace('_', ' ')} ({result['patients'][name]} patients)"
            panel.plot(found["median"] / real, y, "o", color=colour, markersize=4.5,
                       label=label if row == 0 else None)  # fmt: skip
    panel.axvline(1.0, color="#555555", linewidth=0.8)
    panel.set_xlabel("organ volume / the real torso's (median, 5 to 95 %)")
    _legend_above(panel)


def _draw_overlap(panel: Axes, result: Mapping[str, Any], names: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    for step, (group, colour) in enumerate(GROUPS.items()):
        found = result["inter_case"][group]
        for row, organ in enumerate(names):
            y, values = row + 0.3 * (step - 0.5), found["values"][organ]
            spread = rng.uniform(-0.09, 0.09, len(values))
            panel.plot(values, y + spread, ".", color=colour, markersize=3, alpha=0.45)
            middle = found["dice"][organ]["median"]
            panel.plot([middle, middle], [y - 0.14, y + 0.14], color=colour, linewidth=2.2,
                       label=f"{group} ({found['pairs']} pairs)" if row == 0 else None)  # fmt: skip
    for row, organ in _aims(result, names):
        aim = result["aims"][organ]
        panel.plot([aim, aim], [row - 0.4, row + 0.4], color="#c0272d", linewidth=1.2,
                   linestyle=(0, (2, 1.5)))  # fmt: skip
    panel.set_xlim(0, 1)
    panel.set_xlabel("Dice between two patients after rigid alignment (red: to stay below)")
    _legend_above(panel)


def _legend_above(panel: Axes) -> None:
    panel.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _aims(result: Mapping[str, Any], names: Sequence[str]) -> Iterable[tuple[int, str]]:
    return ((row, organ) for row, organ in enumerate(names) if organ in result["aims"])


def _outlines(case: Case, names: Sequence[str]) -> Layer:
    masks = {}
    for name in names:
        wanted = region_of(name).structures - ({"liver_lesion"} if name == "liver" else set())
        masks[name] = case.mask(*(part for part in case.table.values() if part in wanted))
    return Layer(masks=masks, style="solid")


def _slice_through(layer: Layer, axis: int) -> int:
    """Return the slice that cuts liver and kidney best: the product of their areas is largest."""
    others = tuple(other for other in range(3) if other != axis)
    liver, kidney = (layer.masks[name].sum(others) + 1.0 for name in ("liver", "kidney_right"))
    return int((liver * kidney).argmax())
