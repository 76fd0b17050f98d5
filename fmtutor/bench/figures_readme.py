"""The picture of the README: two real scans, and one virtual patient of each training centre.

    python -m fmtutor.bench.figures_readme docs/overview.png

Everything in it comes from the samples and the cohort, so a change of either shows here.
"""

import argparse
from colorsys import hsv_to_rgb
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from fmtutor.core.files import atomic_path
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, Centre, region_of
from fmtutor.data.drawing import Layer, draw_plane
from fmtutor.data.samples import load_sample
from fmtutor.data.shelf import virtual_case

DPI = 100
PALETTE = 128
"""Colours of the PNG: a grey scale and the outlines need no more."""
SHOWN = (
    *("liver", "spleen", "kidney_left", "kidney_right", "stomach", "pancreas", "gallbladder"),
    *("aorta", "inferior_vena_cava", "duodenum", "small_bowel", "colon", "urinary_bladder"),
    *("vertebrae", "spinal_cord"),
)
"""Regions outlined on the real scans: what the centres annotate between them."""
ALIKE = {"kidneys": "kidney_left", "kidney_right": "kidney_left"}
"""Regions that share a colour."""
LESION_COLOUR = "#ffffff"
BODY = 0.72
"""Lower part of the axial view that is shown."""


def plot_overview() -> Figure:
    """Draw the real CT series and the real torso above six virtual patients.

    Each virtual patient is outlined with what its own centre annotates, and with nothing else.

    Returns:
        A closed figure of about 12 by 6 inches.
    """
    figure = plt.figure(figsize=(12.0, 5.6), dpi=DPI, layout="constrained", facecolor="white")
    rows = figure.add_gridspec(2, 1, height_ratios=(1.35, 1.0))
    try:
        _draw_real(figure.add_subfigure(rows[0]))
        _draw_virtual(figure.add_subfigure(rows[1]))
    finally:
        plt.close(figure)
    return figure


def _draw_real(figure: SubFigure) -> None:
    """Draw three views: the test series axially, the torso coronally and sagittally."""
    series, torso = load_sample("abdomen_ct_dicom"), load_sample("torso")
    views = [
        (series, "axial", "Real DICOM series, another patient: never trained on"),
        (torso, "coronal", "Real torso CT: virtual patients grow from it"),
        (torso, "sagittal", "the same, from the side"),
    ]
    shown = [BODY if plane == "axial" else 1.0 for _, plane, _ in views]
    widths = [
        _width(case, plane) / (_height(case, plane) * share)
        for (case, plane, _), share in zip(views, shown, strict=True)
    ]
    panels = figure.subplots(1, 3, width_ratios=widths)
    for panel, (case, plane, title) in zip(panels, views, strict=True):
        _draw(panel, case, plane, layer=outlines(case, SHOWN), title=title)


def _draw_virtual(figure: SubFigure) -> None:
    """Draw one patient of each training centre with the labels of that centre."""
    panels = figure.subplots(1, len(CENTRES))
    for panel, centre in zip(panels, CENTRES.values(), strict=True):
        case = virtual_case(centre, index=tallest(centre))
        title = f"{centre.name.replace('_', ' ')}: {len(centre.protocol.regions)} classes"
        _draw(panel, case, "coronal", layer=annotated(case, centre), title=title)
    figure.suptitle(
        "Virtual patients of six centres: each annotates its own part, and nothing else is known",
        fontsize=10,
    )


def outlines(case: Case, names: tuple[str, ...]) -> Layer:
    """Return the outlines of these regions, as far as the case has them."""
    return _layer(case, {name: region_of(name).structures for name in names})


def region_colour(name: str) -> str:
    """Return a colour that stands out on grey; neighbours in the body are far apart in hue."""
    if name.endswith("lesion"):
        return LESION_COLOUR
    place = SHOWN.index(ALIKE.get(name, name))
    hue = (0.02 + 0.382 * place) % 1.0  # steps of the golden section never come close again
    return to_hex(hsv_to_rgb(hue, (0.85, 0.6, 0.3)[place // 5], 1.0))


def annotated(case: Case, centre: Centre) -> Layer:
    """Return the outlines of what a centre draws in one of its cases."""
    return _layer(case, {region.name: region.structures for region in centre.protocol.regions})


def tallest(centre: Centre, *, among: int = 6) -> int:
    """Return which of a centre's first patients was scanned over the greatest length."""
    cases = [virtual_case(centre, index) for index in range(among)]
    return int(np.argmax([case.image.shape[2] * case.spacing_mm[2] for case in cases]))


def _layer(case: Case, regions: dict[str, frozenset[str]]) -> Layer:
    masks, colours = {}, {}
    for name, structures in regions.items():
        ids = [number for number, structure in case.table.items() if structure in structures]
        mask = np.isin(np.asarray(case.labels), ids)
        if mask.any():
            masks[name] = mask
            colours[name] = region_colour(name)
    return Layer(masks=masks, style="solid", colours=colours)


def _draw(panel: Axes, case: Case, plane: str, *, layer: Layer, title: str) -> None:
    filled = replace(layer, style="filled")
    draw_plane(panel, case, plane, index=_index(case, plane, layer), layers=[filled, layer])
    for letter in panel.texts[:4]:
        letter.set_visible(plane == "axial")
    if plane == "axial":  # the series shows much air above the patient
        panel.set_ylim(0, BODY * _height(case, plane))
    panel.set_title(title, fontsize=9)


def _index(case: Case, plane: str, layer: Layer) -> int:
    """Return the slice that cuts most regions; the widest cut of them all among equals."""
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    others = tuple(other for other in range(3) if other != axis)
    areas = np.stack([mask.sum(others) for mask in layer.masks.values()])
    share = areas / areas.max(1, keepdims=True)
    return int(np.argmax(share.sum(0)))


def _width(case: Case, plane: str) -> float:
    axis = 1 if plane == "sagittal" else 0
    return case.image.shape[axis] * case.spacing_mm[axis]


def _height(case: Case, plane: str) -> float:
    axis = 1 if plane == "axial" else 2
    return case.image.shape[axis] * case.spacing_mm[axis]


def save_palette_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of `PALETTE` colours: a third of the size, equal to the eye."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    picture = Image.open(buffer).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE)
    with atomic_path(path) as part:
        picture.save(part, format="PNG", optimize=True)


def main() -> None:
    """Draw the picture into the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="PNG to write")
    save_palette_png(plot_overview(), parser.parse_args().path)


if __name__ == "__main__":
    main()
