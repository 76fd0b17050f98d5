"""Do prompts of one organ lie near each other? A number with its chance, and the picture.

Takes any names and vectors: the task tokens of Hermes, the prompts of UniSeg, a bank of texts. A
name is "dataset/organ", or a bare organ. Vectors of one network often share a large common part,
which lifts every cosine; *centred* takes their mean off first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmtutor.data.anatomy import STRUCTURES, colour_of

Vectors = Float[np.ndarray, "L E"]
_GREY = "#8a8a8a"


def organ_of(name: str) -> str:
    """Return the organ of a name: what follows the dataset, or all of it.

    Example:
        >>> organ_of("survey/spleen"), organ_of("spleen")
        ('spleen', 'spleen')
    """
    return name.rpartition("/")[2]


def dataset_of(name: str) -> str:
    """Return the dataset of a name, "" for a bare one."""
    return name.rpartition("/")[0]


def cosine_matrix(vectors: Vectors, *, centred: bool = False) -> Float[np.ndarray, "L L"]:
    """Return the cosine of every pair.

    Args:
        vectors: One row per name, none of them zero.
        centred: Take the mean row off first.

    Raises:
        ValueError: A row is zero (or the mean itself, when centred): it has no direction.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    rows = rows - rows.mean(0) if centred else rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (lengths > 1e-12).all():
        raise ValueError(
            f"a cosine needs vectors with a direction, got row {int(lengths.argmin())} of length "
            "0; leave that name out."
        )
    return (rows / lengths) @ (rows / lengths).T


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """Whether vectors of one organ are nearer to each other than vectors of two."""

    same: float
    """Mean cosine over pairs of one organ in two datasets."""
    different: float
    """Mean cosine over pairs of two organs in two datasets."""
    pairs: int
    """Pairs of one organ."""
    p_value: float
    """Share of shuffled names with a difference at least as large."""

    def __str__(self) -> str:
        return (
            f"same organ {self.same:+.2f} ({self.pairs} pairs), different organs "
            f"{self.different:+.2f}, p = {self.p_value:.2g}"
        )


def nearness(
    names: Sequence[str],
    vectors: Vectors,
    *,
    centred: bool = True,
    draws: int = 10_000,
    seed: int = 0,
) -> Nearness:
    """Compare pairs of one organ with pairs of two, over pairs from two datasets.

    The chance is that of a one-sided permutation test: within each dataset the organs' names are
    shuffled, so that what a dataset's vectors have in common cannot make a difference.

    Args:
        names: "dataset/organ", or bare organs, which all count as of different datasets.
        vectors: One row per name.
        centred: See `cosine_matrix`.
        draws: Shuffles.
        seed: Of the shuffles.

    Raises:
        ValueError: No organ is in two datasets, or no two organs are.
    """
    cosine = cosine_matrix(vectors, centred=centred)
    organs = np.unique([organ_of(name) for name in names], return_inverse=True)[1]
    across = _across(names)
    same, different = _means(cosine, organs, across)
    generator, larger = np.random.default_rng(seed), 0
    strata = [np.flatnonzero(row) for row in np.unique(~across | _bare(names), axis=0)]
    for _ in range(draws):
        shuffled = organs.copy()
        for members in strata:
            shuffled[members] = generator.permutation(shuffled[members])
        a, b = _means(cosine, shuffled, across, empty_is_zero=True)
        larger += a - b >= same - different - 1e-12
    pairs = int((np.equal.outer(organs, organs) & across).sum() // 2)
    p_value = (1 + larger) / (1 + draws)
    return Nearness(same=same, different=different, pairs=pairs, p_value=p_value)


def nearness_table(
    names: Sequence[str], sets: Mapping[str, Vectors], *, draws: int = 2_000
) -> pd.DataFrame:
    """Return a row per set of vectors: the means of `nearness`, raw and centred, and its chance.

    Args:
        names: Of the rows of every set.
        sets: What to call a set, to its vectors.
        draws: Shuffles.
    """
    rows = []
    for title, vectors in sets.items():
        raw = nearness(names, vectors, centred=False, draws=1)
        found = nearness(names, vectors, draws=draws)
        rows.append({
            "vectors": title, "same organ": raw.same, "two organs": raw.different,
            "same, centred": found.same, "two, centred": found.different, "p": found.p_value,
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("vectors")


def _across(names: Sequence[str]) -> Bool[np.ndarray, "L L"]:
    """Return which pairs come from two datasets; a bare name is a dataset of its own."""
    own = [dataset_of(name) or f"bare {row}" for row, name in enumerate(names)]
    return np.array([[a != b for b in own] for a in own])


def _bare(names: Sequence[str]) -> Bool[np.ndarray, "L L"]:
    bare = np.array([not dataset_of(name) for name in names])
    return np.logical_and.outer(bare, bare)


def _means(
    cosine: np.ndarray, organs: np.ndarray, across: np.ndarray, *, empty_is_zero: bool = False
) -> tuple[float, float]:
    equal = np.equal.outer(organs, organs)
    same, different = cosine[equal & across], cosine[~equal & across]
    if not empty_is_zero and not (len(same) and len(different)):
        raise ValueError(
            "nearness needs an organ that two datasets have, and two organs; "
            'name the rows "dataset/organ".'
        )
    return tuple(float(part.mean()) if len(part) else 0.0 for part in (same, different))  # type: ignore[return-value]


def plane_of(vectors: Vectors) -> Float[np.ndarray, "L 2"]:
    """Return the plane in which the directions differ most (principal components of unit rows)."""
    rows = np.asarray(vectors, dtype=np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    left, sizes, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    return (left * sizes)[:, :2]


def plot_prompts(names: Sequence[str], vectors: Vectors, *, title: str = "") -> Figure:
    """Draw the cosines ordered by organ, as they are and centred, and the plane of the vectors.

    Args:
        names: "dataset/organ", or bare organs.
        vectors: One row per name.
        title: Above all.
    """
    order = sorted(range(len(names)), key=lambda row: (organ_of(names[row]), names[row]))
    names, vectors = [names[row] for row in order], np.asarray(vectors)[order]
    figure, axes = plt.subplots(
        1, 3, figsize=(15, 5.2), layout="constrained", width_ratios=(1, 1, 1.2)
    )
    for axis, centred in zip(axes, (False, True), strict=False):
        _draw_cosines(axis, names, cosine_matrix(vectors, centred=centred), labelled=not centred)
        axis.set_title("centred" if centred else "as they are", fontsize=10)
    drawn = axes[0].images[0]
    figure.colorbar(drawn, ax=axes[:2], shrink=0.6, label="cosine")
    _draw_plane(axes[2], names, plane_of(vectors))
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_cosines(axis: Axes, names: Sequence[str], cosine: np.ndarray, *, labelled: bool) -> None:
    axis.imshow(cosine, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    size = max(4.0, min(8.0, 220 / len(names)))
    texts = [name.replace("_", " ") for name in names] if labelled else []
    axis.set_yticks(range(len(texts)), texts, fontsize=size)
    axis.set_xticks([])
    organs = [organ_of(name) for name in names]
    for row in range(1, len(names)):
        if organs[row] != organs[row - 1]:  # a line between organs shows the blocks to look at
            for draw in (axis.axhline, axis.axvline):
                draw(row - 0.5, color=_GREY, linewidth=0.5)


def _draw_plane(axis: Axes, names: Sequence[str], points: np.ndarray) -> None:
    organs = [organ_of(name) for name in names]
    for organ in dict.fromkeys(organs):
        own = points[[row for row, other in enumerate(organs) if other == organ]]
        colour = colour_of(organ) if organ in STRUCTURES else _GREY
        axis.plot(own[:, 0], own[:, 1], color=colour, linewidth=1, alpha=0.6)
        axis.scatter(own[:, 0], own[:, 1], color=colour, edgecolor="black", linewidth=0.4, s=40)
        axis.annotate(organ.replace("_", " "), own.mean(0), fontsize=7, ha="center", va="center")
    axis.set_title("plane of the largest differences; lines join one organ", fontsize=10)
    axis.set_xticks([])
    axis.set_yticks([])
