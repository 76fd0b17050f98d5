"""Training batches of promptable networks: crops of volumes with the objects in them.

``stream(i)`` is batch number i, always the same one. A crop is zoomed, turned, mirrored and cut in
one resampling; its objects are the structures that its source annotates, all equally likely, some
of them joined to a neighbour, and parts of the image that nobody named.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_of
from fmtutor.data.anatomy import NOVEL_STRUCTURES, expand
from fmtutor.data.crops import CropConfig, cut, random_frame
from fmtutor.data.kept import Kept, bytes_of
from fmtutor.data.objects import ObjectBatch
from fmtutor.data.patches import Source
from fmtutor.data.pseudo_objects import pseudo_object
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.data.shares import shares_of
from fmtutor.data.transforms import normalise

ATTEMPTS = 6
"""Crops drawn in search of one that shows any object."""
SPOTS = 256
"""Voxels of each structure that are kept as possible centres of a crop."""
NOVEL = frozenset(p for name in NOVEL_STRUCTURES for p in (name, *expand(name, lesions=True)))


@dataclass(frozen=True, kw_only=True)
class ObjectConfig(CropConfig):
    """What one batch is made of."""

    objects: int = 4
    """K, objects asked for in each image."""
    batch: int = 1
    """Images of a batch."""
    least: int = 100
    """Voxels that a structure must have in the crop to be an object."""
    pseudo: float = 0.25
    """Share of the objects that are parts nobody named; they also take the places left free where
    a crop shows few structures."""
    union: float = 0.1
    """Share of the structures that are joined to another one which touches them."""
    anywhere: float = 0.1
    """Share of the crops that are not centred near a structure."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Loaded:
    """A case as the stream keeps it."""

    image: np.ndarray
    """float16 (H, W, D) in [0, 1]."""
    labels: np.ndarray
    lut: np.ndarray
    """Bool (L, ids): which label ids a structure is made of."""
    spots: list[np.ndarray]
    """Some voxels (n, 3) of each structure that is there."""
    spacing_mm: tuple[float, float, float]


class ObjectStream:
    """Batches from several sources.

    Args:
        sources: Where the cases come from; each annotates what its ``protocol`` says.
        config: Sizes and augmentation.
        seed: Seed of every draw.
        weights: How likely each source is; None is all alike.

    Raises:
        ValueError: There is no source, one is empty or annotates a novel structure, or there is
            not one weight a source.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: ObjectConfig,
        *,
        seed: int = 0,
        weights: Sequence[float] | None = None,
    ) -> None:
        shares = shares_of(sources, weights)
        for source in sources:
            refuse_novel(source.protocol)
        self.sources, self.config, self.seed = tuple(sources), config, seed
        self.weights = shares
        self._load = Kept(self._load_case, lambda case: bytes_of(case.image, case.labels))

    def __call__(self, step: int) -> ObjectBatch:
        """Return batch number ``step``."""
        samples = [self.sample(step, number) for number in range(self.config.batch)]
        image, target, known, names = zip(*samples, strict=True)
        return ObjectBatch(
            image=torch.from_numpy(np.stack(image)[:, None]),
            target=torch.from_numpy(np.stack(target)),
            known=torch.from_numpy(np.stack(known)),
            names=names,
            seed=seed_of("clicks", self.seed, step),
        )

    def sample(
        self, step: int, number: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
        """Return one crop: image (*grid), masks (K, *grid), known (K,), names."""
        rng = rng_of("objects", self.seed, step, number)
        for _ in range(ATTEMPTS):
            image, masks, names = self._crop(rng)
            if masks:
                break
        else:
            masks, names = [np.zeros(image.shape, bool)], ["nothing"]
            return image, *_repeated(masks, names, self.config.objects, known=0)
        return image, *_repeated(masks, names, self.config.objects, known=len(masks))

    def _crop(self, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray], list[str]]:
        """Draw a crop and its objects, of which there may be none."""
        which = int(rng.choice(len(self.sources), p=self.weights))
        source = self.sources[which]
        case = self._load(which, int(rng.integers(len(source))))
        centre = rng.uniform(0, 1, 3) * case.image.shape
        if case.spots and rng.random() >= self.config.anywhere:
            spots = case.spots[int(rng.integers(len(case.spots)))]
            centre = spots[int(rng.integers(len(spots)))]
        frame = random_frame(centre, case.spacing_mm, self.config, rng)
        image, labels = cut(case.image, case.labels, frame, self.config, rng)
        return image, *self._objects(image, labels, case.lut, source.protocol, rng)

    def _objects(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        lut: np.ndarray,
        protocol: Protocol,
        rng: np.random.Generator,
    ) -> tuple[list[np.ndarray], list[str]]:
        """Draw up to K objects of a crop."""
        sizes = lut @ np.bincount(labels.ravel(), minlength=lut.shape[1])
        rows = rng.permutation(np.flatnonzero(sizes >= self.config.least))
        pseudo = int((rng.random(self.config.objects) < self.config.pseudo).sum())
        masks, names = [], []
        for row in rows[: self.config.objects - pseudo]:
            mask, name = lut[row][labels], protocol.regions[row].name
            if rng.random() < self.config.union:
                for other in rng.permutation(rows)[:3]:
                    second = lut[other][labels]
                    if other != row and touch(mask, second):
                        mask, name = mask | second, f"{name}+{protocol.regions[other].name}"
                        break
            masks.append(mask)
            names.append(name)
        for _ in range(self.config.objects - len(masks)):
            part = pseudo_object(image, rng)
            if part is not None:
                masks.append(part)
                names.append("pseudo")
        return masks, names

    def _load_case(self, which: int, index: int) -> _Loaded:
        source = self.sources[which]
        case = source[index]
        if case.labels is None:
            raise ValueError(f"objects need labels, got case {case.name!r} without; label it.")
        size = int(max(case.labels.max(), *case.table)) + 1
        lut = Vocabulary.per_protocol([source.protocol]).lut(0, case.table, size)
        rng, spots = rng_of("spots", case.name), []
        for row in lut:
            voxels = np.argwhere(row[case.labels])
            if len(voxels):
                spots.append(voxels[rng.integers(len(voxels), size=SPOTS)].astype(np.int16))
        return _Loaded(
            image=normalise(case.image, case.modality).astype(np.float16),
            labels=case.labels.astype(np.uint8 if size <= 256 else np.int16),
            lut=lut,
            spots=spots,
            spacing_mm=case.spacing_mm,
        )


def _repeated(
    masks: list[np.ndarray], names: list[str], count: int, *, known: int
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return ``count`` masks, of which the first ``known`` count and the rest are repeats."""
    rows = [i % len(masks) for i in range(count)]
    return (
        np.stack([masks[i] for i in rows]),
        np.arange(count) < known,
        tuple(names[i] for i in rows),
    )


def refuse_novel(protocol: Protocol) -> None:
    """Raise ValueError where a protocol annotates what no training may hold."""
    for region in protocol.regions:
        if novel := sorted(region.structures & NOVEL):
            raise ValueError(
                f"no training may hold novel structures, got {novel} in region {region.name!r} of "
                f"{protocol.name!r}; leave it out."
            )


def touch(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two masks share a voxel or lie face to face somewhere."""
    if (one & other).any():
        return True
    for axis in range(one.ndim):
        a, b = np.moveaxis(one, axis, 0), np.moveaxis(other, axis, 0)
        if (a[1:] & b[:-1]).any() or (a[:-1] & b[1:]).any():
            return True
    return False
