"""What the widgets of this package share: one JavaScript module, small state, voxels by message.

A volume is never part of a widget's state, which every saved notebook would carry in base64: it
is sent as a binary message when the front end says that it is ready.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from fmtutor.data.cases import Case
from fmtutor.data.drawing import Window

STATIC = Path(__file__).parent / "static"


def module(*names: str) -> str:
    """Return JavaScript files as the text of one module, in this order.

    A module that a kernel sends has no address, so it cannot import its neighbours; joined, the
    files need neither a build nor a network.
    """
    return "\n".join((STATIC / f"{name}.js").read_text(encoding="utf-8") for name in names)


class PlanesView(anywidget.AnyWidget):
    """Synced state of three linked planes: numbers and short lists, no voxels."""

    shape = traitlets.List(trait=traitlets.Int()).tag(sync=True)
    spacing_mm = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    affine = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    voxel = traitlets.List(trait=traitlets.Int()).tag(sync=True)
    window = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    values = traitlets.List(trait=traitlets.Float()).tag(sync=True)
    show_labels = traitlets.Bool(True).tag(sync=True)
    unit = traitlets.Unicode("").tag(sync=True)


def state_of(case: Case, voxel: Sequence[int], window: Window) -> dict[str, Any]:
    """Return the state of a `PlanesView` of a case."""
    return {
        "shape": list(case.image.shape),
        "spacing_mm": [float(edge) for edge in case.spacing_mm],
        "affine": [float(value) for value in case.affine.ravel()],
        "voxel": list(voxel),
        "window": [float(end) for end in window],
        "values": [float(case.image.min()), float(case.image.max())],
        "unit": "HU" if case.modality == "CT" else "",
    }


def image_message(case: Case) -> tuple[str, bytes]:
    """Return type and bytes of the image, C order, little endian: int16 for CT, else float32."""
    if case.modality == "CT":
        return "i2", np.clip(np.round(case.image), -32768, 32767).astype("<i2").tobytes()
    return "f4", case.image.astype("<f4").tobytes()


def voxel_inside(voxel: Sequence[int], shape: Sequence[int]) -> tuple[int, int, int]:
    """Return a voxel as whole numbers.

    Raises:
        ValueError: It lies outside the volume.
    """
    if len(voxel) != 3 or not all(0 <= int(p) < s for p, s in zip(voxel, shape, strict=True)):
        raise ValueError(
            f"a voxel must lie inside the volume {tuple(shape)}, got {tuple(voxel)}; count from 0."
        )
    h, w, d = (int(part) for part in voxel)
    return h, w, d
