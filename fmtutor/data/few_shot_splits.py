"""Who teaches and who is tested in the published few-shot runs, and how a support is drawn.

Every structure has a *pool*, an ordered list of scans that supports are drawn from, and fixed
tests. The lists are files in ``tables/few_shot``, with the repository and commit that they come
from. A draw depends on the pool's size, the shots and the seed alone, so positions are drawn, and
a virtual pool is drawn from just as the published one is.

Source: Silva-Rodríguez et al., Medical Image Analysis 2025; ``jusiro/fewshot-finetuning``.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import yaml

from fmtutor.core.tables import lookup, unknown_name
from fmtutor.data.anatomy import canonical

DATASETS = ("totalsegmentator", "flare22")
"""Datasets with published few-shot splits: 25 binary tasks, and one multi-class task."""
MOST_DRAWN = 30
"""Cases of a draw, the held-out one included, however many shots are asked for."""
_FOLDER = files("fmtutor.data") / "tables" / "few_shot"


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One draw from a pool, as positions from 0 on."""

    support: tuple[int, ...]
    """Positions of the cases to adapt on, in the order drawn."""
    held_out: int
    """Position of the case that may end the training early; unused by the published protocol."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """The published lists of one structure."""

    pool: tuple[str, ...]
    """Scans to draw supports from, in the published order; the pancreas has one scan twice."""
    test: tuple[str, ...]
    """Scans to score, never in a pool."""


def draw_support(pool: int, shots: int, seed: int) -> Draw:
    """Draw a support by position, as the published runs do.

    One call of Python's own generator draws ``shots + 1`` positions, at most `MOST_DRAWN`, and the
    last is held out. So from 30 shots on the support has 29 cases; and where a seed draws 5 and 10
    shots, the first are a prefix of the second, with their held-out case next. (The generators of
    `fmtutor.core.seeds` would draw others than the published ones.)

    Args:
        pool: Number of cases in the pool.
        shots: Cases to adapt on.
        seed: 0, 1 and 2 are the published ones.

    Raises:
        ValueError: There are no shots, the seed is negative, or the pool is too small.

    Source: Silva-Rodríguez et al. 2025; the draw of ``jusiro/fewshot-finetuning``.

    Example:
        >>> draw_support(30, 5, 0)
        Draw(support=(27, 12, 24, 13, 1), held_out=8)
    """
    if shots < 1:
        raise ValueError(f"a support needs at least one shot, got {shots}; published are 5 and 10.")
    if seed < 0:
        raise ValueError(f"a seed must be at least 0, got {seed}; published are 0, 1 and 2.")
    count = min(shots + 1, MOST_DRAWN)
    if pool < count:
        raise ValueError(
            f"{shots} shots and the held-out case need a pool of {count}, got {pool}; add cases "
            "or ask for fewer shots."
        )
    *support, held_out = random.Random(seed).sample(range(pool), count)
    return Draw(support=tuple(support), held_out=held_out)


def published_split(structure: str, dataset: str) -> Split:
    """Return the published pool and tests of a structure.

    Args:
        structure: Any known spelling.
        dataset: One of `DATASETS`. The structures of FLARE22 are one task and share their lists.

    Raises:
        ValueError: The dataset or the structure has no published split; the message lists which
            have one.

    Source: ``jusiro/fewshot-finetuning``; the commit is in ``tables/few_shot``.
    """
    return lookup(_splits(dataset), canonical(structure), f"few-shot structure of {dataset}")


def published_structures(dataset: str) -> tuple[str, ...]:
    """Return the structures that a dataset has published lists for, in canonical names.

    Raises:
        ValueError: The dataset has none.
    """
    return tuple(_splits(dataset))


@cache
def _splits(dataset: str) -> Mapping[str, Split]:
    if dataset not in DATASETS:
        raise unknown_name(dataset, DATASETS, "few-shot dataset")
    tasks = yaml.safe_load((_FOLDER / f"{dataset}.yaml").read_text("utf-8"))["tasks"]
    return MappingProxyType(
        {
            name: Split(pool=tuple(task["pool"]), test=tuple(task["test"]))
            for task in tasks
            for name in task["structures"]
        }
    )
