"""Left and right are told apart by the body's middle, piece by piece."""

import numpy as np
import pytest

from fmtutor.core.geometry import Grid
from fmtutor.data.sides import body_middle, split_sides

GRID = Grid((20, 10, 8), np.diag([1.5, 2.0, 3.0, 1.0]))
KIDNEY, TUMOUR = 1, 2
PAIRS = {KIDNEY: (11, 12), TUMOUR: (21, 22)}


def labels_with(*boxes: tuple[int, tuple[slice, slice, slice]]) -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    for number, where in boxes:
        labels[where] = number
    return labels


def test_h_grows_to_the_patients_right():
    labels = labels_with((1, np.s_[3:6, 2:5, 2:5]), (1, np.s_[14:17, 2:5, 2:5]))
    out = split_sides(labels, PAIRS, middle=9.5, grid=GRID)
    assert set(np.unique(out[:10])) == {0, 11}
    assert set(np.unique(out[10:])) == {0, 12}


def test_a_single_kidney_that_reaches_over_the_middle_stays_one():
    labels = labels_with((1, np.s_[4:11, 2:5, 2:5]))
    out = split_sides(labels, PAIRS, middle=9.5, grid=GRID)
    assert set(np.unique(out)) == {0, 11}


def test_both_sides_joined_are_cut_at_the_middle():
    labels = labels_with((1, np.s_[5:15, 2:5, 2:5]))
    out = split_sides(labels, PAIRS, middle=9.5, grid=GRID)
    assert (out[5:10, 2:5, 2:5] == 11).all()
    assert (out[10:15, 2:5, 2:5] == 12).all()


def test_a_tumour_goes_with_the_kidney_it_touches():
    labels = labels_with((1, np.s_[3:9, 2:8, 2:6]), (2, np.s_[9:11, 4:5, 4:5]))
    out = split_sides(labels, PAIRS, middle=9.4, grid=GRID)
    assert set(np.unique(out)) == {0, 11, 21}


def test_other_labels_and_empty_maps_stay_as_they_are():
    labels = labels_with((5, np.s_[:, 1:2, :]))
    assert np.array_equal(split_sides(labels, PAIRS, middle=9.5, grid=GRID), labels)


def test_the_middle_is_the_bodys_and_not_the_images():
    image = np.full(GRID.shape, -1000.0, np.float32)
    image[8:19] = 30.0
    assert body_middle(image) == pytest.approx(13.0)
    with pytest.raises(ValueError, match=r"above -500 HU, got at most -1000; check"):
        body_middle(np.full(GRID.shape, -1000.0, np.float32))


def test_sides_are_told_in_ras_only():
    flipped = Grid(GRID.shape, np.diag([-1.5, 2.0, 3.0, 1.0]))
    with pytest.raises(ValueError, match="in RAS, got LAS"):
        split_sides(labels_with(), PAIRS, middle=9.5, grid=flipped)
