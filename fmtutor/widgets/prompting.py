"""What a widget needs of a session that is prompted; `fmtutor.engine.session.Session` is one."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fmtutor.data.cases import Case


@runtime_checkable
class Click(Protocol):
    """A point inside or outside of a structure."""

    @property
    def voxel(self) -> Sequence[int]:
        """Voxel (h, w, d) of the case."""

    @property
    def positive(self) -> bool:
        """Whether it lies inside."""


@runtime_checkable
class Asked(Protocol):
    """What is drawn of the prompts of one structure."""

    @property
    def clicks(self) -> Sequence[Click]:
        """In order of time."""

    @property
    def box(self) -> tuple[Sequence[int], Sequence[int]] | None:
        """First and last voxel of a box around the structure."""


@runtime_checkable
class Step(Protocol):
    """What came of one prompt."""

    @property
    def structure(self) -> str:
        """The structure that it was about; clearing may change others too."""

    @property
    def seconds(self) -> float:
        """How long the answer took."""

    @property
    def box(self) -> tuple[slice, slice, slice] | None:
        """Among which voxels of the case masks changed; None where none did."""

    @property
    def message(self) -> str:
        """For the person: "structure: volume" and what to know about it, parted by "; "."""


@runtime_checkable
class Session(Protocol):
    """A volume, its structures, and the prompts that were given for them."""

    active: str
    """The structure that is worked on."""

    @property
    def case(self) -> Case:
        """The volume."""

    @property
    def structures(self) -> tuple[str, ...]:
        """All structures, in the order in which they were added."""

    def click(
        self, voxel: tuple[int, int, int], positive: bool = True, structure: str | None = None
    ) -> Any:
        """Take a click inside or outside of a structure."""

    def box(
        self,
        low: tuple[int, int, int],
        high: tuple[int, int, int],
        structure: str | None = None,
    ) -> Any:
        """Take a box by its first and last voxel."""

    def undo(self) -> Any:
        """Take the last prompt back."""

    def redo(self) -> Any:
        """Give the prompt that was taken back once more."""

    def clear(self, structure: str | None = None) -> Any:
        """Forget all prompts of a structure."""

    def add(self, name: str) -> Any:
        """Begin a structure."""

    def mask(self, structure: str) -> np.ndarray:
        """Return a structure's mask, bool (H, W, D)."""

    def prompts(self, structure: str) -> Asked:
        """Return what was said about a structure."""

    def on_change(self, callback: Callable[[Any], None]) -> Any:
        """Call ``callback`` with every further `Step`."""
