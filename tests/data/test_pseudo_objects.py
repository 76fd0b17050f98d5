import numpy as np
from scipy import ndimage

from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.pseudo_objects import pseudo_object


def blobs():
    rng = rng_of("blobs")
    image = ndimage.gaussian_filter(rng.random((32, 32, 24)), 3)
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def test_a_part_is_connected_and_of_a_fair_size():
    found = [pseudo_object(blobs(), rng_of(i), voxels=(50, 3000)) for i in range(12)]
    masks = [mask for mask in found if mask is not None]
    assert len(masks) >= 6
    for mask in masks:
        assert 50 <= mask.sum() <= 3000
        assert ndimage.label(mask)[1] == 1
    assert len({mask.tobytes() for mask in masks}) > 1


def test_a_part_holds_fewer_greys_than_the_image():
    image = blobs()
    masks = (pseudo_object(image, rng_of(i)) for i in range(12))
    widths = [np.ptp(image[mask]) for mask in masks if mask is not None]
    assert np.median(widths) < 0.6


def test_nothing_comes_of_an_empty_image():
    assert pseudo_object(np.zeros((16, 16, 8), np.float32), rng_of(0)) is None
