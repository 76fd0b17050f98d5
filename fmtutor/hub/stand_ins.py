"""Read past the objects that some authors pickle beside their weights, without making any.

SAM-Med3D's files hold the arguments of its training script, SAM-Med2D's a whole optimizer. A
strict reader refuses both. Here the kinds of objects that a layout names are replaced by empty
stand-ins while the file is read: no code of the file's or of theirs runs, and nothing of them is
kept. Whatever a layout does not name is refused as before.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

OPTIMIZERS = ("torch.optim.adam.Adam", "torch.optim.adamw.AdamW", "collections.defaultdict",
              "builtins.dict")  # fmt: skip
"""What a pickled optimizer consists of, besides tensors."""

NUMPY_SCALARS = ("numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
"""What a list of losses is made of when they were computed with NumPy."""


class Skipped:
    """An object of the file that was stepped over: it takes anything and holds nothing."""

    def __new__(cls, *args: object) -> "Skipped":
        """Drop what the object would be made from."""
        return super().__new__(cls)

    def __init__(self, *args: object) -> None:
        """Hold nothing."""

    def __setstate__(self, state: object) -> None:
        """Drop the object's content."""


def _empty(*args: object) -> dict[Any, Any]:
    """Stand in for a dictionary with defaults: the reader fills plain dictionaries alone."""
    return {}


STAND_INS: dict[str, Callable[..., Any]] = {"collections.defaultdict": _empty}
"""Kinds that something else than `Skipped` stands in for."""


@contextmanager
def stepping_over(kinds: Sequence[str]) -> Iterator[None]:
    """Let torch's strict reader pass over objects of these kinds.

    Args:
        kinds: Full names of classes or functions, such as "argparse.Namespace".
    """
    pairs: list[Any] = [(STAND_INS.get(kind, Skipped), kind) for kind in kinds]
    with torch.serialization.safe_globals(pairs):
        yield
