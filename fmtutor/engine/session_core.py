"""`Session`: prompts in, masks out; what a person, a widget and the evaluation drive alike.

A network like SAM is binary: one structure at a time. A session keeps, for each structure of one
case, its prompts, the network's last answer and its mask. The image is embedded once a region; a
click only decodes. Each step makes new states and keeps the old ones, so a prompt that cannot be
answered changes nothing, and undo puts back what was there. Masks may overlap; only the exported
label map resolves that, by a stated order. Taught in: 10
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool
from torch import nn

from fmtutor.core.ask import PreviousMask, check_inside
from fmtutor.core.configs import to_dict
from fmtutor.core.tables import unknown_name
from fmtutor.data.cases import Case
from fmtutor.data.dicom_seg import write_dicom_seg
from fmtutor.engine.looking import SLICES, looking_of
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.prompt_log import PromptLog, to_runs
from fmtutor.engine.regions_of_interest import Box
from fmtutor.engine.session_board import Board
from fmtutor.engine.session_journal import Journal, Step
from fmtutor.engine.session_prompts import (
    Adding,
    Focus,
    plain,
    with_box,
    with_click,
    with_strokes,
    with_text,
)
from fmtutor.engine.session_state import Asked, PackedMask
from fmtutor.engine.slice_asker import SliceAsker
from fmtutor.engine.volume_asker import EmbedText, Outcome, VolumeAsker

Voxel = Sequence[Any] | np.ndarray
"""Three whole numbers; anything else is refused."""
Mask = Bool[np.ndarray, "_ _ _"]


class Asker(Protocol):
    """What turns prompts into paintings: `VolumeAsker` or `SliceAsker`."""

    def answer(self, asked: Asked, focus: Focus, structure: str) -> Outcome:
        """Answer all prompts of a structure, looking where the newest one is."""

    def refine(self, asked: Asked) -> Outcome:
        """Ask again at full resolution wherever the mask is."""


class Session:
    """A dialogue about one case.

    Args:
        model: A promptable network: `embed`, `decode` (`fmtutor.core.prompts`).
        case: Its image as read (HU for CT); labels are not looked at.
        structures: Names of what will be segmented; `add` brings more.
        roi: The rule for what the network sees (`fmtutor.engine.regions_of_interest`), or
            "slices" for a 2D network.
        size, spacing_mm: Voxels of a region and their edge; None asks the network's ``config``,
            else 96 voxels of 3 mm.
        embed_text: Turns a name into the network's text embedding, where it has one.
        weights: Name and sha256 of the network's weights, for the log.
        autosave: File that the log is written to after each step, so that a lost kernel loses
            nothing.
        options: Further fields of `fmtutor.engine.looking.Looking`: threshold, propagate,
            oracle_centres, precision.

    Raises:
        ValueError: Names repeat, an option is unknown, or the image is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        case: Case,
        *,
        structures: Sequence[str] = ("structure",),
        roi: str = "auto_zoom",
        size: int | Sequence[int] | None = None,
        spacing_mm: float | None = None,
        embed_text: EmbedText | None = None,
        weights: Mapping[str, str] | None = None,
        autosave: str | Path | None = None,
        **options: Any,
    ) -> None:
        looking = looking_of(model, roi=roi, size=size, spacing_mm=spacing_mm, **options)
        kind = SliceAsker if roi == SLICES else VolumeAsker
        self._reads = embed_text is not None
        self._asker: Asker = kind(model, case, looking, embed_text)
        self.case = case
        settings = {"structures": list(structures), **to_dict(looking)}
        self.log = PromptLog(case, settings, weights=weights)
        self._journal = Journal(self.log, autosave)
        self._board, self._lock = Board(tuple(case.image.shape)), threading.RLock()
        if isinstance(structures, str) or not structures:
            raise ValueError(f"structures are a tuple of names, got {structures!r}; name one.")
        for name in structures:
            self._board.add(name)
        self._active = self.structures[0]

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of what is segmented, in the order in which they were added."""
        return tuple(self._board.states)

    @property
    def active(self) -> str:
        """The structure that prompts are about where none is named."""
        return self._active

    @active.setter
    def active(self, name: str) -> None:
        self._active = self._named(name)

    def add(self, name: str) -> Step:
        """Add a structure or a further object, and make it the active one."""
        with self._lock:
            self._board.add(name)
            self._active = name
            step = Step(structure=name, seconds=0.0, box=None, message=f"{name}: new")
            return self._journal.told(step, "add", structure=name)

    def click(self, voxel: Voxel, positive: bool = True, structure: str | None = None) -> Step:
        """Answer a click on a voxel of the case, inside or outside of the structure.

        Raises:
            ValueError: It lies outside of the volume, contradicts an earlier click, is one too
                many, or nothing says yet what the structure is.
        """
        return self._ask("click", structure, with_click, voxel=voxel, positive=positive)

    def box(self, low: Voxel, high: Voxel, structure: str | None = None) -> Step:
        """Answer a box, given by its first and last voxel; it replaces an earlier box."""
        return self._ask("box", structure, with_box, low=low, high=high)

    def scribble(
        self,
        inside: Mask | None,
        outside: Mask | None = None,
        structure: str | None = None,
    ) -> Step:
        """Answer strokes drawn on the case's voxels; they join earlier strokes."""
        return self._ask("scribble", structure, with_strokes, inside=inside, outside=outside)

    def text(self, text: str, structure: str | None = None) -> Step:
        """Answer a name, where the network is asked by text."""
        if not self._reads:
            raise ValueError(
                f"a name needs a network that is asked by text, got {text!r} and no embed_text; "
                "pass it to the session, or click."
            )
        return self._ask("text", structure, with_text, text=text)

    def start_from(self, mask: Mask, structure: str | None = None) -> Step:
        """Take a mask to correct in place of all that was said; the network is not asked."""
        check_inside(part := PreviousMask(mask), self.case.image.shape)
        with self._lock:
            name, began = self._named(structure), time.perf_counter()
            packed = PackedMask.of(part.mask)
            state = Asked(start=packed, mask=packed)
            return self._done("start_from", {name: state}, began, mask=to_runs(part.mask))

    def refine(self, structure: str | None = None) -> Step:
        """Ask again wherever the mask is: at the working spacing, after an auto-zoom."""
        with self._lock:
            name, began = self._named(structure), time.perf_counter()
            if (before := self._board.states[name]).mask is None:
                raise ValueError(f"there is a mask to refine after a prompt, got none for {name}.")
            return self._painted("refine", name, self._asker.refine(before), began)

    def clear(self, structure: str | None = None) -> Step:
        """Forget a structure's prompts and mask, or everybody's; `undo` brings them back."""
        with self._lock:
            names = self.structures if structure is None else (self._named(structure),)
            states = {name: Asked() for name in names}
            return self._done("clear", states, time.perf_counter(), note="cleared")

    def undo(self) -> Step:
        """Put back what was there before the last step, exactly; without one, say so."""
        return self._again("undo", self._board.undo)

    def redo(self) -> Step:
        """Do the step again that was undone, from memory."""
        return self._again("redo", self._board.redo)

    def mask(self, structure: str | None = None) -> Mask:
        """Return a structure's mask on the case's grid, read-only."""
        return self._board.masks[self._named(structure)]

    def prompts(self, structure: str | None = None) -> Asked:
        """Return a structure's prompts: `clicks` in order of time, `box`, `inside`, `outside`."""
        return self._board.states[self._named(structure)]

    def prediction(self) -> Prediction:
        """Return all masks as a prediction, to score or to save as NIfTI."""
        return Prediction.from_masks({name: self.mask(name) for name in self.structures}, self.case)

    def label_map(self, order: Sequence[str] | None = None) -> tuple[np.ndarray, dict[int, str]]:
        """Paint the masks into one map, the first of ``order`` (or `structures`) lowest."""
        return self.prediction().label_map(order)

    def save(
        self,
        path: str | Path,
        *,
        series: str | Path | None = None,
        order: Sequence[str] | None = None,
    ) -> None:
        """Write the label map: as DICOM-SEG of a series' folder, else as NIfTI on the file's grid.

        Raises:
            ValueError: The case is not that series, or no mask holds a voxel (DICOM).
        """
        if series is None:
            self.prediction().save(path, order=order)
        else:
            labels, table = self.label_map(order)
            write_dicom_seg(labels, series, path=path, table=table)

    def on_change(self, callback: Callable[[Step], Any]) -> Callable[[], None]:
        """Call back after each step; returns what ends that.

        A callback that fails is warned about and stops nobody: two widgets may share a session.
        """
        return self._journal.watch(callback)

    def _named(self, structure: str | None) -> str:
        name = self._active if structure is None else structure
        if name not in self._board.states:
            raise unknown_name(name, self.structures, "structure of this session")
        return name

    def _ask(self, what: str, structure: str | None, add: Adding, **prompt: Any) -> Step:
        """Add a prompt to a structure and answer; nothing changes unless all of it went well."""
        with self._lock:
            name, began = self._named(structure), time.perf_counter()
            asked, focus = add(self._board.states[name], self.case.image.shape, **prompt)
            outcome = self._asker.answer(asked, focus, name)
            return self._painted(what, name, outcome, began, **plain(prompt))

    def _painted(self, what: str, name: str, outcome: Outcome, began: float, **prompt: Any) -> Step:
        after, mask = self._board.painted(name, outcome.asked, outcome.paintings)
        return self._done(
            what, {name: after}, began, masks={name: mask}, note=outcome.note, **prompt
        )

    def _done(
        self,
        what: str,
        states: dict[str, Asked],
        began: float,
        *,
        masks: Mapping[str, Mask] | None = None,
        note: str = "",
        **prompt: Any,
    ) -> Step:
        """Put new states in place, and say and log what moved."""
        moved = self._board.put(states, masks or {})
        name = next(iter(states))
        step = self._step(name, moved, began, note)
        return self._journal.told(
            step, what, structure=name if len(states) == 1 else None, **prompt
        )

    def _step(self, name: str, moved: Box | None, began: float, note: str = "") -> Step:
        ml = self._board.voxels(name) * self.case.grid.voxel_ml
        message = "; ".join(filter(None, [f"{name}: {ml:.4g} ml", note]))
        seconds = time.perf_counter() - began
        return Step(structure=name, seconds=seconds, box=moved, message=message)

    def _again(self, what: str, move: Callable[[], tuple[str, Box | None] | None]) -> Step:
        with self._lock:
            began = time.perf_counter()
            if (found := move()) is None:
                message = f"nothing to {what}"
                return Step(structure=self._active, seconds=0.0, box=None, message=message)
            return self._journal.told(self._step(*found, began), what)
