import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from fmtutor.core.seeds import rng
from fmtutor.data.scribbles import STROKES, broken, corrections, edge, line, scribble, spine

PLATE = np.zeros((40, 60), dtype=bool)
PLATE[5:35, 5:55] = True
MASKS = array_shapes(min_dims=2, max_dims=3, max_side=9).flatmap(lambda s: arrays(bool, s))


@settings(deadline=None, max_examples=80)
@given(error=MASKS, seed=st.integers(0, 99), stroke=st.sampled_from([None, *STROKES]))
def test_a_scribble_lies_in_the_error_and_is_empty_only_where_the_error_is(error, seed, stroke):
    drawn = scribble(error, rng(seed), stroke=stroke)
    assert drawn.shape == error.shape
    assert not (drawn & ~error).any()
    assert drawn.any() == error.any()


@pytest.mark.parametrize("stroke", STROKES)
def test_equal_generators_draw_equal_strokes_and_others_differ(stroke):
    one, two, other = (scribble(PLATE, rng(seed), stroke=stroke) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


@pytest.mark.parametrize("stroke", STROKES)
def test_strokes_are_thin(stroke):
    for seed in range(5):
        drawn = STROKES[stroke](PLATE, rng(seed))
        assert drawn.sum() < 0.2 * PLATE.sum()
        assert not ndimage.binary_erosion(drawn, np.ones((5, 5))).any()


def test_the_spine_runs_through_the_middle_and_the_edge_around_it():
    bar = np.zeros((21, 61), dtype=bool)
    bar[6:15, 5:56] = True
    assert set(np.nonzero(spine(bar, rng(0))[:, 15:45])[0]) == {10}
    for seed in range(5):
        around = edge(bar, rng(seed))
        assert not around[10, 20:40].any()  # the middle is enclosed, not drawn on
        assert around[:10, 30].any()
        assert around[11:, 30].any()


def test_a_line_that_leaves_the_error_is_cut_there():
    ring = PLATE.copy()
    ring[8:32, 8:52] = False
    for seed in range(10):
        assert not (line(ring, rng(seed)) & ~ring).any()


def test_noise_breaks_a_long_stroke_into_pieces():
    stroke = np.zeros((9, 200), dtype=bool)
    stroke[4] = True
    pieces = [ndimage.label(broken(stroke, rng(seed)))[1] for seed in range(8)]
    assert np.median(pieces) >= 3
    long_waves = [ndimage.label(broken(stroke, rng(s), length=30.0))[1] for s in range(8)]
    assert np.mean(long_waves) < np.mean(pieces)
    kept = [broken(stroke, rng(seed)).sum() for seed in range(8)]
    assert all(0.25 * 200 <= count <= 0.85 * 200 for count in kept)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_is_drawn_on_in_so_many_slices_along_the_axis(axis):
    volume = np.zeros((12, 12, 12), dtype=bool)
    volume[2:10, 3:9, 1:11] = True
    for slices in (1, 3):
        drawn = scribble(volume, rng("slices", axis), slices=slices, axis=axis)
        lines = drawn.any(axis=tuple(other for other in range(3) if other != axis))
        assert lines.sum() == slices
    everywhere = scribble(volume, rng(0), slices=99, axis=axis)
    lines = everywhere.any(axis=tuple(other for other in range(3) if other != axis))
    assert lines.sum() == (8, 6, 10)[axis]


def test_corrections_are_drawn_inside_where_missing_and_outside_where_too_much():
    truth, answer = np.zeros((2, 30, 30, 6), dtype=bool)
    truth[5:15, 5:15, 2], answer[10:25, 10:25, 2:4] = True, True
    inside, outside = corrections(truth, answer, rng(0), slices=2)
    assert inside.any()
    assert outside.any()
    assert not (inside & ~(truth & ~answer)).any()
    assert not (outside & ~(answer & ~truth)).any()
    nothing = corrections(truth, truth, rng(0))
    assert not nothing[0].any()
    assert not nothing[1].any()


def test_an_unknown_stroke_and_a_line_of_voxels_are_refused():
    with pytest.raises(ValueError, match="unknown stroke 'spline'; did you mean spine"):
        scribble(PLATE, rng(0), stroke="spline")
    with pytest.raises(ValueError, match=r"a slice or a volume, got shape \(60,\)"):
        scribble(PLATE[0], rng(0))
