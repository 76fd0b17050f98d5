"""A few labelled volumes of one structure as training patches, the published way.

Each volume is resampled, scaled to [0, 1], cropped to what is brighter than the bottom of the
window and padded to one patch. An epoch shows every volume once, as patches centred half in the
structure and half outside of it, with a random offset of the intensities in a fifth of them.

Everything is a pure function of the seed and the step, and of the patch's number where crops are
fixed (`FixedPatches`): a frozen network then gives the same features for it whenever it is asked.

Source: Silva-Rodríguez et al., Medical Image Analysis 2025; ``jusiro/fewshot-finetuning``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.regions import Region
from fmtutor.data.resampling import resample_case
from fmtutor.data.transforms import normalise

SHIFT, SHIFT_CHANCE = 0.1, 0.2
"""Half-width of the random offset of intensities, and how often there is one."""
Size = tuple[int, int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Volume:
    """One case on the working grid, for one structure."""

    name: str
    """Name of the case."""
    image: np.ndarray
    """float32 (H, W, D) in [0, 1], cropped to the foreground, at least one patch large."""
    target: np.ndarray
    """bool (H, W, D): the structure, or any of them."""
    voxel_ml: float
    """Millilitres of a voxel."""

    @cached_property
    def inside(self) -> np.ndarray:
        """Voxels of the structure (n, 3)."""
        return np.argwhere(self.target)

    def channels(self, at: tuple[slice, ...]) -> np.ndarray:
        """Return what a network must answer in a part of the volume, bool (1, h, w, d)."""
        return self.target[at][None].copy()

    @property
    def reference(self) -> np.ndarray:
        """The structure's largest part, joined over corners too: what the published runs score."""
        parts, count = ndimage.label(self.target, np.ones((3, 3, 3)))
        if count < 2:
            return self.target
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        return parts == sizes.argmax()


@dataclass(frozen=True, eq=False)
class FewShotBatch:
    """Patches, or their features, with the structure in them."""

    input: Float[Tensor, "B C H W D"]
    """Normalised image, or features of a frozen backbone."""
    target: Bool[Tensor, "B L H W D"]
    """The structure; of several at once, the background and then each of them."""

    def to(self, device: torch.device | str) -> "FewShotBatch":
        """Return the batch on a device."""
        return FewShotBatch(self.input.to(device), self.target.to(device))


def prepare(case: Case, region: Region, *, spacing_mm: Size | tuple, patch: Size) -> Volume:
    """Bring a case to the working grid of one structure.

    Args:
        case: With labels that annotate the region.
        region: What is to be learnt.
        spacing_mm: Voxel edges of the working grid.
        patch: Smallest size of the volume.

    Raises:
        ValueError: The case has no labels.
    """
    case, fitted = on_working_grid(case, spacing_mm=spacing_mm, patch=patch)
    image, target = normalise(case.image, case.modality), case.mask(*region.structures)
    return Volume(
        name=case.name,
        image=fitted(image).astype(np.float32),
        target=fitted(target),
        voxel_ml=case.grid.voxel_ml,
    )


def on_working_grid(
    case: Case, *, spacing_mm: Size | tuple, patch: Size
) -> tuple[Case, Callable[[np.ndarray], np.ndarray]]:
    """Return the resampled case, and what crops an array of it to the foreground and pads it.

    Raises:
        ValueError: The case has no labels.
    """
    if case.labels is None:
        raise ValueError(f"a few-shot case needs labels, got {case.name!r} without; add them.")
    case = resample_case(case, spacing_mm)
    bright = normalise(case.image, case.modality) > 0
    box = tuple(
        slice(int(line[0]), int(line[-1]) + 1)
        for axis in range(3)
        if len(line := np.flatnonzero(bright.any(axis=tuple({0, 1, 2} - {axis}))))
    )
    lacking = [max(0, side - size) for side, size in zip(patch, bright[box].shape, strict=True)]
    pads = [(n // 2, n - n // 2) for n in lacking]
    return case, lambda array: np.pad(array[box], pads)


class Patches:
    """Batches of patches from a few volumes, without end.

    Step i shows volume number i of the epoch's order, as ``batch`` patches: those of an odd place
    centred in the structure, the others outside; a batch of one alternates from epoch to epoch.

    Args:
        volumes: The support, each with the structure.
        size: Voxels of a patch.
        batch: Patches of a step; published: 6.
        seed: Of every draw.

    Raises:
        ValueError: There is no volume, or one lacks the structure.
    """

    def __init__(self, volumes: Sequence[Volume], *, size: Size, batch: int, seed: int) -> None:
        if not volumes:
            raise ValueError("a support needs at least one volume, got none; add one.")
        if lacking := [volume.name for volume in volumes if not volume.target.any()]:
            raise ValueError(
                f"every support volume must contain the structure, {lacking} do not; draw the "
                "support from cases that have it."
            )
        self.volumes, self.size, self.batch, self.seed = tuple(volumes), size, batch, seed

    def __call__(self, step: int) -> FewShotBatch:
        """Return batch number ``step``."""
        epoch, place = divmod(step, len(self.volumes))
        order = rng_of("few-shot order", self.seed, epoch).permutation(len(self.volumes))
        drawn = [
            self.patch(int(order[place]), step * self.batch + n, inside=(epoch + n) % 2 == 0)
            for n in range(self.batch)
        ]
        image, target = (np.stack(part) for part in zip(*drawn, strict=True))
        return FewShotBatch(torch.from_numpy(image), torch.from_numpy(target))

    def patch(self, volume: int, number: int, *, inside: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return patch ``number`` of a volume: image (1, H, W, D) and target, of its own seed."""
        rng, found = rng_of("few-shot patch", self.seed, volume, number), self.volumes[volume]
        centre = _spot(found, rng, inside=inside)
        room = np.array(found.image.shape) - self.size
        corner = np.clip(centre - np.array(self.size) // 2, 0, room)
        at = tuple(slice(int(c), int(c) + s) for c, s in zip(corner, self.size, strict=True))
        offset = rng.uniform(-SHIFT, SHIFT) if rng.random() < SHIFT_CHANCE else 0.0
        image = (found.image[at] + np.float32(offset))[None]
        return image.astype(np.float32), found.channels(at)


class FixedPatches(Patches):
    """A fixed number of patches per volume, shown over and over: what features can be kept of.

    Args:
        volumes: The support.
        size: Voxels of a patch.
        batch: Patches of a step.
        seed: Of every draw.
        per_volume: K, patches of each volume; a multiple of ``batch``.

    Raises:
        ValueError: K is no multiple of the batch.
    """

    def __init__(
        self, volumes: Sequence[Volume], *, size: Size, batch: int, seed: int, per_volume: int = 6
    ) -> None:
        super().__init__(volumes, size=size, batch=batch, seed=seed)
        if per_volume < 1 or per_volume % batch:
            raise ValueError(
                f"patches of a volume must be a multiple of the batch of {batch}, got "
                f"{per_volume}; published are 6 of each."
            )
        self.per_volume = per_volume

    def __len__(self) -> int:
        return self.per_volume * len(self.volumes)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return crop ``number``: image (1, H, W, D) and target, always the same."""
        volume, index = divmod(number, self.per_volume)
        image, target = self.patch(volume, index, inside=index % 2 == 0)
        return torch.from_numpy(image), torch.from_numpy(target)

    def numbers(self, step: int) -> list[int]:
        """Return the crops of a step: a volume's next ones, in the order of its epochs."""
        epoch, place = divmod(step, len(self.volumes))
        order = rng_of("few-shot order", self.seed, epoch).permutation(len(self.volumes))
        first = epoch * self.batch % self.per_volume
        return [int(order[place]) * self.per_volume + first + n for n in range(self.batch)]

    def __call__(self, step: int) -> FewShotBatch:
        """Return batch number ``step``."""
        images, targets = zip(*(self[number] for number in self.numbers(step)), strict=True)
        return FewShotBatch(torch.stack(images), torch.stack(targets))


def _spot(volume: Volume, rng: np.random.Generator, *, inside: bool) -> np.ndarray:
    """Draw a voxel in the structure, or outside of it (by trying: it fills a small part)."""
    if inside:
        return volume.inside[int(rng.integers(len(volume.inside)))]
    while True:
        spot = rng.integers(volume.image.shape)
        if not volume.target[tuple(spot)] or volume.target.all():
            return spot
