"""`browse`: three linked views of a volume, to scroll, to point at, to click in.

Live, it is a widget (plain JavaScript, ``static/slices.js``, carried by anywidget). Everywhere
else, and in every saved page, it is the picture of `show_planes`. What a reader clicks arrives as
a `Click`, and `Browser.click` does the same from a script, so no later cell needs the widget.
"""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets

from fmtutor.core.tables import unknown_name
from fmtutor.data.anatomy import colour_of
from fmtutor.data.cases import Case
from fmtutor.data.drawing import Window, busiest_voxel, window_of
from fmtutor.widgets.front_end import (
    PlanesView,
    image_message,
    module,
    state_of,
    voxel_inside,
)
from fmtutor.widgets.interactive import interactive
from fmtutor.widgets.planes import label_masks, show_planes

BUTTONS = ("left", "middle", "right")


@dataclass(frozen=True)
class Click:
    """One click into the volume."""

    voxel: tuple[int, int, int]
    """Voxel (h, w, d) of the case's grid."""
    button: str = "left"
    """Mouse button: "left", "middle" or "right"."""
    shift: bool = False
    """Whether the shift key was down."""


class SlicesView(PlanesView):
    """The front end of a `Browser`."""

    _esm = module("controls", "planes", "slices")
    structures: traitlets.List = traitlets.List().tag(sync=True)


class Browser:
    """A volume on show; made by `browse`."""

    def __init__(
        self, case: Case, *, labels: bool | Sequence[str], at: Sequence[int] | None, window: Window
    ) -> None:
        self.case = case
        self.window = window
        self.clicks: list[Click] = []
        """Every click so far, the reader's and the script's."""
        self._masks = label_masks(case, labels)
        self._voxel = self._inside(
            at if at is not None else busiest_voxel(self._masks, case.image.shape)
        )
        self._callbacks: list[Callable[[Click], None]] = []
        self._view: SlicesView | None = None

    @property
    def voxel(self) -> tuple[int, int, int]:
        """Voxel (h, w, d) under the cross-hair."""
        if self._view is None:
            return self._voxel
        h, w, d = self._view.voxel
        return h, w, d

    def on_click(self, callback: Callable[[Click], None]) -> None:
        """Call ``callback`` with each further click, from the widget or from `click`."""
        self._callbacks.append(callback)

    def click(self, voxel: Sequence[int], *, button: str = "left", shift: bool = False) -> Click:
        """Click from a script: the cross-hair moves, the callbacks are called.

        Raises:
            ValueError: The voxel lies outside the volume, or there is no such button.
        """
        if button not in BUTTONS:
            raise unknown_name(button, BUTTONS, "mouse button")
        found = Click(self._inside(voxel), button, bool(shift))
        self._voxel = found.voxel
        if self._view is not None:
            self._view.voxel = list(found.voxel)
        self.clicks.append(found)
        for callback in self._callbacks:
            callback(found)
        return found

    def view(self) -> SlicesView:
        """Return the widget, made at the first call."""
        if self._view is None:
            self._view = SlicesView(
                **state_of(self.case, self._voxel, self.window),
                structures=[[n, name, colour_of(name)] for n, name in enumerate(self._masks, 1)],
            )
            self._view.on_msg(self._message)
        return self._view

    def picture(self) -> bytes:
        """Return a PNG of the three planes through the cross-hair."""
        figure = show_planes(
            self.case, labels=list(self._masks), at=self.voxel, window=self.window, width=8.5
        )
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=80, facecolor="white")
        return drawn.getvalue()

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.case.image.shape))
        return f"Browser of {self.case.name!r}: {size} voxels, at {self.voxel}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Show the picture, and live also the widget, which front ends prefer."""
        bundle: dict[str, Any] = {
            "text/plain": repr(self),
            "image/png": base64.b64encode(self.picture()).decode(),
        }
        if interactive():
            shown = self.view()._repr_mimebundle_(**kwargs)
            bundle = {**(shown[0] if isinstance(shown, tuple) else shown or {}), **bundle}
        return bundle

    def _message(self, view: SlicesView, content: dict[str, Any], buffers: list[bytes]) -> None:
        if content.get("kind") == "ready":
            self._send(view)
        elif content.get("kind") == "click":
            self.click(content["voxel"], button=content["button"], shift=content["shift"])

    def _send(self, view: SlicesView) -> None:
        """Send image and labels (uint16, C order, little endian)."""
        kind, image = image_message(self.case)
        labels = np.zeros(self.case.image.shape, dtype="<u2")
        for number, mask in enumerate(self._masks.values(), 1):
            labels[mask] = number
        content = {"kind": "volume", "image": kind, "labels": "u2"}
        view.send(content, buffers=[image, labels.tobytes()])

    def _inside(self, voxel: Sequence[int]) -> tuple[int, int, int]:
        return voxel_inside(voxel, self.case.image.shape)


def browse(
    case: Case,
    *,
    labels: bool | Sequence[str] = True,
    at: Sequence[int] | None = None,
    window: Window | None = None,
) -> Browser:
    """Show a volume: wheel scrolls, drag moves the cross-hair, click reports a voxel.

    Args:
        case: The volume.
        labels: True shows every labelled structure of the case, False none, names only those.
        at: First voxel (h, w, d); None goes where most structures are in view.
        window: Black and white end of the grey scale; None is soft tissue for CT.

    Returns:
        The browser. As the last value of a cell it shows itself: live as a widget, else as a
        picture.

    Example:
        >>> view = browse(case)                      # doctest: +SKIP
        >>> view.on_click(lambda click: print(click.voxel))  # doctest: +SKIP
        >>> view.click((60, 40, 70), shift=True)     # doctest: +SKIP
    """
    return Browser(case, labels=labels, at=at, window=window or window_of(case))
