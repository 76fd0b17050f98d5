"""Interactive segmentation of one case: `Session` for a dialogue, `segment` for one ask.

Both work with any promptable network (`fmtutor.core.prompts`); the evaluation and the widgets drive
the same session as a person's script, so what is measured is what is used. `replay` does a logged
session again. Taught in: 10
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from fmtutor.core.ask import (
    Ask,
    Boxes,
    Clicks,
    Part,
    PreviousMask,
    Scribbles,
    Text,
    answerable,
    check_inside,
)
from fmtutor.data.cases import Case
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.prompt_log import PromptLog, checked, fingerprint_of, from_runs, read_log
from fmtutor.engine.session_core import Session
from fmtutor.engine.session_journal import Step
from fmtutor.engine.volume_asker import EmbedText

__all__ = ["Session", "Step", "replay", "segment"]

KINDS = (Clicks, Boxes, Scribbles, PreviousMask)


def segment(
    model: nn.Module,
    case: Case,
    ask: Ask | Part,
    *,
    system: str = "the network",
    kinds: tuple[type[Part], ...] = KINDS,
    name: str = "structure",
    refine: bool = False,
    embed_text: EmbedText | None = None,
    **looking: Any,
) -> Prediction:
    """Answer one ask about a case, as a session would answer it prompt by prompt.

    A mask to correct comes first, then text, box, scribbles, and the clicks one after the other in
    their order (the first positive one leads), each seeing the answer before. A mask alone is asked
    again where it is. Several boxes are several objects: each is answered by itself, and the union
    returned.

    Args:
        model: A promptable network.
        case: Any volume; the answer is on its own grid.
        ask: What it is asked, in voxels of the case.
        system: Its name, for errors.
        kinds: The parts it answers; `Text` needs ``embed_text`` too.
        name: What the answer is called.
        refine: Ask again at the working spacing at the end (`Session.refine`).
        embed_text: Turns a name into the network's text embedding.
        looking: roi, size, spacing_mm and the other options of `Session`.

    Raises:
        ValueError: The ask has another part or none, lies outside of the case, or clicks come with
            several boxes.
    """
    parts = answerable(ask, *kinds, system=system)
    for part in parts.values():
        check_inside(part, case.image.shape)
    if not parts:
        raise ValueError(f"{system} is asked by prompts, got none; ask with a click or a box.")
    boxes = parts[Boxes].boxes_vox if Boxes in parts else (None,)
    if len(boxes) > 1 and len(parts) > 1:
        others = ", ".join(kind.__name__ for kind in parts if kind is not Boxes)
        raise ValueError(
            f"several boxes are several objects, got {len(boxes)} with {others}; ask one box at a "
            "time where more is said about it."
        )
    names = [f"{name} {number}" for number in range(1, len(boxes) + 1)]
    session = Session(model, case, structures=names, embed_text=embed_text, **looking)
    for each, box in zip(names, boxes, strict=True):
        session.active = each
        _prompted(session, parts, box)
        if refine or set(parts) == {PreviousMask}:
            session.refine()
    union = np.logical_or.reduce([session.mask(each) for each in names])
    return Prediction.from_masks({name: union}, case)


def replay(
    log: PromptLog | Mapping[str, Any] | str | Path,
    model: nn.Module,
    case: Case,
    *,
    embed_text: EmbedText | None = None,
) -> Session:
    """Do a logged session again; the same network on the same machine gives the same masks.

    Args:
        log: A session's log, its values, or its file.
        model: The network that answered, with the same weights.
        case: The case that was asked about.
        embed_text: As the session had it.

    Raises:
        ValueError: It is no log, or one of another case.
    """
    if isinstance(log, PromptLog):
        log = log.as_dict()
    values = checked(log) if isinstance(log, Mapping) else read_log(log)
    if (found := fingerprint_of(case)) != values["case"]["sha256"]:
        raise ValueError(
            f"a log is replayed on its own case {values['case']['name']!r} "
            f"({values['case']['sha256'][:12]}), got {case.name!r} ({found[:12]}); read that case."
        )
    settings = {name: value for name, value in values["settings"].items() if value is not None}
    session = Session(model, case, embed_text=embed_text, weights=values.get("weights"), **settings)
    for event in values["events"]:
        _redone(session, event)
    return session


def _prompted(
    session: Session, parts: Mapping[type[Part], Any], box: tuple[int, ...] | None
) -> None:
    if mask := parts.get(PreviousMask):
        session.start_from(mask.mask)
    if text := parts.get(Text):
        session.text(text.text)
    if box is not None:
        session.box(box[:3], [end - 1 for end in box[3:]])
    if strokes := parts.get(Scribbles):
        session.scribble(strokes.inside, strokes.outside)
    if clicks := parts.get(Clicks):
        given = list(zip(clicks.points_vox, clicks.positive, strict=True))
        if len(parts) == 1 and True in clicks.positive:
            given.insert(0, given.pop(clicks.positive.index(True)))
        for voxel, positive in given:
            session.click(voxel, positive)


def _redone(session: Session, event: Mapping[str, Any]) -> None:
    prompt = {k: v for k, v in event.items() if k not in ("do", "at_s", "seconds")}
    for stroke in ("inside", "outside", "mask"):
        if prompt.get(stroke) is not None:
            prompt[stroke] = from_runs(prompt[stroke])
    what = event["do"]
    if what == "add":
        session.add(prompt["structure"])
    elif what in ("undo", "redo"):
        getattr(session, what)()
    elif what in ("click", "box", "scribble", "text", "start_from", "refine", "clear"):
        getattr(session, what)(**prompt)
    else:
        raise ValueError(f"a log holds steps of a session, got {what!r}; it was changed by hand.")
