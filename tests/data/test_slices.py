import numpy as np
import pytest
import torch

from fmtutor.data.slices import SquareFrame, slices_of


def test_each_axis_is_cut_across():
    volume = np.arange(24).reshape(2, 3, 4)
    assert [slices_of(volume, axis).shape for axis in range(3)] == [(2, 3, 4), (3, 2, 4), (4, 2, 3)]
    assert np.array_equal(slices_of(volume, 2)[1], volume[:, :, 1])


def test_what_is_no_volume_or_no_axis_is_refused():
    with pytest.raises(ValueError, match="3D volume"):
        slices_of(np.zeros((2, 2)), 0)
    with pytest.raises(ValueError, match="axis 0, 1 or 2"):
        slices_of(np.zeros((2, 2, 2)), 3)


def test_the_longer_side_fills_the_square_and_the_shorter_is_centred():
    frame = SquareFrame(shape=(40, 20), size=32)
    assert frame.inner == (32, 16)
    assert frame.corner == (0, 8)
    placed = frame.image(np.ones((1, 40, 20)))
    assert placed.shape == (1, 1, 32, 32)
    assert bool((placed[0, 0, :, 8:24] > 0.99).all())
    assert float(placed[0, 0, :, :8].abs().sum() + placed[0, 0, :, 24:].abs().sum()) == 0


def test_pixels_become_square_in_millimetres():
    assert SquareFrame(shape=(40, 40), spacing_mm=(1.0, 2.0), size=32).inner == (16, 32)


def test_masks_and_labels_keep_their_values():
    frame = SquareFrame(shape=(40, 40), size=16)
    labels = np.kron([[3, 7], [0, 3]], np.ones((20, 20)))
    assert set(frame.labels(labels[None]).unique().tolist()) == {0.0, 3.0, 7.0}
    assert set(frame.mask((labels == 3)[None]).unique().tolist()) == {0.0, 1.0}


def test_a_smooth_map_comes_back_to_where_it_was():
    rows, columns = np.mgrid[:48, :30]
    blob = np.exp(-((rows - 30) ** 2 + (columns - 12) ** 2) / 60)
    frame = SquareFrame(shape=(48, 30), spacing_mm=(2.0, 2.0), size=64)
    back = frame.back(frame.image(blob[None]))
    assert back.shape == (1, 48, 30)
    assert float((back[0] - torch.from_numpy(blob)).abs().max()) < 0.05
