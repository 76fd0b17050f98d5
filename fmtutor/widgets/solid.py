"""`view3d`: structures in space, turned live by NiiVue, or as a picture from three sides."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.drawing import window_of
from fmtutor.widgets.interactive import interactive
from fmtutor.widgets.planes import label_masks

BACKENDS = ("auto", "niivue", "picture", "itk")
SIDES = (("from the front", 1, True, "RL"), ("from the patient's left", 0, False, "AP"),
         ("from the back", 1, False, "LR"))  # fmt: skip
"""Title, axis of sight, whether one looks from its high end, letters at the left and right."""


def view3d(
    volume: Case,
    mask: np.ndarray | Sequence[str] | bool = True,
    *,
    backend: str = "auto",
) -> Any:
    """Show structures of a volume in 3D.

    Args:
        volume: The case.
        mask: A bool mask or a label map by the case's table, both on its grid; or structure
            names; True shows every labelled structure.
        backend: "auto" is NiiVue in a live notebook and the picture in a batch. "itk" is for an
            environment with itkwidgets (environment-itk.yml) and a browser that is online: say so
            with FMTUTOR_BROWSER_ONLINE=1. Without the internet itkwidgets holds up the notebook.

    Returns:
        A figure, or the viewer's own widget.

    Raises:
        ValueError: The backend is unknown, itk is asked for where it cannot work, the mask lies on
            another grid, or nothing is in it.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}.")
    shown = masked_case(volume, mask)
    if backend == "itk":
        return _itk(shown)
    if backend == "niivue" or (backend == "auto" and interactive()):
        return _niivue(shown)
    return picture3d(shown)


def masked_case(volume: Case, mask: np.ndarray | Sequence[str] | bool) -> Case:
    """Return the case with the labels that ``mask`` of `view3d` asks for, and no others."""
    if isinstance(mask, np.ndarray):
        if mask.shape != volume.image.shape:
            raise ValueError(
                f"a mask must lie on the image's grid {volume.image.shape}, got {mask.shape}."
            )
        if mask.dtype == bool:
            return replace(volume, labels=mask.astype(np.uint8), table={1: "mask"})
        masks = label_masks(replace(volume, labels=mask), True)
    else:
        masks = label_masks(volume, mask)
    labels = np.zeros(volume.image.shape, dtype=np.uint8)
    for number, area in enumerate(masks.values(), 1):
        labels[area] = number
    if not labels.any():
        raise ValueError(
            f"there must be a structure to show, case {volume.name!r} has none of "
            f"{list(masks) or 'them'} in view; choose others."
        )
    return replace(volume, labels=labels, table=dict(enumerate(masks, 1)))


def picture3d(case: Case, *, width: float = 9.0) -> Figure:
    """Draw the labelled surfaces as seen from three sides, shaded by their slope."""
    h, w, d = np.array(case.image.shape) * case.spacing_mm
    figure, axes = plt.subplots(
        1, 3, figsize=(width, max(1.4, width * d / (2 * h + w))), width_ratios=[h, w, h],
        layout="constrained", dpi=80,
    )  # fmt: skip
    plt.close(figure)
    colours = {number: to_rgb(_colour(name)) for number, name in case.table.items()}
    for panel, (title, axis, from_high, letters) in zip(axes, SIDES, strict=True):
        wide = h if axis == 1 else w
        seen = surface(case, colours, axis=axis, from_high=from_high)
        panel.imshow(seen, origin="lower", extent=(0, wide, 0, d), interpolation="bilinear")
        if letters in ("RL", "AP"):
            panel.invert_xaxis()
        panel.set_title(title, fontsize=9)
        for x, letter in zip((0.02, 0.98), letters, strict=True):
            panel.text(x, 0.5, letter, transform=panel.transAxes, color="#1c5d8f", fontsize=9,
                       weight="bold", ha="center")  # fmt: skip
        panel.set_axis_off()
    return figure


def surface(
    case: Case, colours: Mapping[int, tuple[float, float, float]], *, axis: int, from_high: bool
) -> np.ndarray:
    """Return what one sees along an axis: (D, across, 3) in 0..1, white where nothing is.

    Each ray stops at the first labelled voxel; the slope of the depth found gives the shade.
    """
    labels = np.asarray(case.labels)
    along = np.moveaxis(np.flip(labels, axis) if from_high else labels, axis, 0)
    hit = along > 0
    depth = hit.argmax(axis=0)
    number = np.take_along_axis(along, depth[None], axis=0)[0]
    paint = np.ones((*number.shape, 3))
    for label, colour in colours.items():
        paint[number == label] = colour
    rest = [case.spacing_mm[a] for a in range(3) if a != axis]
    slope = np.gradient(np.where(number > 0, depth * case.spacing_mm[axis], np.nan), *rest)
    steep = np.nan_to_num(np.hypot(*slope), nan=1.5)
    shade = 0.35 + 0.65 / np.sqrt(1.0 + steep**2)
    shade = np.where(number > 0, shade, 1.0)
    return np.clip(paint * shade[..., None], 0, 1).transpose(1, 0, 2)


def _colour(name: str) -> str:
    return "#e0533d" if name == "mask" else colour_of(name)


def _niivue(case: Case) -> Any:
    """Return a NiiVue widget: the volume, and the labels in their colours over it."""
    from ipyniivue import NiiVue, SliceType

    low, high = window_of(case)
    colours = [[int(255 * part) for part in to_rgb(_colour(n))] for n in case.table.values()]
    red, green, blue = ([0, *parts] for parts in zip(*colours, strict=True))
    viewer = NiiVue(height=420, slice_type=SliceType.MULTIPLANAR, is_radiological_convention=True)
    image = {"name": "image.nii", "data": _nifti(case.image, case.affine), "colormap": "gray"}
    labels = {"name": "labels.nii", "data": _nifti(case.labels, case.affine), "opacity": 0.6}
    viewer.load_volumes([{**image, "cal_min": float(low), "cal_max": float(high)}, labels])
    table = {"R": red, "G": green, "B": blue, "A": [0] + [255] * len(colours)}
    table |= {"I": list(range(len(red))), "labels": ["", *case.table.values()]}
    viewer.volumes[1].set_colormap_label(table)
    return viewer


def _nifti(array: np.ndarray | None, affine: np.ndarray) -> bytes:
    """Return a volume as the bytes of a NIfTI file."""
    values = np.asarray(array)
    kind = np.uint8 if values.dtype == np.uint8 else np.float32
    return nib.Nifti1Image(values.astype(kind), affine).to_bytes()


def _itk(case: Case) -> Any:
    """Return an itkwidgets viewer, if it cannot hold up anybody."""
    if not interactive():
        raise ValueError("backend 'itk' must not run in a batch: it waits for a browser for ever.")
    if os.environ.get("FMTUTOR_BROWSER_ONLINE") != "1":
        raise ValueError(
            "backend 'itk' needs a browser with internet access, or the next cell never ends; if "
            "yours has it, set FMTUTOR_BROWSER_ONLINE=1."
        )
    if importlib.util.find_spec("itkwidgets") is None:
        raise ValueError(
            "backend 'itk' needs itkwidgets, which has an environment of its own: "
            "`conda env create -f environment-itk.yml`."
        )
    from itkwidgets import view

    return view(case.image, label_image=case.labels)
