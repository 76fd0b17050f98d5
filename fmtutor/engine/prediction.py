"""`Prediction`: what a system says about a case, on the grid of the case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
from scipy import ndimage

from fmtutor.core.files import write_json
from fmtutor.core.geometry import Grid, same_grid, voxel_to_world, world_to_voxel
from fmtutor.core.tables import unknown_name
from fmtutor.data.cases import Case
from fmtutor.data.nifti import write_nifti
from fmtutor.data.resampling import to_grid

BACKGROUND = "background"


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """Scores of named classes on a working grid, brought to the case's grid one at a time.

    A full CT has 80 million voxels: the scores stay on the coarser grid that the network saw, and
    `mask`, `probability` and `label_map` resample (linearly, before the threshold) what is asked.
    """

    names: tuple[str, ...]
    """One name per channel of ``scores``."""
    scores: np.ndarray
    """(L, h, w, d) on ``working``: probabilities in [0, 1], float16 or float32, or bool masks."""
    grid: Grid
    """The case's grid (RAS), on which everything is answered."""
    working: Grid
    """The grid of ``scores``; may be ``grid`` itself."""
    native: Grid | None = None
    """The grid of the case's file, on which `save` writes."""
    threshold: float = 0.5
    """A voxel belongs to a class above this probability, unless classes exclude each other."""
    exclusive: bool = False
    """Softmax classes: a voxel belongs to the most probable channel alone."""
    largest_component: tuple[str, ...] = ()
    """Classes of which only the largest connected part (faces touch) is kept."""

    def __post_init__(self) -> None:
        wanted = (len(self.names), *self.working.shape)
        if self.scores.shape != wanted:
            raise ValueError(
                f"scores must be {wanted}, got {self.scores.shape}; pass one per name."
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must lie in [0, 1], got {self.threshold}.")
        for name in self.largest_component:
            self._channel(name)

    @classmethod
    def from_masks(cls, masks: Mapping[str, np.ndarray], case: Case) -> "Prediction":
        """Build a prediction from masks or probabilities (H, W, D) on the case's grid."""
        return cls(
            names=tuple(masks),
            scores=np.stack(list(masks.values())),
            grid=case.grid,
            working=case.grid,
            native=case.native,
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names without the background of a softmax."""
        return tuple(name for name in self.names if name != BACKGROUND)

    @property
    def probabilities(self) -> np.ndarray:
        """All scores (L, H, W, D) on the case's grid, float16: large for a full CT."""
        return np.stack([self.probability(name).astype(np.float16) for name in self.names])

    def probability(self, name: str) -> np.ndarray:
        """Return float32 (H, W, D): the probability of one class on the case's grid."""
        scores = self.scores[self._channel(name)].astype(np.float32)
        return to_grid(scores, self.working, self.grid, mode="linear")

    def mask(self, name: str) -> np.ndarray:
        """Return bool (H, W, D): the voxels of one class on the case's grid."""
        if self.exclusive:
            mask = self._winner == self._channel(name)
        else:
            mask = self._above_threshold(self._channel(name))
        return largest_component(mask) if name in self.largest_component else mask

    def label_map(self, order: Sequence[str] | None = None) -> tuple[np.ndarray, dict[int, str]]:
        """Paint the classes into one integer map.

        Args:
            order: Classes to paint, the first one first, so the last one lies on top where
                masks overlap; None paints all in the order of ``names``.

        Returns:
            uint8 (uint16 from 256 classes on) (H, W, D) with 0 for nothing, and the table id to
            name. An id is the place in ``classes`` plus one, whatever the order.
        """
        ids = {name: number for number, name in enumerate(self.classes, start=1)}
        order = self.classes if order is None else tuple(order)
        labels = np.zeros(self.grid.shape, np.uint8 if len(ids) < 256 else np.uint16)
        for name in order:
            if name not in ids:
                raise unknown_name(name, ids, "class of this prediction")
            labels[self.mask(name)] = ids[name]
        return labels, {number: name for name, number in ids.items() if name in order}

    def save(self, path: str | Path, *, order: Sequence[str] | None = None) -> None:
        """Write the label map as NIfTI on the case's native grid, and its table as JSON beside it.

        Args:
            path: Ends in `.nii` or `.nii.gz`; the table gets the same name with `.json`.
            order: Painting order of `label_map`.
        """
        path = Path(path)
        labels, table = self.label_map(order)
        where = self.grid
        if self.native is not None:
            ras = self.native.to_ras()
            if not same_grid(ras, self.grid):
                labels = to_grid(labels, self.grid, ras, mode="nearest")
            labels, where = self.native.array_from_ras(labels), self.native
        write_nifti(labels, where, path)
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        write_json(path.with_name(f"{stem}.json"), {str(number): table[number] for number in table})

    def _above_threshold(self, channel: int) -> np.ndarray:
        """Resample and threshold only where it can matter: an organ is a small part of a CT.

        A linear interpolation never exceeds its neighbours, so one working voxel around the
        scores above the threshold is enough.
        """
        mask = np.zeros(self.grid.shape, bool)
        above = np.argwhere(self.scores[channel] > self.threshold)
        if not len(above):
            return mask
        low, high = above.min(axis=0) - 1, above.max(axis=0) + 1
        corners = np.array(list(product(*zip(low, high, strict=True))), dtype=float)
        at = world_to_voxel(voxel_to_world(corners, self.working.affine), self.grid.affine)
        start = np.clip(np.floor(at.min(axis=0)), 0, self.grid.shape).astype(int)
        stop = np.clip(np.ceil(at.max(axis=0)) + 1, 0, self.grid.shape).astype(int)
        if (stop <= start).any():
            return mask
        affine = np.array(self.grid.affine, dtype=float)
        affine[:3, 3] = voxel_to_world(start, affine)
        part = Grid(tuple(int(size) for size in stop - start), affine)  # type: ignore[arg-type]
        scores = to_grid(self.scores[channel].astype(np.float32), self.working, part)
        box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        mask[box] = scores > self.threshold
        return mask

    @cached_property
    def _winner(self) -> np.ndarray:
        """Channel of the largest probability at each voxel, found one channel at a time."""
        best = self.probability(self.names[0])
        winner = np.zeros(self.grid.shape, np.int16)
        for channel, name in enumerate(self.names[1:], start=1):
            candidate = self.probability(name)
            winner[candidate > best] = channel
            np.maximum(best, candidate, out=best)
        return winner

    def _channel(self, name: str) -> int:
        if name not in self.names:
            raise unknown_name(name, self.names, "class of this prediction")
        return self.names.index(name)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Return the largest face-connected part of a mask (the first in scan order among equals)."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()
