"""Slices on paper: three planes in radiological convention, at one scale in millimetres.

Every plane is drawn as a radiologist reads it: the patient's right is on the viewer's left, the
front is up (or, seen from the side, on the left), the head is up. Letters at the edges say so:
R/L right and left, A/P front (anterior) and back (posterior), S/I head (superior) and foot.
Only matplotlib is needed; who calls brings the figure, so nothing here touches pyplot's state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case

Window = tuple[int | float, int | float]
"""Black and white end of the grey scale."""
WINDOW_HU = (-160.0, 240.0)
"""The soft tissue window: black and white end of the grey scale in HU."""
PLANES: dict[str, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
"""Plane to the axis that it cuts."""
LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}
"""Letters at the left, right, upper and lower edge."""
FILL = 0.5
MAX_LEGEND = 24
THIN_MM = 80.0
"""A panel lower than this has small letters and no scale bar."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """Masks that are drawn over an image in one way."""

    masks: Mapping[str, np.ndarray]
    """Structure name to bool (H, W, D)."""
    style: Literal["filled", "solid", "dashed"] = "filled"
    """Coloured area, or outline."""
    colours: Mapping[str, str] | None = None
    """Name to "#rrggbb"; a structure that is not named takes its own."""

    def colour(self, name: str) -> str:
        """Return the colour of a mask."""
        own = (self.colours or {}).get(name)
        return own if own is not None else colour_of(name)


def window_of(case: Case) -> tuple[float, float]:
    """Return a window that suits a case: soft tissue for CT, percentiles 1 and 99 otherwise."""
    if case.modality == "CT":
        return WINDOW_HU
    low, high = np.percentile(case.image, [1, 99])
    return float(low), float(max(high, low + 1e-6))


def draw_planes(
    figure: Figure,
    case: Case,
    *,
    layers: Sequence[Layer] = (),
    at: Sequence[int] | None = None,
    window: Window | None = None,
    crosshair: bool = True,
) -> tuple[int, int, int]:
    """Fill a figure with the three planes through one voxel, all at the same scale.

    Args:
        figure: An empty figure with constrained layout.
        case: The image.
        layers: Drawn in this order; masks lie on the case's grid.
        at: Voxel (h, w, d); None goes where most masks are in view.
        window: Black and white end of the grey scale; None takes `window_of`.
        crosshair: Whether thin lines show where the other two planes cut.

    Returns:
        The voxel.

    Raises:
        ValueError: The voxel lies outside the image, or a mask is not on its grid.
    """
    voxel = _checked_voxel(at, case, layers)
    widths = [case.image.shape[u] * case.spacing_mm[u] for u, _ in map(_rest, PLANES)]
    axes = figure.subplots(1, 3, width_ratios=widths, squeeze=False)[0]
    for panel, (plane, axis) in zip(axes, PLANES.items(), strict=True):
        draw_plane(panel, case, plane, index=voxel[axis], layers=layers, window=window)
        if crosshair:
            u, v = _rest(plane)
            place: dict[str, Any] = {"color": "#ffd54a", "linewidth": 0.5, "alpha": 0.7}
            panel.axvline((voxel[u] + 0.5) * case.spacing_mm[u], **place)
            panel.axhline((voxel[v] + 0.5) * case.spacing_mm[v], **place)
    return voxel


def draw_plane(
    panel: Axes,
    case: Case,
    plane: str,
    *,
    index: int,
    layers: Sequence[Layer] = (),
    window: Window | None = None,
    marks: bool = True,
) -> None:
    """Draw one slice with its masks, orientation letters and a scale bar.

    Args:
        panel: Where to draw; its axes are in mm from the voxel block's corner.
        case: The image.
        plane: "axial", "coronal" or "sagittal".
        index: Voxel along the axis that the plane cuts.
        layers: Drawn in this order.
        window: Black and white end of the grey scale; None takes `window_of`.
        marks: Whether to write letters and bar; leave them out where you zoom in afterwards.
    """
    axis, (u, v) = lookup(PLANES, plane, "plane"), _rest(plane)
    low, high = window or window_of(case)
    wide, tall = (case.image.shape[a] * case.spacing_mm[a] for a in (u, v))
    image = np.take(case.image, index, axis=axis).T
    placed: dict[str, Any] = {
        "origin": "lower",
        "extent": (0.0, wide, 0.0, tall),
        "aspect": "equal",
    }
    panel.imshow(image, cmap="gray", vmin=low, vmax=high, **placed)
    for layer in layers:
        _draw_layer(panel, layer, axis, index, (case.spacing_mm[u], case.spacing_mm[v]), placed)
    panel.set_xlim(wide, 0.0)  # both in-plane axes end at the viewer's left and at the top
    panel.set_ylim(0.0, tall)
    panel.set_axis_off()
    panel.set_title(f"{plane}, {'hwd'[axis]} = {index}", fontsize=9)
    if marks:
        _annotate(panel, plane, wide, tall)


def visible(case: Case, layers: Sequence[Layer], voxel: Sequence[int]) -> dict[str, str]:
    """Return name to colour of the masks that the planes through a voxel cut, largest first."""
    areas: dict[str, int] = {}
    colours: dict[str, str] = {}
    for layer in layers:
        for name, mask in layer.masks.items():
            if area := sum(int(np.take(mask, voxel[a], axis=a).sum()) for a in range(3)):
                areas[name], colours[name] = max(area, areas.get(name, 0)), layer.colour(name)
    return {name: colours[name] for name in sorted(areas, key=lambda name: -areas[name])}


def draw_legend(figure: Figure, names: Mapping[str, str], *, columns: int = 6) -> None:
    """Write a legend of names and colours below the panels; only the first 24 are named."""
    if not names:
        return
    shown = list(names)[:MAX_LEGEND]
    handles: list[Patch | Line2D] = [Patch(color=names[name]) for name in shown]
    texts = [name.replace("_", " ") for name in shown]
    if more := len(names) - len(shown):
        handles.append(Line2D([], [], linestyle=""))
        texts.append(f"and {more} more")
    figure.legend(
        handles, texts, loc="outside lower center", ncols=min(columns, len(texts)), fontsize=8,
        frameon=False, handlelength=1.0, columnspacing=1.2,
    )  # fmt: skip


def figure_size(case: Case, *, width: float = 10.0, legend_rows: int = 0) -> tuple[float, float]:
    """Return width and height in inches that three planes at one scale need."""
    sizes = np.array(case.image.shape) * case.spacing_mm
    across = sum(sizes[u] for u, _ in map(_rest, PLANES))
    tallest = max(sizes[v] for _, v in map(_rest, PLANES))
    return width, max(1.6, width * tallest / across) + 0.45 + 0.2 * legend_rows


def busiest_voxel(masks: Mapping[str, np.ndarray], shape: Sequence[int]) -> tuple[int, int, int]:
    """Return, per axis, the slice in which most masks show (the middle where none does)."""
    out = []
    for axis, size in enumerate(shape):
        others = tuple(other for other in range(3) if other != axis)
        counts = sum((mask.any(axis=others).astype(int) for mask in masks.values()), np.zeros(size))
        best = np.flatnonzero(counts == counts.max())
        out.append(int(best[len(best) // 2]))
    return out[0], out[1], out[2]


def _rest(plane: str) -> tuple[int, int]:
    """Return the axes that run along a plane's width and height."""
    first, second = (axis for axis in range(3) if axis != PLANES[plane])
    return first, second


def _checked_voxel(
    at: Sequence[int] | None, case: Case, layers: Sequence[Layer]
) -> tuple[int, int, int]:
    shape = case.image.shape
    masks = {f"{i} {name}": m for i, layer in enumerate(layers) for name, m in layer.masks.items()}
    for name, mask in masks.items():
        if mask.shape != shape:
            raise ValueError(
                f"a mask must lie on the image's grid {shape}, got {mask.shape} for "
                f"{name.split(' ', 1)[1]!r}; bring it there with data.resampling.to_grid."
            )
    if at is None:
        return busiest_voxel(masks, shape)
    if len(at) != 3 or not all(0 <= int(p) < size for p, size in zip(at, shape, strict=True)):
        raise ValueError(f"`at` must be a voxel of the image {shape}, got {tuple(at)}.")
    return int(at[0]), int(at[1]), int(at[2])


def _draw_layer(
    panel: Axes,
    layer: Layer,
    axis: int,
    index: int,
    spacing: tuple[float, float],
    placed: Mapping[str, Any],
) -> None:
    for name, mask in layer.masks.items():
        area = np.take(mask, index, axis=axis).T
        if not area.any():
            continue
        rgb = to_rgb(layer.colour(name))
        if layer.style == "filled":
            paint = np.zeros((*area.shape, 4), dtype=np.float32)
            paint[area] = (*rgb, FILL)
            panel.imshow(paint, interpolation="nearest", **placed)
        elif not area.all():
            across = (np.arange(area.shape[1]) + 0.5) * spacing[0]
            up = (np.arange(area.shape[0]) + 0.5) * spacing[1]
            panel.contour(
                across, up, area, [0.5], colors=[rgb], linewidths=1.1, linestyles=[layer.style]
            )


def _annotate(panel: Axes, plane: str, wide: float, tall: float) -> None:
    left, right, top, bottom = tuple(LETTERS[plane])
    size = 9 if tall >= THIN_MM else 6
    style: dict[str, Any] = {
        "transform": panel.transAxes,
        "color": "#9fd3ff",
        "fontsize": size,
        "weight": "bold",
    }
    panel.text(0.01, 0.5, left, ha="left", va="center", **style)
    panel.text(0.99, 0.5, right, ha="right", va="center", **style)
    panel.text(0.5, 0.99, top, ha="center", va="top", **style)
    panel.text(0.5, 0.01, bottom, ha="center", va="bottom", **style)
    if tall < THIN_MM:  # a bar would hide the slab; all panels of a figure have one scale
        return
    length = next((mm for mm in (100, 50, 20, 10, 5, 2) if mm < 0.4 * wide), 1)
    start = 0.97 - length / wide
    dark = [withStroke(linewidth=3, foreground="black")]
    bar: dict[str, Any] = {"transform": panel.transAxes, "color": "white", "path_effects": dark}
    panel.plot([start, 0.97], [0.04, 0.04], linewidth=2, **bar)
    panel.text(
        (start + 0.97) / 2, 0.05, f"{length} mm", fontsize=7, ha="center", va="bottom", **bar
    )
