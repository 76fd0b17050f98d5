"""`annotate`: segment a volume by clicks and boxes, in three linked planes.

Live, it is a widget (plain JavaScript, ``static/clicker.js``). Everywhere else, and in every saved
page, it is a picture of the masks and prompts. It keeps nothing of its own: prompts and masks are
the session's, so ``session.click(...)`` in a script and a click in the page do the same, and all
widgets of a session show both. Only the changed box of a mask is sent, one bit a voxel.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from fmtutor.core.colours import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW
from fmtutor.data.drawing import Window, busiest_voxel, window_of
from fmtutor.widgets.front_end import (
    PlanesView,
    image_message,
    module,
    state_of,
    voxel_inside,
)
from fmtutor.widgets.interactive import interactive
from fmtutor.widgets.planes import show_planes
from fmtutor.widgets.prompt_marks import draw_prompts
from fmtutor.widgets.prompting import Asked, Session, Step

COLOURS = (ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE)
"""Okabe and Ito's colours, which people with any kind of colour vision tell apart."""
MAX_STRUCTURES = 31
"""The page keeps one bit a structure in a whole number of 32."""
PATIENCE_S = 10.0
WHOLE = (slice(None), slice(None), slice(None))


class ClickerView(PlanesView):
    """The front end of a `Clicker`."""

    _esm = module("controls", "planes", "prompts", "clicker")
    patience_s = traitlets.Float(PATIENCE_S).tag(sync=True)


class Clicker:
    """A session on show; made by `annotate`."""

    def __init__(self, session: Session, *, at: Sequence[int] | None, window: Window) -> None:
        self.session = session
        self.window = window
        shape = session.case.image.shape
        masks = {name: session.mask(name) for name in session.structures}
        self._voxel = voxel_inside(at if at is not None else busiest_voxel(masks, shape), shape)
        self._masks, self._voxels = masks, {n: _count(mask) for n, mask in masks.items()}
        self._said = {name: _said(session.prompts(name)) for name in masks}
        self._view: ClickerView | None = None
        self._shown = self._asked = False
        session.on_change(self._changed)

    @property
    def voxel(self) -> tuple[int, int, int]:
        """Voxel (h, w, d) under the cross-hair."""
        if self._view is None:
            return self._voxel
        h, w, d = self._view.voxel
        return h, w, d

    def view(self) -> ClickerView:
        """Return the widget, made at the first call."""
        if self._view is None:
            self._view = ClickerView(**state_of(self.session.case, self._voxel, self.window))
            self._view.on_msg(self._message)
        return self._view

    def picture(self) -> bytes:
        """Return a PNG of the three planes through the cross-hair, with masks and prompts."""
        session = self.session
        colours = {name: self._colour(name) for name in session.structures}
        figure = show_planes(
            session.case,
            labels=False,
            masks={name: session.mask(name) for name in session.structures},
            colours=colours,
            at=self.voxel,
            window=self.window,
            width=8.5,
        )
        for name in session.structures:
            draw_prompts(figure, session.case, session.prompts(name), self.voxel, colours[name])
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=80, facecolor="white")
        return drawn.getvalue()

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {self._ml(name):.1f} ml" for name in self.session.structures)
        return f"Clicker on {self.session.case.name!r}, at {self.voxel}: {found or 'no structure'}"

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

    def _message(self, view: ClickerView, content: dict[str, Any], buffers: list[bytes]) -> None:
        """Do what the page asks; "working" goes out before, "done" after, whatever happens."""
        view.send({"kind": "working", "id": content["id"]})
        done, self._asked = {"kind": "done", "id": content["id"], "error": "", "note": ""}, True
        try:
            done["note"] = _note(self._act(view, content))
        except ValueError as refused:
            done["error"] = str(refused)
        except Exception as broken:
            done["error"] = f"{type(broken).__name__}: {broken}"
            raise  # the page says it, the notebook's log has the traceback
        finally:
            self._asked = False
            view.send(done)

    def _act(self, view: ClickerView, content: dict[str, Any]) -> Step | None:
        session, kind, shape = self.session, content["kind"], self.session.case.image.shape
        if kind == "ready":
            self._send(view)
        elif kind == "click":
            voxel = voxel_inside(content["voxel"], shape)
            return session.click(voxel, bool(content["positive"]), content["structure"])
        elif kind == "box":
            low, high = (voxel_inside(content[end], shape) for end in ("low", "high"))
            return session.box(low, high, content["structure"])
        elif kind == "clear":
            return session.clear(content["structure"])
        elif kind in ("undo", "redo"):
            return getattr(session, kind)()
        elif kind in ("add", "choose"):
            if kind == "add":
                _check_room(len(session.structures) + 1)
                session.add(content["name"])
            session.active = content["name"]
            view.send(self._change(None))
        return None

    def _send(self, view: ClickerView) -> None:
        """Send the image, then every mask that is not empty."""
        kind, image = image_message(self.session.case)
        view.send({"kind": "volume", "image": kind}, buffers=[image])
        view.send(self._change(None))
        for name in self.session.structures:
            if self._voxels[name]:
                self._send_patch(view, name, WHOLE, self._change(None))
        self._shown = True

    def _send_patch(
        self, view: ClickerView, name: str, box: tuple[slice, slice, slice], content: dict[str, Any]
    ) -> None:
        """Send the part of a mask within a box, one bit a voxel, C order."""
        mask = self.session.mask(name)
        ends = [part.indices(size)[:2] for part, size in zip(box, mask.shape, strict=True)]
        low, high = ([int(end[side]) for end in ends] for side in (0, 1))
        patch = {"number": self._number(name), "low": low, "high": high}
        view.send({**content, "patch": patch}, buffers=[np.packbits(mask[box]).tobytes()])

    def _changed(self, step: Step) -> None:
        """Follow the session, whoever asked: count, move the cross-hair, repaint."""
        names = [step.structure] if step.box is not None else []
        for name in self.session.structures:
            mask = self.session.mask(name)
            if name in names or mask is not self._masks.get(name):  # clearing may change all
                names = list(dict.fromkeys((*names, name)))
                self._masks[name], self._voxels[name] = mask, _count(mask)
        self._follow(step.structure)
        if self._view is None or not self._shown:
            return
        content = self._change(step)
        if step.box is None or not names:
            self._view.send(content)
            return
        for name in names:
            self._send_patch(self._view, name, step.box, content)

    def _follow(self, structure: str) -> None:
        """Go where a prompt was given, unless it was given in this page: its reader is there."""
        clicks, box = self._said.get(structure, (0, None))
        asked = self.session.prompts(structure)
        self._said[structure] = _said(asked)
        if self._asked:
            return
        if len(asked.clicks) > clicks:
            self._move(asked.clicks[-1].voxel)
        elif asked.box is not None and asked.box != box:
            self._move([(a + b) // 2 for a, b in zip(*asked.box, strict=True)])

    def _move(self, voxel: Sequence[int]) -> None:
        self._voxel = voxel_inside(voxel, self.session.case.image.shape)
        if self._view is not None:
            self._view.voxel = list(self._voxel)

    def _change(self, step: Step | None) -> dict[str, Any]:
        """Return what the page shows besides image and masks."""
        session = self.session
        structures = [
            [self._number(n), n, self._colour(n), self._voxels.setdefault(n, 0), self._ml(n)]
            for n in session.structures
        ]
        return {
            "kind": "change",
            "structures": structures,
            "active": session.active,
            "prompts": [
                [self._number(name), *prompt]
                for name in session.structures
                for prompt in _plain(session.prompts(name))
            ],
            "note": _note(step),
            "seconds": None if step is None else float(step.seconds),
        }

    def _number(self, name: str) -> int:
        return list(self.session.structures).index(name) + 1

    def _colour(self, name: str) -> str:
        return COLOURS[(self._number(name) - 1) % len(COLOURS)]

    def _ml(self, name: str) -> float:
        return self._voxels.get(name, 0) * self.session.case.grid.voxel_ml


def annotate(
    session: Session, *, at: Sequence[int] | None = None, window: Window | None = None
) -> Clicker:
    """Show a session to click in.

    In the page: left click is inside; right or shift click is outside; a drag is a box; ctrl or
    middle drag moves the cross-hair; the wheel and the page keys scroll. By keyboard alone: arrow
    and page keys move the cross-hair, enter is inside, minus or shift enter outside, b twice the
    corners of a box, ctrl z and ctrl y undo and redo, numbers choose the structure.

    Args:
        session: Holds the case, takes the prompts, gives the masks.
        at: First voxel (h, w, d); None goes where masks are, or to the middle.
        window: Black and white end of the grey scale; None suits the case.

    Returns:
        The clicker. As the last value of a cell it shows itself: live as a widget, else as a
        picture. Scripts prompt the session itself, and every clicker of it follows.

    Raises:
        ValueError: The voxel lies outside, or the session has more structures than the page shows.

    Example:
        >>> session = Session(model, case, structures=("liver",))  # doctest: +SKIP
        >>> annotate(session)                                      # doctest: +SKIP
        >>> session.click((60, 40, 70))                            # doctest: +SKIP
    """
    _check_room(len(session.structures))
    return Clicker(session, at=at, window=window or window_of(session.case))


def _check_room(structures: int) -> None:
    if structures > MAX_STRUCTURES:
        raise ValueError(
            f"a clicker shows at most {MAX_STRUCTURES} structures, got {structures}; "
            "begin another session for the rest."
        )


def _plain(asked: Asked) -> list[list[Any]]:
    """Return prompts as the page reads them."""
    boxes = [] if asked.box is None else [["box", *(list(map(int, end)) for end in asked.box)]]
    clicks = [["point", list(map(int, c.voxel)), bool(c.positive)] for c in asked.clicks]
    return [*boxes, *clicks]


def _said(asked: Asked) -> tuple[int, Any]:
    """Return what tells a new prompt from old ones: the number of clicks, and the box."""
    return len(asked.clicks), asked.box


def _note(step: Step | None) -> str:
    """Return a step's message without the volume, which the page says itself."""
    if step is None:
        return ""
    first, _, rest = step.message.partition("; ")
    return rest if first.startswith(f"{step.structure}: ") else step.message


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))
