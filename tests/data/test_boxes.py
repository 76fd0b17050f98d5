import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fmtutor.core.ask import Boxes
from fmtutor.core.seeds import rng
from fmtutor.data.boxes import (
    asked,
    bare_dice,
    boxes_of,
    filled,
    per_slice,
    per_slice_mask,
    relaxed,
    shifted,
    tight,
)

MASKS = array_shapes(min_dims=2, max_dims=3, max_side=7).flatmap(lambda s: arrays(bool, s))


def disc(radius: float, side: int, dims: int) -> np.ndarray:
    offsets = np.indices((side,) * dims) - side // 2
    return (offsets**2).sum(axis=0) <= radius**2


@settings(deadline=None, max_examples=80)
@given(mask=MASKS)
def test_the_tight_box_holds_the_mask_and_touches_it_on_every_side(mask):
    if not mask.any():
        with pytest.raises(ValueError, match="got an empty mask"):
            tight(mask)
        return
    box = tight(mask)
    assert not (mask & ~filled(box, mask.shape)).any()
    for axis in range(mask.ndim):
        for end in box[:, axis]:
            assert np.take(mask, end, axis=axis).any()


@settings(deadline=None, max_examples=80)
@given(mask=MASKS, seed=st.integers(0, 99), voxels=st.integers(0, 4), share=st.floats(0, 1))
def test_a_relaxed_box_grows_by_no_more_than_allowed_and_stays_in_the_image(
    mask, seed, voxels, share
):
    if not mask.any():
        return
    box = tight(mask)
    loose = relaxed(box, mask.shape, rng(seed), voxels=voxels, share=share)
    most = voxels + np.rint(share * (box[1] - box[0] + 1))
    assert ((loose[0] <= box[0]) & (loose[0] >= box[0] - most) & (loose[0] >= 0)).all()
    assert ((loose[1] >= box[1]) & (loose[1] <= box[1] + most)).all()
    assert (loose[1] < mask.shape).all()


def test_each_side_of_a_relaxed_box_moves_on_its_own_and_as_far_as_stated():
    box, draw = np.array([[40, 40], [59, 49]]), rng("loose")
    drawn = np.stack([relaxed(box, (100, 100), draw, voxels=3) for _ in range(300)]) - box
    assert {int(move) for move in drawn[:, 0].ravel()} == {-3, -2, -1, 0}
    assert {int(move) for move in drawn[:, 1].ravel()} == {0, 1, 2, 3}
    moves = np.abs(drawn).reshape(300, 4)
    assert np.abs(np.corrcoef(moves.T) - np.eye(4)).max() < 0.3
    by_share = np.stack([relaxed(box, (100, 100), draw, share=0.1) for _ in range(100)]) - box
    np.testing.assert_array_equal(by_share.max(axis=0)[1], (2, 1))


def test_the_shifted_box_of_sam_med2d_keeps_its_size():
    box, draw = np.array([[40, 40], [59, 49]]), rng("shift")
    drawn = np.stack([shifted(box, (100, 100), draw) for _ in range(200)])
    np.testing.assert_array_equal(drawn[:, 1] - drawn[:, 0], np.tile(box[1] - box[0], (200, 1)))
    moves = drawn[:, 0] - box[0]
    assert {int(move) for move in moves.ravel()} == set(range(-5, 6))
    tiny = np.array([[3, 3], [3, 3]])
    np.testing.assert_array_equal(shifted(tiny, (9, 9), draw), tiny)


def test_a_bare_box_is_worth_a_known_share_of_a_disc_and_of_a_ball():
    assert bare_dice(disc(30.5, 71, 2)) == pytest.approx(2 * np.pi / 4 / (1 + np.pi / 4), abs=0.01)
    assert bare_dice(disc(20.5, 47, 3)) == pytest.approx(2 * np.pi / 6 / (1 + np.pi / 6), abs=0.01)
    square = filled(np.array([[2, 2], [4, 5]]), (9, 9))
    assert bare_dice(square) == 1.0
    assert bare_dice(square, np.array([[0, 0], [1, 1]])) == 0.0


def test_boxes_of_slices_follow_the_shape_closer_than_one_box():
    ball = disc(8, 19, 3)
    boxes = per_slice(ball)
    assert sorted(boxes) == list(range(1, 18))
    np.testing.assert_array_equal(boxes[9], [[1, 1], [17, 17]])
    np.testing.assert_array_equal(boxes[1], [[9, 9], [9, 9]])
    together = per_slice_mask(boxes, ball.shape)
    assert not (ball & ~together).any()
    assert bare_dice(ball) < 2 * ball.sum() / (ball.sum() + together.sum())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_cut_along_the_axis_that_was_asked_for(axis):
    mask = np.zeros((4, 5, 6), dtype=bool)
    mask[1, 2, 3:5] = mask[2, 4, 5] = True
    boxes = per_slice(mask, axis=axis)
    assert sorted(boxes) == [[1, 2], [2, 4], [3, 4, 5]][axis]
    np.testing.assert_array_equal(per_slice_mask(boxes, mask.shape, axis=axis), mask)


def test_a_box_goes_to_a_persons_ask_and_back():
    box = np.array([[1, 2, 3], [4, 5, 6]])
    part = asked(box, box + 1)
    assert part == Boxes(((1, 2, 3, 5, 6, 7), (2, 3, 4, 6, 7, 8)))
    for drawn, back in zip((box, box + 1), boxes_of(part), strict=True):
        np.testing.assert_array_equal(drawn, back)


def test_a_box_beyond_the_image_fills_what_is_within():
    assert filled(np.array([[-2, 1], [1, 9]]), (4, 4)).sum() == 6
    assert not filled(np.array([[-4, 0], [-1, 3]]), (4, 4)).any()
    assert not filled(np.array([[4, 0], [6, 3]]), (4, 4)).any()


def test_sides_that_should_move_inward_are_refused():
    with pytest.raises(ValueError, match="sides move outward, got -1 voxels"):
        relaxed(np.array([[1, 1], [2, 2]]), (4, 4), rng(0), voxels=-1)
