from itertools import pairwise

import numpy as np
import pytest
import torch

from fmtutor.core.seeds import rng
from fmtutor.data.synthetic_tasks import PIXEL_AREA, SHAPE_AREA, random_shapes, super_pixels


def picture(seed=0):
    """A picture of four grey rectangles with a little noise."""
    image = np.full((48, 40), 0.2, dtype=np.float32)
    image[4:20, 4:18], image[24:44, 6:14], image[10:30, 24:36] = 0.8, 0.5, 0.95
    return (image + rng("picture", seed).normal(0, 0.01, image.shape)).clip(0, 1).astype("float32")


@pytest.mark.parametrize("grid", [(64, 64), (48, 32), (16, 20, 24)])
def test_shapes_are_pairs_of_the_grid_with_a_foreground_of_fitting_size(grid):
    for draw in range(5):
        images, masks = random_shapes(rng("grid", draw), grid=grid, count=5)
        assert images.shape == masks.shape == (5, 1, *grid)
        assert images.dtype == masks.dtype == torch.float32
        assert 0 <= images.min() <= images.max() <= 1
        assert ((masks == 0) | (masks == 1)).all()
        areas = masks.flatten(1).mean(1)
        assert ((areas >= SHAPE_AREA[0]) & (areas <= SHAPE_AREA[1])).all()


def test_shapes_follow_their_generator():
    first, again, other = (random_shapes(rng(k), grid=(32, 32), count=3) for k in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])


def test_subjects_of_a_task_differ_yet_show_the_same_structure():
    overlaps, strangers = [], []
    last = None
    for draw in range(20):
        _, masks = random_shapes(rng("subjects", draw), grid=(48, 48), count=4)
        assert not any(torch.equal(a, b) for a, b in pairwise(masks))
        overlaps.append(_dice(masks[0], masks[1]))
        if last is not None:
            strangers.append(_dice(last, masks[0]))
        last = masks[0]
    assert np.mean(overlaps) > 0.5
    assert np.mean(overlaps) > np.mean(strangers) + 0.3


def test_a_structure_can_be_told_by_its_grey_values():
    differences = []
    for draw in range(20):
        images, masks = random_shapes(rng("grey", draw), grid=(48, 48), count=2)
        inside, outside = images[masks == 1].mean(), images[masks == 0].mean()
        differences.append(float((inside - outside).abs()))
    assert np.median(differences) > 0.1


def test_a_grid_on_which_no_shape_fits_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="ask for fewer subjects or a larger grid"):
        random_shapes(rng(0), grid=(1, 1), count=2)


def test_a_super_pixel_is_one_connected_region_of_fitting_size_repeated_for_every_subject():
    from skimage.measure import label

    image = picture()
    for draw in range(10):
        images, masks = super_pixels(image, rng("region", draw), count=3)
        assert images.shape == masks.shape == (3, 1, *image.shape)
        assert torch.equal(images[2, 0], torch.from_numpy(image))
        assert torch.equal(masks[0], masks[2])
        assert PIXEL_AREA[0] <= float(masks[0].mean()) <= PIXEL_AREA[1]
        assert label(masks[0, 0].numpy(), connectivity=2).max() == 1


def test_super_pixels_find_every_structure_of_a_clear_picture():
    truth = picture() > 0.35
    inside = [super_pixels(picture(), rng("find", k), count=1)[1][0, 0].numpy() for k in range(30)]
    sizes = {int(mask.sum()) for mask in inside if (mask * truth).sum() > 0.8 * mask.sum()}
    assert len(sizes) >= 3


def test_super_pixels_follow_their_generator():
    first, again = (super_pixels(picture(), rng(5), count=1)[1] for _ in range(2))
    assert torch.equal(first, again)
    draws = [super_pixels(picture(), rng("other", k), count=1)[1] for k in range(8)]
    assert not all(torch.equal(draws[0], draw) for draw in draws)


def test_the_repeated_pairs_share_no_memory():
    images, masks = super_pixels(picture(), rng(0), count=2)
    masks[0] = 7
    images[0] = 7
    assert masks[1].max() == 1
    assert images[1].max() <= 1


def test_an_image_that_shows_nothing_is_refused():
    with pytest.raises(ValueError, match="leave out slices that show nothing"):
        super_pixels(np.zeros((32, 32), dtype=np.float32), rng(0), count=2)


def _dice(a, b):
    return float(2 * (a * b).sum() / (a.sum() + b.sum()))
