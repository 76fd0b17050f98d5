"""Figures drawn from the package's data tables."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fmtutor.data.anatomy import STRUCTURES, canonical, colour_of
from fmtutor.data.catalog import Dataset, catalog

CATALOG_STRUCTURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("organs", (
        "liver", "spleen", "kidney_right", "kidney_left", "pancreas", "gallbladder", "stomach",
        "duodenum", "small_bowel", "colon", "rectum", "esophagus", "adrenal_gland_right",
        "adrenal_gland_left", "urinary_bladder", "prostate_or_uterus",
    )),
    ("vessels", (
        "aorta", "inferior_vena_cava", "portal_vein_and_splenic_vein", "hepatic_vessels",
        "celiac_trunk",
    )),
    ("chest, head", (
        "lung_right", "lung_left", "heart_myocardium", "heart_ventricle_left", "brain",
        "spinal_cord",
    )),
    ("bones, muscles", (
        "vertebrae", "ribs", "hips", "sacrum", "femurs", "femoral_heads", "gluteus", "iliopsoas",
        "autochthon",
    )),
    ("lesions", (
        "liver_lesion", "kidney_lesion", "pancreas_lesion", "hepatic_vessel_lesion", "lung_lesion",
        "colon_lesion",
    )),
)  # fmt: skip
"""Columns of the catalog figure, by block."""

_MERGED_ALPHA = 0.35
_GREY = "#8a8a8a"


def plot_catalog(
    names: Sequence[str] | None = None,
    *,
    blocks: Sequence[tuple[str, Sequence[str]]] = CATALOG_STRUCTURES,
) -> Figure:
    """Draw which dataset annotates which structure: one row per dataset, one column per structure.

    A full square is a class of its own, a pale one lies inside a larger class (one kidney inside
    "kidneys"), and a dot in a full square says that the class includes the organ's lesions. An
    empty place is unknown, not background: that is what partial labels are about.

    Args:
        names: Datasets to show, top to bottom; None shows the talk's first and then the others.
        blocks: Titled groups of structures, left to right.

    Returns:
        A figure of about 13 by 8 inches; the caller saves or shows it.
    """
    cards = [catalog()[name] for name in names] if names else _talk_order()
    columns = [canonical(name) for _, block in blocks for name in block]
    edges = np.cumsum([0] + [len(block) for _, block in blocks])
    figure, axes = plt.subplots(
        figsize=(2.9 + 0.235 * len(columns), 2.35 + 0.215 * len(cards)), layout="constrained"
    )
    colours = np.ones((len(cards), len(columns), 3))
    for row, card in enumerate(cards):
        for column, structure in enumerate(columns):
            colours[row, column] = _cell_colour(card, structure)
            if _includes_lesions(card, structure):
                axes.plot(column, row, "o", color="white", markersize=3.6, markeredgecolor="black",
                          markeredgewidth=0.5)  # fmt: skip
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    _decorate(axes, cards, columns)
    for edge in edges[1:-1]:
        axes.axvline(edge - 0.5, color=_GREY, linewidth=1.2)
    for (title, _), start, stop in zip(blocks, edges[:-1], edges[1:], strict=True):
        axes.text((start + stop - 1) / 2, -0.75, title, ha="center", va="bottom", fontsize=9)
    divider = sum(card.talk is not None for card in cards)
    if names is None and 0 < divider < len(cards):
        axes.axhline(divider - 0.5, color=_GREY, linewidth=1.2)
    _legend(figure)
    return figure


def _talk_order() -> list[Dataset]:
    def key(card: Dataset) -> tuple[bool, int, str]:
        first = int(card.talk.row.split("-")[0]) if card.talk else 0
        return (card.talk is None, first, card.title)

    return sorted(catalog().values(), key=key)


def _cell_colour(card: Dataset, structure: str) -> np.ndarray:
    kind = card.coverage(structure)
    if kind == "none":
        return np.ones(3)
    full = np.array(to_rgb(colour_of(structure)))
    return full if kind == "own" else 1 - _MERGED_ALPHA * (1 - full)


def _includes_lesions(card: Dataset, structure: str) -> bool:
    wide = {target.name for target in card.targets if target.includes}
    info = STRUCTURES[structure]
    return info.group != "lesion" and not wide.isdisjoint({structure, info.part_of})


def _decorate(axes: plt.Axes, cards: Sequence[Dataset], columns: Sequence[str]) -> None:
    labels = [name.replace("_", " ") for name in columns]
    axes.set_xticks(range(len(columns)), labels, rotation=55, ha="right", rotation_mode="anchor")
    rows = [f"{card.title}  ({card.labelled:,} {card.modality})" for card in cards]
    axes.set_yticks(range(len(cards)), rows)
    axes.tick_params(length=0, labelsize=8)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(cards) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e3e3e3", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure) -> None:
    dot = plt.Line2D([], [], marker="o", linestyle="", markersize=4, color="white",
                     markeredgecolor="black", markeredgewidth=0.6)  # fmt: skip
    red, green, blue = (1 - _MERGED_ALPHA * (1 - value) for value in to_rgb("#c8742c"))
    unknown = Patch(facecolor="white", edgecolor=_GREY)
    handles = [Patch(color="#c8742c"), Patch(color=(red, green, blue)), dot, unknown]
    texts = ["own class", "inside a larger class", "includes its lesions", "not annotated: unknown"]
    figure.legend(handles, texts, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
