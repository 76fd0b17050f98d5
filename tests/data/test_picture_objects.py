import numpy as np
import pytest
from scipy import ndimage

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.picture_objects import SHAPES, joined, paste_shape, segment_objects


def patchwork(size: int = 64) -> np.ndarray:
    """Sixteen squares of different grey."""
    greys = np.linspace(0.1, 1, 16).reshape(4, 4)[:, [2, 0, 3, 1]]
    return np.kron(greys, np.ones((size // 4, size // 4))).astype(np.float32)


def test_segments_end_where_the_grey_changes():
    image = patchwork()
    step = np.zeros((64, 64), bool)
    step[:, 1:] |= np.diff(image, axis=1) != 0
    step[1:] |= np.diff(image, axis=0) != 0
    near = ndimage.binary_dilation(step, iterations=3)
    near[[0, -1]] = near[:, [0, -1]] = True
    for seed in range(8):
        for mask in segment_objects(image, rng_of(seed), count=4, least_pixels=30):
            assert near[mask & ~ndimage.binary_erosion(mask)].all()


def test_segments_keep_their_count_size_and_share():
    image = rng_of("texture").random((128, 128)).astype(np.float32)
    image = ndimage.gaussian_filter(image, 4)
    image = (image - image.min()) / np.ptp(image)
    seen = 0
    for seed in range(8):
        masks = segment_objects(image, rng_of(seed), count=4, least_pixels=30)
        seen += len(masks)
        assert len(masks) <= 4
        assert all(mask.shape == (128, 128) and mask.dtype == bool for mask in masks)
        assert all(30 <= mask.sum() <= 0.45 * mask.size for mask in masks)
    assert seen > 16


def test_air_is_no_object():
    assert (
        segment_objects(np.zeros((64, 64), np.float32), rng_of(0), count=4, least_pixels=10) == []
    )


def test_joined_segments_touch():
    segments = np.kron(np.arange(16).reshape(4, 4), np.ones((4, 4), int))
    areas = np.bincount(segments.ravel())
    for seed in range(10):
        union = joined(segments, segments == 5, areas, rng_of(seed))
        assert union.sum() in (32, 48, 64, 80, 96)
        assert ndimage.label(union)[1] == 1


def test_a_pasted_shape_is_seen_where_its_mask_says():
    flat = np.full((128, 128), 0.5, np.float32)
    for seed in range(20):
        picture, mask = paste_shape(flat, rng_of(seed))
        assert abs(picture[mask].mean() - 0.5) > 0.05
        far = ~ndimage.binary_dilation(mask, iterations=6)
        assert np.abs(picture[far] - 0.5).max() < 1e-3
        assert mask.sum() > 20


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_shapes_lie_around_their_centre_with_about_their_radius(kind):
    areas, rng = [], rng_of(kind)
    for _ in range(20):
        mask = SHAPES[kind](96, np.array([40.0, 56.0]), 12.0, rng)
        areas.append(mask.sum())
        middle = np.argwhere(mask).mean(0)
        assert np.abs(middle - [40, 56]).max() < 8
    assert 0.5 < np.mean(areas) / (np.pi * 144) < 1.5
