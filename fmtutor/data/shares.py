"""How often a stream draws from each of its sources."""

from collections.abc import Sequence, Sized

import numpy as np
from jaxtyping import Float


def shares_of(
    sources: Sequence[Sized], weights: Sequence[float] | None
) -> Float[np.ndarray, " sources"]:
    """Return weights as shares that sum to 1.

    Args:
        sources: Each with cases.
        weights: One for each source, relative to the others; None is all alike.

    Raises:
        ValueError: There is no source, one is empty, or there is not one weight a source, 0 or more
            and not all 0.

    Example:
        >>> shares_of([[1], [2, 3]], [1.0, 3.0]).tolist()
        [0.25, 0.75]
    """
    given = [1.0] * len(sources) if weights is None else list(weights)
    sizes = [len(source) for source in sources]
    if not sizes or len(given) != len(sizes) or not all(sizes) or min(given) < 0 or not sum(given):
        raise ValueError(
            f"a stream needs sources with cases and one weight each, 0 or more and not all 0, got "
            f"{len(sizes)} sources of {sizes} cases and weights {given}."
        )
    return np.array(given) / np.sum(given)
