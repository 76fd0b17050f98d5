"""Begin from a general SAM: its weights go into a network that is to be adapted.

Everything has to fit but what is named as new. Positions may be of another size, since a network
that is adapted to medicine mostly sees smaller images: the vectors of places and the tables of
relative positions are interpolated, as SAMed, MA-SAM and SAM-Med2D do.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Base: TypeAlias = nn.Module | Mapping[str, Tensor]
"""A general SAM, or its state."""
PLACES, TABLES = "*pos_embed", "*attn.relative.*"


def state_of(base: Base) -> dict[str, Tensor]:
    """Return the state of a network that may be given by its state alone."""
    return dict(base.state_dict() if isinstance(base, nn.Module) else base)


def start_from(model: nn.Module, base: Base, *, new: Sequence[str] = ()) -> None:
    """Copy a general SAM's weights into a network that has no adapters yet.

    Args:
        model: Changed in place.
        base: The general SAM; it stays as it is.
        new: Patterns of the weights that keep their first values, such as those of a decoder with
            a token for each class.

    Raises:
        ValueError: Another weight is missing, is too many, or is of another size.
    """
    own = model.state_dict()
    kept = {name for name in own if any(fnmatchcase(name, pattern) for pattern in new)}
    given = {
        name: fitted(name, value, own[name]) if name in own else value
        for name, value in state_of(base).items()
        if not any(fnmatchcase(name, pattern) for pattern in new)
    }
    wrong = [
        name for name, value in given.items() if name in own and value.shape != own[name].shape
    ]
    wrong += sorted((own.keys() - kept) ^ given.keys())
    if wrong:
        raise ValueError(
            f"a base must be a SAM of the network's own shape, got {len(wrong)} weights that do "
            f"not fit, such as {wrong[:3]}; build the network with the base's Shape."
        )
    with torch.no_grad():
        for name, value in given.items():
            own[name].copy_(value)


def fitted(name: str, value: Tensor, like: Tensor) -> Tensor:
    """Return positions interpolated to the size of ``like``; any other weight as it is."""
    if value.shape == like.shape or value.dim() != like.dim():
        return value
    if fnmatchcase(name, PLACES) and value.dim() == 4:
        places = value.movedim(-1, 1).float()
        sized = functional.interpolate(places, like.shape[1:-1], mode="bilinear")
        return sized.movedim(1, -1)
    return fitted_table(value, len(like)) if fnmatchcase(name, TABLES) else value


def fitted_table(
    table: Float[Tensor, "distances e"], distances: int
) -> Float[Tensor, "other_distances e"]:
    """Return a table of relative positions for other distances, its ends kept at the ends."""
    rows = functional.interpolate(table.float().T[None], distances, mode="linear")
    return rows[0].T
