"""Answers of systems that keep a channel, or a decoder, per dataset: which one is meant?

"liver_unit/liver" is that dataset's reading of the liver. A bare "liver" is the vote of all
datasets that have one: the mean of their probabilities.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fmtutor.core.tables import lookup
from fmtutor.engine.inference import Prediction


def channels_named(classes: Sequence[str], name: str) -> list[int]:
    """Return the channels that a name means.

    Args:
        classes: Full names of the channels, "dataset/region".
        name: A full name, or a bare region.

    Raises:
        ValueError: No channel has this name.

    Example:
        >>> channels_named(("a/liver", "a/spleen", "b/liver"), "liver")
        [0, 2]
    """
    table: dict[str, list[int]] = {}
    for index, full in enumerate(classes):
        for alias in dict.fromkeys((full, full.partition("/")[2] or full)):
            table.setdefault(alias, []).append(index)
    return lookup(table, name, "class")


def voters_of(classes: Sequence[str], asked: Sequence[str]) -> dict[str, list[str]]:
    """Return the full names behind each name asked for; none asked means every channel.

    Raises:
        ValueError: A name is unknown.
    """
    return {
        name: [classes[row] for row in channels_named(classes, name)] for name in asked or classes
    }


def vote(every: Prediction, voters: dict[str, list[str]]) -> Prediction:
    """Average the probabilities of the channels behind each name.

    Args:
        every: A prediction that holds all of these channels.
        voters: Name to the full names of its channels.
    """
    scores = [
        every.scores[[every.names.index(full) for full in found]].mean(0, dtype=np.float32)
        for found in voters.values()
    ]
    return replace(every, names=tuple(voters), scores=np.stack(scores).astype(every.scores.dtype))
