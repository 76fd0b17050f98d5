from dataclasses import replace

import numpy as np
import pytest

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.scenes import Mixture, Scene, SceneAugmentation, augmented

UNLIT = {"gamma": 0.0, "contrast": 0.0, "brightness": 0.0, "invert": 0.0, "noise": 0.0}
STILL = SceneAugmentation(zoom=(1.0, 1.0), rotation_deg=0.0, shift=0.0, flip=0.0, **UNLIT)


def disc(depth: int = 1) -> Scene:
    y, x = np.mgrid[:64, :64]
    labels = np.where(np.hypot(y - 28, x - 36) < 14, 5, 0).astype(np.uint8)
    labels = np.repeat(labels[:, :, None], depth, axis=2)
    return Scene(image=labels.astype(np.float32) / 10, labels=labels, regions={"d": np.array([5])})


class Constant:
    size, depth = 8, 1

    def __init__(self, value: float) -> None:
        self.value = value

    def scene(self, rng):
        image = np.full((8, 8, 1), self.value, np.float32)
        return Scene(image=image, labels=np.zeros((8, 8, 1), np.uint8))


def test_without_ranges_nothing_changes():
    scene = disc()
    same = augmented(scene, STILL, rng_of(0))
    assert np.abs(same.image - scene.image).max() < 1e-5
    assert (same.labels == scene.labels).all()


def test_labels_move_with_the_image():
    moving = SceneAugmentation(**UNLIT)
    for seed in range(10):
        moved = augmented(disc(3), moving, rng_of(seed))
        bright, labelled = moved.image > 0.25, moved.labels == 5
        assert (bright & labelled).sum() / (bright | labelled).sum() > 0.95


def test_zoom_above_one_enlarges_what_is_seen():
    twice = augmented(disc(), replace(STILL, zoom=(1.5, 1.5)), rng_of(0))
    ratio = (twice.labels > 0).sum() / (disc().labels > 0).sum()
    assert 2.0 < ratio < 2.5


def test_light_stays_in_range_and_air_stays_black():
    for seed in range(10):
        lit = augmented(disc(), SceneAugmentation(invert=1.0, shift=0.0), rng_of(seed))
        assert lit.image.dtype == np.float32
        assert lit.image.min() == 0
        assert lit.image.max() <= 1
        assert not lit.image[0].any()


def test_a_mixture_draws_by_weight():
    mixture = Mixture([Constant(0.0), Constant(1.0)], [1.0, 3.0])
    rng = rng_of("mixture")
    share = np.mean([mixture.scene(rng).image.mean() for _ in range(400)])
    assert 0.68 < share < 0.82


def test_a_mixture_of_different_sizes_is_refused():
    other = Constant(0.0)
    other.size = 16
    with pytest.raises(ValueError, match="sources of one"):
        Mixture([Constant(0.0), other], [1.0, 1.0])
    with pytest.raises(ValueError, match="a weight each"):
        Mixture([Constant(0.0)], [1.0, 1.0])


def test_a_zoom_that_falls_is_refused():
    with pytest.raises(ValueError, match="rising range"):
        SceneAugmentation(zoom=(1.4, 0.7))
