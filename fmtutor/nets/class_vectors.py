"""The vectors that a text-driven head reads, one per class: from a bank, or from a control.

The controls are what an honest question about text needs: vectors that only tell classes apart
("one_hot", "random"), and real ones under wrong names ("shuffled").
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from fmtutor.nets.text import TextBank, load_bank, one_hot, random_orthogonal


def class_vectors(
    text: str, classes: Sequence[str], *, size: int = 512, centred: bool = False
) -> Float[Tensor, "L E"]:
    """Return the vector of each class.

    A bank is centred and scaled over all its names, and the controls are drawn for ``size``
    classes, so that the vectors of a class do not depend on which others a model has.

    Args:
        text: A bank of `fmtutor.nets.text` by name or path, or "one_hot", "random" (orthogonal),
            "shuffled" (MiniLM's vectors under wrong names).
        classes: Canonical names.
        size: Length of the vectors of "one_hot" and "random", so the most classes they tell apart.
        centred: Take the bank's mean vector off each.

    Raises:
        ValueError: There are no classes, the bank lacks one, or ``size`` is too small.
    """
    if not classes:
        raise ValueError("a text-driven model needs at least one class, got none; name some.")
    bank = _bank(text, classes, size)
    bank = bank.centred() if centred else bank
    return bank.scaled().rows(classes)


def _bank(text: str, classes: Sequence[str], size: int) -> TextBank:
    if text == "shuffled":
        return load_bank("minilm").permuted(seed=0)
    if text not in ("one_hot", "random"):
        return load_bank(text)
    spare = size - len(classes)
    if spare < 0:
        raise ValueError(
            f"{text!r} tells text_size = {size} classes apart, got {len(classes)}; raise text_size."
        )
    names = (*classes, *(f"unused {number}" for number in range(spare)))
    if text == "one_hot":
        return one_hot(names)
    return random_orthogonal(names, size=size, seed=0)
