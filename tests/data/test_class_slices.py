"""Slices whose objects are classes: their order, and what is known of them."""

import numpy as np
import torch

from fmtutor.data.class_slices import ClassSliceStream
from fmtutor.data.scenes import Scene, SceneAugmentation

STILL = SceneAugmentation(
    zoom=(1.0, 1.0), rotation_deg=0.0, shift=0.0, flip=0.0, gamma=0.0, contrast=0.0,
    brightness=0.0, invert=0.0, noise=0.0,
)  # fmt: skip


class Source:
    """One picture: a liver, no spleen although it is annotated; nobody annotates the kidney."""

    size = 16

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth

    def scene(self, rng: np.random.Generator) -> Scene:
        labels = np.zeros((16, 16, self.depth), np.uint8)
        labels[4:10, 3:9] = 5
        regions = {"liver": np.array([5]), "spleen": np.array([6])}
        return Scene(image=rng.random(labels.shape, np.float32), labels=labels, regions=regions)


def stream(depth: int = 1) -> ClassSliceStream:
    classes = ("spleen", "kidney", "liver")
    return ClassSliceStream(Source(depth), classes, batch=2, augmentation=STILL)


def test_objects_are_the_classes_in_their_order_and_known_where_annotated() -> None:
    batch = stream()(0)
    assert batch.image.shape == (2, 1, 16, 16)
    assert batch.known.tolist() == [[True, False, True]] * 2
    assert batch.target.flatten(2).any(2).tolist() == [[False, False, True]] * 2
    wanted = torch.zeros(16, 16, dtype=torch.bool)
    wanted[4:10, 3:9] = True
    assert torch.equal(batch.target[0, 2], wanted)


def test_slabs_keep_their_depth_and_a_batch_is_always_the_same() -> None:
    first, again, other = stream(5)(3), stream(5)(3), stream(5)(4)
    assert first.target.shape == (2, 3, 16, 16, 5)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    assert first.seed == again.seed != other.seed
