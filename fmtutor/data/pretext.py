"""Training batches without labels: crops of images, turned and cut out, in two views each.

``stream(i)`` is batch number i, always the same one. A view is a crop turned by some quarter turns
in one plane; then boxes of it are replaced by noise, and others by voxels of another crop of the
batch. To say how it was turned, to restore it, and to find its other view needs some knowledge of
what a body looks like, and no label.

Source: Tang et al., CVPR 2022, as in their released code: the paper says that at most 30 % of the
voxels are cut out, the code takes up to 30 % for noise and up to 30 % for another crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol as Interface
from typing import runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from fmtutor.core.axes import Image
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.kept import Kept, bytes_of
from fmtutor.data.resampling import resample_case
from fmtutor.data.shares import shares_of
from fmtutor.data.transforms import HU_WINDOW

TURNS = 4
"""Classes of rotation: 0, 90, 180 and 270 degrees."""
Box = tuple[slice, slice, slice]


@runtime_checkable
class Images(Interface):
    """Cases of which the image alone is used: a virtual centre, a dataset on disk, a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Case: ...


@dataclass(frozen=True, eq=False)
class PretextBatch:
    """The two views of each crop: all first views, then all second views in the same order."""

    views: Image
    """What the network sees, in [0, 1]: turned, and cut out."""
    target: Image
    """The same views before anything was cut out: turned too."""
    rotation: Int[Tensor, " B"]
    """Quarter turns of each view, 0 to 3."""

    def to(self, device: torch.device | str) -> "PretextBatch":
        """Return the batch on a device."""
        names = self.__dataclass_fields__
        return replace(self, **{n: getattr(self, n).to(device, non_blocking=True) for n in names})


@dataclass(frozen=True, kw_only=True)
class PretextConfig:
    """What one batch is made of."""

    size: tuple[int, int, int] = (64, 64, 32)
    """Voxels of a crop along H, W, D."""
    batch: int = 2
    """Crops of a batch; it has twice as many views."""
    spacing_mm: tuple[float, float, float] = (4.0, 4.0, 4.0)
    """Voxel edges that images are resampled to."""
    window_hu: tuple[float, float] = HU_WINDOW
    """Intensities that become 0 and 1, in HU."""
    plane: str = "HW"
    """The two axes of the plane that crops are turned in."""
    noise: float = 0.3
    """Largest share of the voxels that noise replaces; the share is uniform from 0 to this."""
    paste: float = 0.3
    """Largest share of the voxels that another crop replaces."""
    box: tuple[float, float] = (0.05, 0.25)
    """Shortest and longest side of a box, as a share of the crop's."""

    def __post_init__(self) -> None:
        if self.plane not in ("HW", "HD", "WD"):
            raise ValueError(f"plane must be 'HW', 'HD' or 'WD', got {self.plane!r}.")
        one, other = self.axes
        if self.size[one] != self.size[other]:
            raise ValueError(
                f"a crop that is turned in the plane {self.plane} must be square there, got "
                f"{self.size}; make the two sides equal or take another plane."
            )
        if not self.window_hu[0] < self.window_hu[1]:
            raise ValueError(f"window_hu must rise, got {self.window_hu}.")

    @property
    def axes(self) -> tuple[int, int]:
        """Numbers of the two axes of the plane."""
        return "HWD".index(self.plane[0]), "HWD".index(self.plane[1])


@dataclass(frozen=True, kw_only=True)
class ViewPlan:
    """All that is drawn for one view."""

    turns: int
    """Quarter turns, 0 to 3, from the first axis of the plane towards the second."""
    noise: tuple[Box, ...]
    """Boxes that noise replaces."""
    noise_seed: int
    """Seed of that noise."""
    other: int
    """Number of the crop that is pasted from; its own number where nothing is."""
    paste: tuple[Box, ...]
    """Boxes that its voxels replace."""


def draw_view(number: int, config: PretextConfig, rng: np.random.Generator) -> ViewPlan:
    """Draw the plan of one view of crop ``number`` of a batch."""
    turns, seed = int(rng.integers(TURNS)), int(rng.integers(2**31))
    other = int(rng.integers(config.batch))
    noise = draw_boxes(config.noise, config, rng)
    paste = draw_boxes(config.paste, config, rng) if other != number else ()
    return ViewPlan(turns=turns, noise=noise, noise_seed=seed, other=other, paste=paste)


def draw_boxes(most: float, config: PretextConfig, rng: np.random.Generator) -> tuple[Box, ...]:
    """Draw boxes until their volumes sum to a share of the crop that is uniform in [0, ``most``].

    As published, a voxel in two boxes counts twice, and a box may be cut by the border.
    """
    size = np.array(config.size)
    least, longest = (np.maximum(1, (share * size).astype(int)) for share in config.box)
    wanted, boxes = rng.uniform(0, most) * size.prod(), []
    while wanted > 0:
        begin = rng.integers(0, size - least + 1)
        end = np.minimum(begin + rng.integers(least, longest + 1), size)
        h, w, d = (slice(int(b), int(e)) for b, e in zip(begin, end, strict=True))
        boxes.append((h, w, d))
        wanted -= (end - begin).prod()
    return tuple(boxes)


def turned(crop: np.ndarray, turns: int, axes: tuple[int, int]) -> np.ndarray:
    """Return the crop after some quarter turns from one axis towards the other."""
    return np.ascontiguousarray(np.rot90(crop, turns, axes))


def cut_out(image: np.ndarray, plan: ViewPlan, other: np.ndarray) -> np.ndarray:
    """Return the image with its boxes replaced: by noise first, then by voxels of ``other``."""
    view, rng = image.copy(), np.random.default_rng(plan.noise_seed)
    for box in plan.noise:
        noise = rng.standard_normal(view[box].shape, dtype=np.float32)
        low, high = noise.min(), noise.max()
        view[box] = (noise - low) / max(high - low, np.float32(1e-6))
    for box in plan.paste:
        view[box] = other[box]
    return view


class PretextStream:
    """Batches from several sources, of whose cases nothing but the image is read.

    Args:
        sources: Where the CT images come from.
        config: Sizes, intensities, what is done to a view.
        seed: Seed of every draw.
        weights: How likely each source is; None is all alike.

    Raises:
        ValueError: There is no source, one is empty, or there is not one weight a source.
    """

    def __init__(
        self,
        sources: Sequence[Images],
        config: PretextConfig,
        *,
        seed: int = 0,
        weights: Sequence[float] | None = None,
    ) -> None:
        shares = shares_of(sources, weights)
        self.sources, self.config, self.seed = tuple(sources), config, seed
        self.weights = shares
        self._load = Kept(self._load_image, bytes_of)

    def __call__(self, step: int) -> PretextBatch:
        """Return batch number ``step``."""
        crops = [self.crop(step, number) for number in range(self.config.batch)]
        views, targets, turns = [], [], []
        for view in range(2):
            plans = [
                draw_view(number, self.config, rng_of("view", self.seed, step, number, view))
                for number in range(len(crops))
            ]
            whole = [
                turned(crop, plan.turns, self.config.axes)
                for crop, plan in zip(crops, plans, strict=True)
            ]
            views += [cut_out(w, p, whole[p.other]) for w, p in zip(whole, plans, strict=True)]
            targets += whole
            turns += [plan.turns for plan in plans]
        return PretextBatch(
            views=torch.from_numpy(np.stack(views)[:, None]),
            target=torch.from_numpy(np.stack(targets)[:, None]),
            rotation=torch.tensor(turns),
        )

    def crop(self, step: int, number: int) -> np.ndarray:
        """Return crop ``number`` of a batch as it is, float32 (H, W, D) in [0, 1]."""
        rng = rng_of("pretext", self.seed, step, number)
        which = int(rng.choice(len(self.sources), p=self.weights))
        image = self._load(which, int(rng.integers(len(self.sources[which]))))
        spare = np.array(image.shape) - self.config.size
        anywhere = rng.integers(0, np.maximum(spare, 0) + 1)
        return _cut(image, np.where(spare > 0, anywhere, spare // 2), self.config.size)

    def _load_image(self, which: int, index: int) -> np.ndarray:
        """Return the part of an image that holds all above the window's lower end, float16."""
        case = self.sources[which][index]
        if case.modality != "CT":
            raise ValueError(
                f"images must be CT, whose intensities are HU, got {case.modality} in case "
                f"{case.name!r}; leave it out."
            )
        low, high = self.config.window_hu
        # Without its labels: they must not matter, and need not be resampled.
        bare = replace(case, labels=None, table={}, known=frozenset())
        image = resample_case(bare, self.config.spacing_mm).image
        image = np.clip((image - low) / (high - low), 0, 1).astype(np.float16)
        return image[_body(image)]


def _body(image: np.ndarray) -> Box:
    """Return the smallest box with every voxel above 0, or all of an empty image."""
    sides = []
    for axis in range(3):
        seen = np.flatnonzero(image.any(tuple(a for a in range(3) if a != axis)))
        sides.append(slice(int(seen[0]), int(seen[-1]) + 1) if len(seen) else slice(None))
    h, w, d = sides
    return h, w, d


def _cut(image: np.ndarray, corner: np.ndarray, size: tuple[int, int, int]) -> np.ndarray:
    """Cut a crop; where it leaves the image there is air."""
    crop = np.zeros(size, dtype=np.float32)
    begin, end = np.maximum(corner, 0), np.minimum(corner + size, image.shape)
    source = tuple(slice(b, e) for b, e in zip(begin, end, strict=True))
    place = tuple(slice(b - c, e - c) for b, e, c in zip(begin, end, corner, strict=True))
    crop[place] = image[source]
    return crop
