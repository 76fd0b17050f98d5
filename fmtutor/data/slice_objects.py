"""Training batches of 2D promptable networks: slices, or everyday pictures, with objects in them.

How one batch is drawn:

    for each image of the batch
        scene   ~ the source: for slices by source, axis and region, so that rare ones come as often
        scene   <- moved and lit anew                                        (`scenes.augmented`)
        objects ~ the region that the scene was drawn for and others in sight, each the whole class
                  or one connected part of it; segments that nobody named; shapes drawn upon it
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_of
from fmtutor.data.objects import ObjectBatch
from fmtutor.data.picture_objects import LARGEST_SHARE, paste_shape, segment_objects
from fmtutor.data.pseudo_objects import pseudo_object
from fmtutor.data.scenes import Scene, SceneAugmentation, SceneSource, augmented

SEGMENT, SHAPE, NOTHING = "segment", "shape", "nothing"
"""Names of objects that are no structure; the last fills a scene of air alone."""

Masks = list[tuple[str, Bool[np.ndarray, "H W D"]]]


@dataclass(frozen=True, kw_only=True)
class SliceObjectConfig:
    """What one batch is made of."""

    batch: int = 4
    """B, images."""
    objects: int = 4
    """K, objects of each image."""
    least_pixels: int = 30
    """Smallest object, on the middle slice."""
    segments: float = 0.25
    """Share of objects that are segments nobody named; where nothing is annotated, all that are
    not shapes are segments."""
    shapes: float = 0.05
    """Share of objects that are shapes drawn upon the image; 2D scenes only."""
    component: float = 0.5
    """Of the structures in several parts, the share asked for as one connected part."""
    augmentation: SceneAugmentation = field(default_factory=SceneAugmentation)
    """Changes of each scene."""

    def __post_init__(self) -> None:
        if min(self.segments, self.shapes) < 0 or not 0 < self.segments + self.shapes <= 1:
            raise ValueError(
                "segments and shapes are shares that add up to more than 0 and at most 1, got "
                f"{self.segments} and {self.shapes}; use 0.25 and 0.05."
            )
        if min(self.batch, self.objects, self.least_pixels) < 1:
            raise ValueError(
                f"batch, objects and least_pixels must be at least 1, got {self.batch}, "
                f"{self.objects} and {self.least_pixels}."
            )


class SliceObjectStream:
    """Batches of objects: ``stream(i)`` is batch number i, always the same one.

    Args:
        source: Where scenes come from: a `SliceBank`, a `NaturalSource` or a `Mixture`.
        config: Sizes and shares.
        seed: Seed of every draw.
    """

    def __init__(self, source: SceneSource, config: SliceObjectConfig, *, seed: int = 0) -> None:
        self.source, self.config, self.seed = source, config, seed

    def __call__(self, step: int) -> ObjectBatch:
        """Return batch number ``step``; the grid is H W, or H W D where scenes are slabs."""
        samples = [self.sample(step, number) for number in range(self.config.batch)]
        image, target, known, names = zip(*samples, strict=True)
        flat = self.source.depth == 1
        images, targets = np.stack(image)[:, None], np.stack(target)
        return ObjectBatch(
            image=torch.from_numpy(images[..., 0] if flat else images),
            target=torch.from_numpy(targets[..., 0] if flat else targets),
            known=torch.from_numpy(np.stack(known)),
            names=names,
            seed=seed_of("slice clicks", self.seed, step),
        )

    def sample(
        self, step: int, number: int
    ) -> tuple[Float[np.ndarray, "H W D"], np.ndarray, np.ndarray, tuple[str, ...]]:
        """Return one image, its masks (K, H, W, D), known (K,) and names."""
        rng = rng_of("slice objects", self.seed, step, number)
        scene = augmented(self.source.scene(rng), self.config.augmentation, rng)
        image, found = drawn_objects(scene, self.config, rng)
        wanted = self.config.objects
        known = np.arange(wanted) < len(found)
        found = found or [(NOTHING, np.zeros(image.shape, bool))]
        rows = [found[i % len(found)] for i in range(wanted)]
        return image, np.stack([m for _, m in rows]), known, tuple(name for name, _ in rows)


def drawn_objects(
    scene: Scene, config: SliceObjectConfig, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "H W D"], Masks]:
    """Draw up to K objects of a scene; shapes change the image.

    A shape may lie on a structure, whose mask stays whole, as an organ's does where it includes its
    lesion; a shape that another one covers keeps what is seen of it.
    """
    count, flat = config.objects, scene.image.shape[2] == 1
    unnamed = config.segments + config.shapes
    kinds = rng.random(count) * (1 if scene.regions else unnamed)
    shapes = int((kinds < config.shapes).sum()) if flat else 0
    structures = int((kinds >= unnamed).sum())
    image, found = scene.image, drawn_structures(scene, structures, config, rng)
    drawn: list[np.ndarray] = []
    for _ in range(shapes):
        pasted, mask = paste_shape(image[:, :, 0], rng)
        image = pasted[:, :, None]
        drawn = [*(below & ~mask[:, :, None] for below in drawn), mask[:, :, None]]
    found += [(SHAPE, mask) for mask in drawn if mask.sum() >= config.least_pixels]
    if missing := count - len(found):
        found += [(SEGMENT, mask) for mask in _segments(image, missing, config, rng)]
    return image, found


def drawn_structures(
    scene: Scene, count: int, config: SliceObjectConfig, rng: np.random.Generator
) -> Masks:
    """Draw up to ``count`` annotated structures, first the one the scene was drawn for."""
    middle = scene.labels.shape[2] // 2
    areas = np.bincount(scene.labels[:, :, middle].ravel(), minlength=256)
    shown = [n for n, ids in scene.regions.items() if areas[ids].sum() >= config.least_pixels]
    order = [shown[i] for i in rng.permutation(len(shown))]
    order.sort(key=lambda name: name != scene.asked)
    found: Masks = []
    for name in order[:count]:
        chosen = np.zeros(256, bool)
        chosen[scene.regions[name]] = True
        mask = chosen[scene.labels]
        if rng.random() < config.component:
            mask = one_component(mask, config.least_pixels, rng)
        found.append((name, mask))
    return found


def one_component(
    mask: Bool[np.ndarray, "H W D"], least_pixels: int, rng: np.random.Generator
) -> Bool[np.ndarray, "H W D"]:
    """Return one connected part that is large enough on the middle slice; the mask if none is."""
    parts, count = ndimage.label(mask)
    areas = np.bincount(parts[:, :, mask.shape[2] // 2].ravel(), minlength=count + 1)
    fair = np.flatnonzero(areas[1:] >= least_pixels) + 1
    return parts == rng.choice(fair) if len(fair) else mask


def _segments(
    image: np.ndarray, count: int, config: SliceObjectConfig, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return unnamed parts: of a slab grey levels' connected ones, as segments are flat."""
    least, depth = config.least_pixels, image.shape[2]
    if depth == 1:
        flat = segment_objects(image[:, :, 0], rng, count=count, least_pixels=least)
        return [mask[:, :, None] for mask in flat]
    voxels = (least * depth, int(LARGEST_SHARE * image.size))
    parts = (pseudo_object(image, rng, voxels=voxels) for _ in range(count))
    shown = (part for part in parts if part is not None)
    return [part for part in shown if part[:, :, depth // 2].sum() >= least]
