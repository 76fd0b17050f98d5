"""Training batches of automatic 2D systems: slices whose objects are classes in a fixed order.

A promptable network is asked for whatever a scene shows. An automatic one has its classes, and a
scene says of each whether its source annotates it (`known`): a class that is annotated and out of
sight is an empty mask that teaches, one that is not annotated teaches nothing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import seed_of
from fmtutor.data.objects import ObjectBatch
from fmtutor.data.scenes import SceneAugmentation, SceneSource, augmented


class ClassSliceStream:
    """Batches of classes: ``stream(i)`` is batch number i, always the same one.

    Args:
        source: Where scenes come from.
        classes: Names, in the order of the network's classes.
        batch: Images of a batch.
        augmentation: Changes of each scene; mirroring makes a right kidney of a left one, so none
            is mirrored unless asked.
        seed: Seed of every draw.
    """

    def __init__(
        self,
        source: SceneSource,
        classes: Sequence[str],
        *,
        batch: int,
        augmentation: SceneAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.source, self.classes, self.batch, self.seed = source, tuple(classes), batch, seed
        self.augmentation = augmentation or SceneAugmentation(flip=0.0)

    def __call__(self, step: int) -> ObjectBatch:
        """Return batch number ``step``; the grid is H W, or H W D where scenes are slabs."""
        samples = [self.sample(step, number) for number in range(self.batch)]
        image, target, known = (np.stack(part) for part in zip(*samples, strict=True))
        flat = self.source.depth == 1
        return ObjectBatch(
            image=torch.from_numpy(image[:, None, ..., 0] if flat else image[:, None]),
            target=torch.from_numpy(target[..., 0] if flat else target),
            known=torch.from_numpy(known),
            names=(self.classes,) * self.batch,
            seed=seed_of("class slices", self.seed, step),
        )

    def sample(
        self, step: int, number: int
    ) -> tuple[Float[np.ndarray, "H W D"], Bool[np.ndarray, "L H W D"], Bool[np.ndarray, " L"]]:
        """Return one image, the masks of all classes, and which of them are annotated."""
        rng = rng_of("class slices", self.seed, step, number)
        scene = augmented(self.source.scene(rng), self.augmentation, rng)
        target = np.zeros((len(self.classes), *scene.labels.shape), bool)
        known = np.array([name in scene.regions for name in self.classes])
        for row in np.flatnonzero(known):
            target[row] = np.isin(scene.labels, scene.regions[self.classes[row]])
        return scene.image, target, known
