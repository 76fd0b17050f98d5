"""How one more prompt joins a structure's prompts: checked whole before anything changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Bool

from fmtutor.core.ask import Scribbles, Text, check_inside
from fmtutor.core.prompt_checks import check_signs, check_within, clicked_voxels, corners
from fmtutor.engine.prompt_log import to_runs
from fmtutor.engine.regions_of_interest import Numbers, Voxel
from fmtutor.engine.session_state import Asked, Click, Index, PackedMask

Mask = Bool[np.ndarray, "_ _ _"]


@dataclass(frozen=True, kw_only=True)
class Focus:
    """Where the newest prompt is, in the case's voxels."""

    centre: Voxel
    extent: Voxel = (0.0, 0.0, 0.0)
    """From its first to its last voxel."""


Adding = Callable[..., tuple[Asked, Focus]]
"""Takes the prompts so far, the case's shape and one prompt by keywords; adds it and says where it
is."""


def with_click(
    before: Asked, shape: tuple[int, ...], *, voxel: Numbers, positive: bool
) -> tuple[Asked, Focus]:
    """Add a click.

    Raises:
        ValueError: It lies outside of the volume, contradicts an earlier click, is one too many,
            or is negative where nothing says yet what the structure is.
    """
    points = clicked_voxels([*(old.voxel for old in before.clicks), voxel])
    signs = check_signs(points, [*(old.positive for old in before.clicks), positive])
    check_within(points[-1:], shape, "a click")
    new = Click(cast(Index, points[-1]), signs[-1])
    asked = _started(replace(before, clicks=(*before.clicks, new)))
    return asked, _spanning(new.voxel, new.voxel)


def with_box(
    before: Asked, shape: tuple[int, ...], *, low: Numbers, high: Numbers
) -> tuple[Asked, Focus]:
    """Set the box, given by its first and last voxel.

    Raises:
        ValueError: It lies outside of the volume, or ends before it starts.
    """
    first, last = (cast(Index, end) for end in clicked_voxels([low, high]))
    corners([(*first, *(end + 1 for end in last))])
    check_within([first, last], shape, "a box (its first and last voxel)")
    box = (first, last)
    return replace(before, box=box), _spanning(*box)


def with_strokes(
    before: Asked, shape: tuple[int, ...], *, inside: Mask | None, outside: Mask | None
) -> tuple[Asked, Focus]:
    """Add strokes to the earlier ones.

    Raises:
        ValueError: They are of another size than the case, empty, or cross strokes of the other
            sign; or they are outside only where nothing says yet what the structure is.
    """
    empty = np.zeros(shape if outside is None else outside.shape, bool)
    new = Scribbles(empty if inside is None else inside, outside)
    check_inside(new, shape)
    both = Scribbles(_joined(before.inside, new.inside), _joined(before.outside, new.outside))
    asked = replace(before, inside=_packed(both.inside), outside=_packed(both.outside))
    drawn = new.inside if new.outside is None else new.inside | new.outside
    place = PackedMask.of(drawn).box
    return _started(asked), _spanning(
        [part.start for part in place], [part.stop - 1 for part in place]
    )


def with_text(before: Asked, shape: tuple[int, ...], *, text: str) -> tuple[Asked, Focus]:
    """Set the name that the network is asked by; it is looked for in the whole volume."""
    return replace(before, text=Text(text).text), _spanning((0, 0, 0), np.array(shape) - 1)


def plain(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """Return a prompt as JSON values: voxels as lists of integers, strokes as runs."""
    return {name: _plain(value) for name, value in prompt.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 3:
        return to_runs(value.astype(bool))
    if isinstance(value, (list, tuple, np.ndarray)):
        return [int(number) for number in value]
    return bool(value) if isinstance(value, np.bool_) else value


def _joined(old: PackedMask | None, stroke: Any) -> Any:
    if old is None or stroke is None:
        return stroke if old is None else old.unpack()
    return old.unpack() | stroke


def _packed(mask: Mask | None) -> PackedMask | None:
    return None if mask is None or not mask.any() else PackedMask.of(mask)


def _started(asked: Asked) -> Asked:
    if not asked.starts:
        raise ValueError(
            "a structure starts with something inside of it, got only what is outside; click "
            "inside first, or draw a box."
        )
    return asked


def _spanning(low: Numbers, high: Numbers) -> Focus:
    first, last = np.array(low, float), np.array(high, float)
    centre, extent = ((first + last) / 2).tolist(), (last - first).tolist()
    return Focus(centre=tuple(centre), extent=tuple(extent))
