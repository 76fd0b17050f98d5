"""Slices on which two answers are right: does the mask of an organ include its tumour?

The cohort's protocols disagree on it, as public datasets do: the liver unit (like LiTS) draws liver
and tumour as "liver", the abdomen atlas (like BTCV) leaves the tumour out. An image alone cannot
tell which is asked. So a slice that shows organ and lesion, each labelled for itself, comes here
with both answers, and a system that proposes several masks can be held against both.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fmtutor.data.cases import Case
from fmtutor.data.regions import Protocol
from fmtutor.data.transforms import normalise

READINGS = ("with lesion", "without lesion")
"""Names of the answers, in their order."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AmbiguousSlice:
    """A slice and its right answers."""

    image: np.ndarray
    """float32 (H, W) in [0, 1], by `normalise`; the two axes left after the cut, in their order."""
    answers: np.ndarray
    """bool (2, H, W), in the order of `READINGS`."""
    spacing_mm: tuple[float, float]
    """Edge lengths of a pixel along H and W."""
    case: str
    """Name of the case it was cut from."""
    organ: str
    """Structure that is asked for."""
    axis: int
    """Axis that was cut: 0 right-left, 1 back-front, 2 foot-head."""
    index: int
    """Position along that axis, in voxels."""

    @property
    def share(self) -> float:
        """Part of the organ, lesion included, on which the answers differ, in (0, 1)."""
        whole, bare = self.answers
        return float((whole & ~bare).sum() / whole.sum())


def ambiguous_slices(
    case: Case,
    organ: str,
    lesion: str,
    *,
    axis: int = 2,
    least: float = 0.05,
    smallest_mm2: float = 300.0,
) -> list[AmbiguousSlice]:
    """Return the slices of a case on which it matters whether the lesion is part of the organ.

    Args:
        case: With raw intensities (HU for CT), and organ and lesion labelled apart.
        organ: Structure without its lesion, e.g. "liver" (`domains.LESIONS` lists the pairs).
        lesion: Structure of the lesion, e.g. "liver_lesion".
        axis: Axis to cut: 0, 1 or 2 (axial slices).
        least: Share of the organ, lesion included, that the lesion takes up at least, in (0, 1).
        smallest_mm2: Area of the organ below which a slice only grazes it and is left out.

    Returns:
        Slices in the order of their position; none where the patient has no lesion. Some of the
        organ is left without the lesion on each, so neither answer is empty.

    Raises:
        ValueError: The case does not annotate both structures, or an option is out of its range.
    """
    _check_options(axis, least)
    if missing := sorted({organ, lesion} - case.known):
        raise ValueError(
            f"both readings must be known, got case {case.name!r}, which does not annotate "
            f"{missing}; it knows {sorted(case.known)}."
        )
    bare = np.moveaxis(case.mask(organ), axis, 0)  # (slices, H, W)
    whole = bare | np.moveaxis(case.mask(lesion), axis, 0)
    organ_pixels, whole_pixels = bare.sum(axis=(1, 2)), whole.sum(axis=(1, 2))
    along_h, along_w = np.delete(case.spacing_mm, axis).tolist()
    taken = (whole_pixels - organ_pixels >= least * whole_pixels) & (organ_pixels > 0)
    taken &= whole_pixels * along_h * along_w >= smallest_mm2
    if not taken.any():
        return []
    image = np.moveaxis(normalise(case.image, case.modality), axis, 0)
    return [
        AmbiguousSlice(
            image=np.ascontiguousarray(image[at]),
            answers=np.stack([whole[at], bare[at]]),
            spacing_mm=(along_h, along_w),
            case=case.name,
            organ=organ,
            axis=axis,
            index=int(at),
        )
        for at in np.flatnonzero(taken)
    ]


def readings(name: str, protocols: Iterable[Protocol]) -> dict[frozenset[str], tuple[str, ...]]:
    """Return what protocols draw under one name: the structures, and the protocols that mean them.

    More than one entry is a contradiction: no single mask is right for all.

    Args:
        name: Of the region, e.g. "liver"; protocols without it are left out.
        protocols: Those to compare.
    """
    found: dict[frozenset[str], tuple[str, ...]] = {}
    for protocol in protocols:
        if region := protocol.region(name):
            found[region.structures] = (*found.get(region.structures, ()), protocol.name)
    return found


def _check_options(axis: int, least: float) -> None:
    if axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0, 1 or 2, got {axis}; 2 gives axial slices.")
    if not 0 < least < 1:
        raise ValueError(
            f"least is a share of the organ in (0, 1), got {least}; write 0.05 for five percent."
        )
