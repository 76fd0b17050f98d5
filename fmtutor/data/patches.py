"""Training patches: an endless stream of batches that is a pure function of the step number.

``stream(i)`` is batch number i, always the same one: a killed training resumes with exactly the
batches that it would have seen, and any number of workers may fetch ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface
from typing import runtime_checkable

import numpy as np
import torch

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.kept import Kept, bytes_of
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.data.shares import shares_of
from fmtutor.data.transforms import normalise

AIR_HU = -1024.0
Spots = tuple[float, np.ndarray]
"""Volume of a structure in voxels, and some of its voxels (n, 3)."""


@runtime_checkable
class Source(Interface):
    """Cases annotated by one protocol: a virtual centre, or a dataset on disk."""

    @property
    def protocol(self) -> Protocol:
        """What is annotated."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Case: ...


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """What one batch is made of."""

    size: tuple[int, int, int] = (96, 96, 32)
    """Voxels of a patch along H, W, D."""
    batch: int = 2
    """Patches per step."""
    foreground: float = 0.8
    """Share of patches centred in an annotated structure."""
    balance: float = 0.0
    """How likely a structure is as centre: its volume to this power (0: all equally likely)."""
    jitter: float = 0.25
    """How far a centre moves at random, as a share of the patch."""
    contrast: float = 0.15
    """Half-width of the random gain."""
    brightness: float = 0.08
    """Half-width of the random offset, in units of the intensity window."""
    gamma: float = 0.25
    """Standard deviation of the log of the random gamma."""


class PatchStream:
    """Batches from several sources, each equally likely (dataset-balanced, as FSEFT samples).

    Args:
        sources: Where the cases come from, on one spacing; their protocols are those of
            ``vocabulary``, in order.
        vocabulary: Which channels there are and what they mean to each protocol.
        config: Sizes and augmentation.
        seed: Seed of every draw.
        background_is_known: Take unknown for background (the naive reading that the lesson of
            partial labels is about): every channel is then known everywhere.
        weights: How often each source is drawn, relative to the others; None is equally often.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        vocabulary: Vocabulary,
        config: PatchConfig,
        *,
        seed: int = 0,
        background_is_known: bool = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        if tuple(source.protocol for source in sources) != vocabulary.protocols:
            raise ValueError(
                "sources and vocabulary differ: build it from the sources' protocols, in order."
            )
        if empty := [source.protocol.name for source in sources if len(source) == 0]:
            raise ValueError(f"every source needs a case, got none from {empty}; leave them out.")
        self.sources, self.vocabulary, self.config = tuple(sources), vocabulary, config
        self.seed, self.background_is_known = seed, background_is_known
        self.shares = None if weights is None else shares_of(sources, weights)
        self._load = Kept(self._load_case, lambda kept: bytes_of(kept[0].image, kept[0].labels))

    def __call__(self, step: int) -> Batch:
        """Return batch number ``step``."""
        samples = [self.sample(step, number) for number in range(self.config.batch)]
        image, target, known, task = zip(*samples, strict=True)
        return Batch(
            image=torch.from_numpy(np.stack(image)),
            target=torch.from_numpy(np.stack(target)),
            known=torch.from_numpy(np.stack(known)),
            task=torch.tensor(task),
        )

    def sample(self, step: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Return one patch: image (1, H, W, D), target (L, H, W, D), known (L,), task."""
        rng = rng_of("patch", self.seed, step, number)
        task = self._source(rng)
        case, lut, places = self._load(task, int(rng.integers(len(self.sources[task]))))
        image, labels = _crop(case, self._corner(case, places, rng), self.config.size)
        known = (
            np.ones(len(self.vocabulary), bool)
            if self.background_is_known
            else self.vocabulary.known(task)
        )
        return (
            self._augment(normalise(image, case.modality), rng)[None],
            lut[:, labels],
            known,
            task,
        )

    def _source(self, rng: np.random.Generator) -> int:
        if self.shares is None:
            return int(rng.integers(len(self.sources)))
        return int(rng.choice(len(self.sources), p=self.shares))

    def _corner(self, case: Case, places: list[Spots], rng: np.random.Generator) -> np.ndarray:
        size, shape = np.array(self.config.size), np.array(case.image.shape)
        if places and rng.random() < self.config.foreground:
            weights = np.array([volume for volume, _ in places]) ** self.config.balance
            spots = places[int(rng.choice(len(places), p=weights / weights.sum()))][1]
            middle = (
                spots[int(rng.integers(len(spots)))]
                + rng.uniform(-1, 1, 3) * size * self.config.jitter
            )
        else:
            middle = rng.uniform(0, 1, 3) * shape
        low, high = (
            np.minimum(0, (shape - size) // 2),
            np.maximum(shape - size, (shape - size) // 2),
        )
        return np.clip(np.round(middle - size / 2), low, high).astype(int)

    def _augment(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        c = self.config
        gain, offset = (
            1 + rng.uniform(-c.contrast, c.contrast),
            rng.uniform(-c.brightness, c.brightness),
        )
        power = np.exp(rng.normal(0, c.gamma))
        return np.clip(
            np.power(image, power, dtype=np.float32) * gain + offset * (image > 0), 0, 1
        ).astype(np.float32)

    def _load_case(self, task: int, index: int) -> tuple[Case, np.ndarray, list[Spots]]:
        """Return a case, its label lookup, and up to 256 voxels of each annotated structure."""
        case = self.sources[task][index]
        lut = self.vocabulary.lut(task, case.table)
        rng = rng_of("places", case.name)
        places: list[Spots] = []
        for row in lut[lut.any(1)]:
            voxels = np.argwhere(row[case.labels])
            if len(voxels):
                some = voxels[rng.integers(len(voxels), size=min(256, len(voxels)))]
                places.append((float(len(voxels)), some))
        small = Case(
            name=case.name,
            image=case.image.astype(np.int16),
            labels=case.labels,
            affine=case.affine,
            modality=case.modality,
            table=case.table,
            known=case.known,
        )
        return small, lut, places


def _crop(
    case: Case, corner: np.ndarray, size: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a patch; where it leaves the volume there is air without a label."""
    image = np.full(size, AIR_HU, dtype=np.float32)
    labels = np.zeros(size, dtype=np.uint8)
    begin, end = np.maximum(corner, 0), np.minimum(corner + size, case.image.shape)
    source = tuple(slice(b, e) for b, e in zip(begin, end, strict=True))
    place = tuple(slice(b - c, e - c) for b, e, c in zip(begin, end, corner, strict=True))
    image[place], labels[place] = case.image[source], case.labels[source]  # type: ignore[index]
    return image, labels
