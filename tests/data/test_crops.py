from dataclasses import replace

import numpy as np
import pytest

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.crops import CropConfig, cut, random_frame

PLAIN = CropConfig(
    size=(12, 10, 8), zoom=(1.0, 1.0), stretch=0.0, rotation_deg=0.0, flip=0.0, jitter=0.0,
    slab=0.0, contrast=0.0, brightness=0.0, gamma=0.0, invert=0.0, noise=0.0,
)  # fmt: skip


def volume():
    rng = rng_of("volume")
    return rng.random((30, 28, 26)).astype(np.float16), rng.integers(0, 5, (30, 28, 26))


def cropped(config, centre, *, seed=0, spacing=(3.0, 3.0, 3.0)):
    rng = rng_of(seed)
    image, labels = volume()
    frame = random_frame(np.array(centre), spacing, config, rng)
    return *cut(image, labels, frame, config, rng), frame


def test_without_augmentation_a_crop_is_a_slice_of_the_volume():
    image, labels = volume()
    got, ids, _ = cropped(PLAIN, (15.5, 14.5, 13.5))
    box = np.s_[10:22, 10:20, 10:18]
    assert np.allclose(got, image[box], atol=1e-5)
    assert np.array_equal(ids, labels[box])


def test_outside_of_the_volume_there_is_air():
    image, labels, _ = cropped(PLAIN, (0, 14.5, 13.5))
    assert (image[:4] == 0).all()
    assert (labels[:4] == 0).all()
    assert image[8:].mean() > 0.3
    far, none, _ = cropped(PLAIN, (300, 14, 13))
    assert far.max() == none.max() == 0


def test_zoom_changes_the_edge_of_a_voxel():
    *_, frame = cropped(replace(PLAIN, zoom=(1.5, 1.5)), (15, 14, 13), spacing=(1.0, 2.0, 4.0))
    assert np.linalg.norm(frame[:, :3] * [[1.0], [2.0], [4.0]], axis=0) == pytest.approx([2.0] * 3)


def test_image_and_labels_stay_together_however_they_are_turned():
    labels = np.zeros((30, 28, 26), np.uint8)
    labels[8:20, 6:18, 9:21] = 1
    image = labels.astype(np.float16)
    config = replace(
        CropConfig(), size=(24, 24, 24), slab=0.0, contrast=0.0, brightness=0.0, gamma=0.0,
        invert=0.0, noise=0.0,
    )  # fmt: skip
    for seed in range(4):
        rng = rng_of(seed)
        frame = random_frame(np.array((14, 12, 15)), (3.0,) * 3, config, rng)
        got, ids = cut(image, labels, frame, config, rng)
        assert ids.any()
        assert ((got > 0.5) == (ids > 0)).mean() > 0.99


def test_a_slab_shows_a_few_slices_only():
    got, ids, _ = cropped(replace(PLAIN, slab=1.0, slab_slices=(3, 5)), (15.5, 14.5, 13.5))
    shown = got.any((0, 1))
    assert 3 <= shown.sum() <= 5
    assert not ids[..., ~shown].any()


def test_intensities_stay_in_range_and_air_stays_air():
    config = replace(PLAIN, contrast=0.3, brightness=0.2, gamma=0.4, invert=1.0, noise=0.1)
    got, _, _ = cropped(config, (2, 14.5, 13.5))
    assert 0 <= got.min() <= got.max() <= 1
    assert (got[:3] == 0).all()
    plain, _, _ = cropped(PLAIN, (2, 14.5, 13.5))
    assert np.corrcoef(got[5:].ravel(), plain[5:].ravel())[0, 1] < -0.5
