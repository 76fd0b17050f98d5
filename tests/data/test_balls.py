import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmtutor.data.balls import ball, drawn_clicks
from fmtutor.data.clicks import Click


@settings(deadline=None, max_examples=60)
@given(
    point=st.tuples(*[st.integers(-4, 12)] * 3),
    radius=st.floats(0, 5),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3),
)
def test_a_ball_is_every_voxel_within_its_radius_in_millimetres(point, radius, spacing):
    shape = (7, 8, 9)
    offsets = (np.indices(shape).T - point) * spacing
    distance = np.sqrt((offsets**2).sum(axis=-1)).T
    drawn = ball(point, shape, radius=radius, spacing_mm=spacing)
    np.testing.assert_array_equal(drawn, distance <= radius)


def test_a_soft_ball_falls_from_one_to_nothing():
    soft = ball((5, 5), (11, 11), radius=3.0, soft=True)
    falling = [0, 0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0]
    np.testing.assert_allclose(soft[5], falling, atol=1e-6)
    assert ((soft > 0) >= (ball((5, 5), (11, 11), radius=3.0) > 0)).all()


def test_clicks_inside_and_outside_come_in_two_channels_and_older_ones_fade():
    clicks = [Click((1, 1), True), Click((6, 6), False), Click((1, 7), True)]
    drawn = drawn_clicks(clicks, (9, 9), radius=1.0, fade=0.5)
    assert drawn.shape == (2, 9, 9)
    assert (drawn[0, 1, 1], drawn[1, 6, 6], drawn[0, 1, 7]) == (0.25, 0.5, 1.0)
    assert [(channel > 0).sum() for channel in drawn] == [10, 5]
    again = drawn_clicks([*clicks, Click((1, 1), True)], (9, 9), radius=1.0, fade=0.5)
    assert again[0, 1, 1] == 1.0  # the newest of two balls in one place


def test_no_clicks_draw_nothing_and_impossible_balls_are_refused():
    assert not drawn_clicks([], (4, 4, 4), radius=2.0).any()
    with pytest.raises(ValueError, match="radius of 0 or more, got -1"):
        ball((1, 1), (4, 4), radius=-1.0)
    with pytest.raises(ValueError, match="radius of 0 or more, got nan"):
        ball((1, 1), (4, 4), radius=float("nan"))
    with pytest.raises(ValueError, match=r"fade lies in \(0, 1\]"):
        drawn_clicks([], (4, 4), radius=1.0, fade=0.0)
