"""What a user asks of a system at test time.

An `Ask` is one or several parts: the classes wanted, examples, clicks, boxes, text. Parts combine
with ``&``. A system states the parts it can answer; any other part is one clear error.
Points and boxes are voxel coordinates ``(h, w, d)`` of the volume they are asked about.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ask:
    """One question: a tuple of parts, each of its own kind."""

    parts: tuple["Part", ...]

    def __and__(self, other: "Ask | Part") -> "Ask":
        return Ask(self.parts + as_ask(other).parts)


@dataclass(frozen=True, eq=False)
class Part:
    """Base of the parts, so that parts combine with ``&``.

    Without an equality of its own: parts that hold arrays would inherit it and all be equal.
    """

    def __and__(self, other: "Ask | Part") -> Ask:
        return as_ask(self) & other


@dataclass(frozen=True)
class Classes(Part):
    """Segment these classes by name; none named means every class the system knows."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Support(Part):
    """Segment what these examples show: images and binary masks of equal shape."""

    images: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Clicks(Part):
    """Points inside (positive) and outside (negative) of the structure."""

    points_vox: tuple[tuple[int, int, int], ...]
    positive: tuple[bool, ...]


@dataclass(frozen=True)
class Boxes(Part):
    """Boxes around the structure: (h0, w0, d0, h1, w1, d1), ends not included."""

    boxes_vox: tuple[tuple[int, int, int, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Scribbles(Part):
    """Boolean volumes of drawn strokes, inside and outside."""

    inside: np.ndarray
    outside: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PreviousMask(Part):
    """A boolean volume to correct."""

    mask: np.ndarray


@dataclass(frozen=True)
class Text(Part):
    """Free text naming the structure."""

    text: str


def as_ask(ask: Ask | Part) -> Ask:
    """Return a part alone as an `Ask`; an `Ask` passes through."""
    return ask if isinstance(ask, Ask) else Ask((ask,))


def answerable(ask: Ask | Part, *kinds: type[Part], system: str) -> dict[type[Part], Any]:
    """Sort an ask's parts by kind, after checking that a system can answer each.

    Args:
        ask: What the user asks.
        kinds: The kinds of part the system answers.
        system: Its name, for the error.

    Returns:
        The parts by their kind; a kind that was not asked is missing.

    Raises:
        ValueError: A part is of another kind, or a kind comes twice.
    """
    can = ", ".join(kind.__name__ for kind in kinds)
    found: dict[type[Part], Any] = {}
    for part in as_ask(ask).parts:
        if not isinstance(part, kinds):
            raise ValueError(f"{system} cannot answer {type(part).__name__}; it answers: {can}.")
        if type(part) in found:
            raise ValueError(
                f"an ask holds each kind once, got {type(part).__name__} twice; merge them."
            )
        found[type(part)] = part
    return found
