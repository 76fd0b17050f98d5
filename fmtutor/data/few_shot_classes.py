"""Several structures of a few-shot case at once: the multi-class form of the published protocol.

The background is a class like the others, and the first. A patch centred "in the structure" lies in
any of them.

Source: Silva-Rodríguez et al., Medical Image Analysis 2025, the runs on FLARE22;
``jusiro/fewshot-finetuning``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmtutor.data.cases import Case
from fmtutor.data.few_shot import Size, Volume, on_working_grid, prepare
from fmtutor.data.regions import Region
from fmtutor.data.transforms import normalise


@dataclass(frozen=True, eq=False, kw_only=True)
class MultiVolume(Volume):
    """One case on the working grid, for several structures."""

    classes: tuple[str, ...]
    """The structures, in the order of their labels."""
    labels: np.ndarray
    """uint8 (H, W, D): 0 is background, n the n-th of ``classes``."""

    def channels(self, at: tuple[slice, ...]) -> np.ndarray:
        """Return background and structures in a part of the volume, bool (1 + classes, h, w, d)."""
        numbers = np.arange(len(self.classes) + 1, dtype=np.uint8)
        return self.labels[at][None] == numbers[:, None, None, None]


def prepare_classes(
    case: Case, regions: Sequence[Region], *, spacing_mm: Size | tuple, patch: Size
) -> MultiVolume:
    """Bring a case to the working grid of several structures.

    Args:
        case: With labels that annotate the regions.
        regions: What is to be learnt. Where two share a voxel, the later has it.
        spacing_mm: Voxel edges of the working grid.
        patch: Smallest size of the volume.

    Raises:
        ValueError: The case has no labels, or there are fewer than two regions.
    """
    if len(regions) < 2:
        raise ValueError(
            f"several classes are two or more, got {[r.name for r in regions]}; one structure is "
            "for fmtutor.data.few_shot.prepare."
        )
    case, fitted = on_working_grid(case, spacing_mm=spacing_mm, patch=patch)
    labels = np.zeros(case.image.shape, np.uint8)
    for number, region in enumerate(regions, start=1):
        labels[case.mask(*region.structures)] = number
    labels = fitted(labels)
    return MultiVolume(
        name=case.name,
        image=fitted(normalise(case.image, case.modality)).astype(np.float32),
        target=labels > 0,
        voxel_ml=case.grid.voxel_ml,
        classes=tuple(region.name for region in regions),
        labels=labels,
    )


def prepare_all(
    case: Case, regions: Sequence[Region], *, spacing_mm: Size | tuple, patch: Size
) -> Volume:
    """Bring a case to the working grid of one structure, or of several at once."""
    if len(regions) == 1:
        return prepare(case, regions[0], spacing_mm=spacing_mm, patch=patch)
    return prepare_classes(case, regions, spacing_mm=spacing_mm, patch=patch)
