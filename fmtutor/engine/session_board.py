"""The board of a session: each structure's state and mask now, and what to undo and redo.

States are kept, not recipes, so what comes back is exactly what was there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from fmtutor.engine.prediction import BACKGROUND
from fmtutor.engine.regions_of_interest import Box
from fmtutor.engine.session_state import Asked, PackedMask

BYTES = 256 * 2**20
"""Memory that old states may take; the oldest steps are forgotten beyond it."""

Mask = Bool[np.ndarray, "H W D"]


@dataclass(frozen=True)
class Change:
    """What one step did to one structure."""

    name: str
    before: Asked
    after: Asked

    def reversed(self) -> "Change":
        """Return the change that takes this one back."""
        return Change(self.name, self.after, self.before)


class History:
    """Steps that can be undone, and those undone that can be redone."""

    def __init__(self, most_bytes: int = BYTES) -> None:
        self.most_bytes = most_bytes
        self._done: list[list[Change]] = []
        self._undone: list[list[Change]] = []

    def __len__(self) -> int:
        return len(self._done)

    def add(self, changes: list[Change]) -> None:
        """Note a step; what was undone before can no longer be redone."""
        self._done.append(changes)
        self._undone.clear()
        sizes = [sum(change.after.nbytes() for change in step) for step in self._done]
        while len(self._done) > 1 and sum(sizes) > self.most_bytes:
            self._done.pop(0)
            sizes.pop(0)

    def undone(self) -> list[Change]:
        """Return what takes the last step back; empty where there is none."""
        if not self._done:
            return []
        self._undone.append(self._done.pop())
        return [change.reversed() for change in self._undone[-1]]

    def redone(self) -> list[Change]:
        """Return the step that was undone last; empty where there is none."""
        if not self._undone:
            return []
        self._done.append(self._undone.pop())
        return self._done[-1]


class Board:
    """The states and masks of a case of some shape, with their history."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.states: dict[str, Asked] = {}
        self.masks: dict[str, Mask] = {}
        self._history = History()

    def add(self, name: str) -> None:
        """Add a structure of which nothing is known.

        Raises:
            ValueError: There is one of this name, or it is called as the background is.
        """
        if name in self.states or name == BACKGROUND or not name:
            raise ValueError(
                f"structures have names of their own and none is {BACKGROUND!r}, got {name!r} "
                f"beside {list(self.states)}; number the objects of one kind."
            )
        self._show(name, Asked())

    def voxels(self, name: str) -> int:
        """Return how many voxels a structure's mask holds."""
        mask = self.states[name].mask
        return 0 if mask is None else int(self.masks[name][mask.box].sum())

    def painted(
        self, name: str, asked: Asked, paintings: Sequence[tuple[Box, np.ndarray]]
    ) -> tuple[Asked, Mask]:
        """Return a structure's new state and mask after paintings, each in its box."""
        mask, within = self.masks[name].copy(), _box_of(self.states[name])
        for box, part in paintings:
            mask[box] = part
            within = united(within, box)
        return replace(asked, mask=PackedMask.of(mask, within=within)), mask

    def put(self, states: Mapping[str, Asked], masks: Mapping[str, Mask]) -> Box | None:
        """Make a step: new states, with their masks where they are at hand.

        Returns:
            The box of the voxels that changed, None where none did.
        """
        changes = [Change(name, self.states[name], after) for name, after in states.items()]
        moved = self._move(changes, masks)
        self._history.add(changes)
        return moved

    def undo(self) -> tuple[str, Box | None] | None:
        """Take the last step back: its structure and what moved, None where there is none."""
        changes = self._history.undone()
        return (changes[0].name, self._move(changes, {})) if changes else None

    def redo(self) -> tuple[str, Box | None] | None:
        """Make the step again that was undone last."""
        changes = self._history.redone()
        return (changes[0].name, self._move(changes, {})) if changes else None

    def _move(self, changes: list[Change], masks: Mapping[str, Mask]) -> Box | None:
        moved: Box | None = None
        for change in changes:
            before = self.masks[change.name]
            self._show(change.name, change.after, masks.get(change.name))
            within = united(_box_of(change.before), _box_of(change.after))
            moved = united(moved, changed_box(before, self.masks[change.name], within))
        return moved

    def _show(self, name: str, asked: Asked, mask: Mask | None = None) -> None:
        if mask is None:
            mask = np.zeros(self.shape, bool) if asked.mask is None else asked.mask.unpack()
        mask.flags.writeable = False
        self.states[name], self.masks[name] = asked, mask


def _box_of(asked: Asked) -> Box | None:
    return None if asked.mask is None else asked.mask.box


def united(one: Box | None, other: Box | None) -> Box | None:
    """Return the smallest box that holds both; empty ones count for nothing."""
    boxes = [box for box in (one, other) if box and all(part.stop > part.start for part in box)]
    if not boxes:
        return None
    h, w, d = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
    return h, w, d


def changed_box(before: Mask, after: Mask, within: Box | None) -> Box | None:
    """Return the bounding box of the voxels that differ, looking only within a box."""
    if within is None:
        return None
    different = before[within] != after[within]
    spans = []
    for axis in range(3):
        found = np.flatnonzero(different.any(tuple(a for a in range(3) if a != axis)))
        if not len(found):
            return None
        start = within[axis].start
        spans.append(slice(start + int(found[0]), start + int(found[-1]) + 1))
    return spans[0], spans[1], spans[2]
