"""2D networks on volumes: the session of `fmtutor.engine.session`, one slice at a time.

``Session(model, case, roi="slices")`` is the same dialogue: a click acts on its axial slice, a box
on each slice that it passes, `fmtutor.engine.slice_asker` frames them. Here are its short forms.
Taught in: 09
"""

from typing import Any

from torch import nn

from fmtutor.core.ask import Ask, Part
from fmtutor.data.cases import Case
from fmtutor.engine.looking import SLICES
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.session import Session, segment


def slice_session(
    model: nn.Module, case: Case, *, propagate: str = "none", **options: Any
) -> Session:
    """Return a session that asks a 2D network slice by slice.

    Args:
        model: A promptable 2D network.
        case: Any volume; slices are across D, axial in RAS.
        propagate: "box" or "point" carries an answer from slice to slice until it ends; "none"
            leaves slices without a prompt empty.
        options: As of `Session`.
    """
    return Session(model, case, roi=SLICES, propagate=propagate, **options)


def segment_slices(
    model: nn.Module, case: Case, ask: Ask | Part, *, propagate: str = "none", **options: Any
) -> Prediction:
    """Answer one ask with a 2D network; as `fmtutor.engine.session.segment`, slice by slice.

    A click or stroke acts on its own slice, a box on each slice that it passes.
    """
    return segment(model, case, ask, roi=SLICES, propagate=propagate, **options)
