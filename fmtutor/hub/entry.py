"""What is known of one published checkpoint: what it builds here, and its names for our tensors.

Our names read as the file's once ``module.`` and ``backbone.`` are gone from the front of those.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

Names = tuple[tuple[str, str], ...]
"""Beginnings of our names, and how a file spells them."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published checkpoint layout."""

    build: Callable[[], nn.Module]
    """Our module: the whole system where we have it, else the backbone."""
    what: str
    """What the checkpoint is, in a line."""
    file: str
    """The file as its authors call it."""
    source: str
    """Where its authors publish it."""
    licence: str
    """Licence of the weights."""
    names: Names = ()
    """Beginnings of our names, and how the file spells them; the first that fits counts."""
    unit_axes: tuple[str, ...] = ()
    """Our linear weights that the file holds as 1x1x1 convolutions: (a, b) as (a, b, 1, 1, 1)."""
    dropped: tuple[str, ...] = ()
    """Beginnings of the file's names that belong to a head we leave out on purpose."""
    classes: str = ""
    """The file's tensor whose first axis counts the classes; empty where there are none."""
    skipped: tuple[str, ...] = ()
    """Kinds of objects in the file's training state that are stepped over, never made."""

    def spelling(self, name: str) -> str:
        """Return what the file calls one of our tensors."""
        for ours, theirs in self.names:
            if name.startswith(ours):
                return theirs + name.removeprefix(ours)
        return name


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A tensor that a file must hold."""

    name: str
    """What we call it."""
    shape: tuple[int, ...]
    """Its shape in the file."""


def slots(entry: Published, module: nn.Module) -> dict[str, Slot]:
    """Return the tensors that a file must hold for a module, by the file's names."""
    table = {}
    for name, tensor in module.state_dict().items():
        shape = (*tensor.shape, 1, 1, 1) if name in entry.unit_axes else tuple(tensor.shape)
        table[entry.spelling(name)] = Slot(name=name, shape=shape)
    return table
