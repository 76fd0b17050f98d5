"""Clicks and boxes as they are typed on the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fmtutor.core.ask import Ask


def prompts_of(clicks: Sequence[str], box: str | None) -> "Ask":
    """Return typed clicks and a typed box as an ask.

    Args:
        clicks: Each "H,W,D" (inside) or "-H,W,D" (outside): voxel indices from 0.
        box: "H,W,D,H,W,D": first and last voxel, or None.

    Raises:
        ValueError: A text is not so many whole numbers, a box ends before it starts, or a voxel
            is clicked as inside and outside.
    """
    from fmtutor.core.ask import Ask, Boxes, Clicks

    parts: list[Clicks | Boxes] = []
    if clicks:
        points = [
            _numbers(text.strip().removeprefix("-"), 3, f"a click, {text!r}") for text in clicks
        ]
        signs = tuple(not text.strip().startswith("-") for text in clicks)
        parts.append(Clicks(tuple(points), signs))  # type: ignore[arg-type]
    if box is not None:
        first_last = _numbers(box, 6, f"a box, {box!r}")
        ends = tuple(at + 1 for at in first_last[3:])  # the ask leaves the end out
        parts.append(Boxes(((*first_last[:3], *ends),)))  # type: ignore[arg-type]
    return Ask(tuple(parts))


def _numbers(text: str, count: int, what: str) -> tuple[int, ...]:
    given = text.split(",")
    if len(given) != count or not all(part.strip().isdecimal() for part in given):
        wanted = "H,W,D or -H,W,D (outside)" if count == 3 else "H,W,D,H,W,D (first, last voxel)"
        raise ValueError(
            f"{what}, is {count} whole numbers from 0 with commas, {wanted}; got {text!r}. "
            "Write --click=-10,20,30 with '=' where it begins with a minus."
        )
    return tuple(int(part) for part in given)
