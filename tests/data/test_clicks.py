import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fmtutor.core.seeds import rng
from fmtutor.data.clicks import (
    SIMULATORS,
    Click,
    Clicker,
    centre,
    errors,
    foreground_first,
    human,
    simulate,
    skilled,
    uniform,
)

EXACT = Clicker(jitter_mm=0.0, slip=0.0, lazy=0.0, second=0.0)


def ball(shape: tuple[int, ...], middle: tuple[int, ...], radius: float) -> np.ndarray:
    offsets = np.indices(shape) - np.reshape(middle, (-1, *[1] * len(shape)))
    return (offsets**2).sum(axis=0) <= radius**2


@st.composite
def pairs(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=3, max_side=7))
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


@pytest.mark.parametrize("name", ["uniform", "foreground_first", "centre"])
@settings(deadline=None, max_examples=60)
@given(pair=pairs(), seed=st.integers(0, 99))
def test_a_click_lies_on_an_error_with_its_sign_or_there_is_no_error(name, pair, seed):
    truth, answer = pair
    click = simulate(name, truth, answer, rng(seed))
    if (truth == answer).all():
        assert click is None
        return
    assert click is not None
    on_error = truth[click.point] != answer[click.point]
    missed = name == "foreground_first" and truth.any() and not (truth & answer).any()
    assert on_error or missed
    assert click.positive == truth[click.point]
    assert not missed or click.positive


@settings(deadline=None, max_examples=60)
@given(pair=pairs(), seed=st.integers(0, 99))
def test_a_human_click_stays_on_the_grid(pair, seed):
    truth, answer = pair
    click = skilled(Clicker(jitter_mm=20.0, slip=0.5, lazy=0.5, second=0.5))(
        truth, answer, rng(seed)
    )
    assert (click is None) == bool((truth == answer).all())
    if click is not None:
        assert all(0 <= at < side for at, side in zip(click.point, truth.shape, strict=True))


@pytest.mark.parametrize("name", SIMULATORS)
@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6)])
def test_empty_and_full_masks_are_answered_without_a_crash(name, shape):
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    assert simulate(name, empty, empty, rng(0)) is None
    assert simulate(name, full, full, rng(0)) is None
    exact = {"human": skilled(EXACT)}.get(name, SIMULATORS[name])
    assert exact(full, empty, rng(0)).positive
    assert not exact(empty, full, rng(0)).positive


@pytest.mark.parametrize("name", SIMULATORS)
def test_equal_generators_give_equal_clicks_of_plain_integers(name):
    truth = ball((12, 12, 12), (6, 6, 6), 4)
    answer = ball((12, 12, 12), (8, 5, 6), 4)
    one, two = (simulate(name, truth, answer, rng("x", 3)) for _ in range(2))
    assert one == two
    assert all(type(at) is int for at in one.point)
    assert type(one.positive) is bool


def test_uniform_clicks_reach_every_wrong_voxel_about_equally_often():
    truth, answer = np.zeros((2, 4, 4), dtype=bool)
    truth[0, :2] = answer[3, 1:3] = True
    draw = rng("even")
    clicks = [uniform(truth, answer, draw) for _ in range(2000)]
    counts = Counter(click.point for click in clicks)
    assert set(counts) == {(int(h), int(w)) for h, w in np.argwhere(truth != answer)}
    assert sum(counts.values()) == 2000
    assert all(400 < count < 600 for count in counts.values())


def test_the_first_click_is_in_the_structure_even_if_a_wrong_answer_is_there():
    truth, answer = ball((20, 20), (4, 4), 2), ball((20, 20), (14, 14), 5)
    draw = rng("first")
    assert all(foreground_first(truth, answer, draw).positive for _ in range(50))
    assert not all(uniform(truth, answer, draw).positive for _ in range(50))
    answer[4, 4] = True  # one voxel of the structure is found: errors of both kinds are clicked now
    assert {foreground_first(truth, answer, draw).positive for _ in range(50)} == {True, False}


def test_the_centre_of_a_missed_ball_is_its_middle_and_a_positive_click():
    truth = ball((30, 30, 30), (12, 17, 9), 6)
    assert centre(truth, truth & False, rng(0)) == Click((12, 17, 9), True)


def test_the_centre_is_in_the_largest_error_not_in_the_deepest():
    truth = np.zeros((40, 40), dtype=bool)
    truth[2:5, :] = True  # 120 voxels, 3 thick
    truth[20:29, 20:29] = True  # 81 voxels, 9 thick
    click = centre(truth, truth & False, rng(0))
    assert click.point[0] == 3
    answer = truth & False
    answer[2:5, :] = True
    assert centre(truth, answer, rng(0)) == Click((24, 24), True)


def test_missing_and_superfluous_parts_that_touch_are_two_errors():
    truth, answer = np.zeros((2, 9, 20), dtype=bool)
    truth[2:7, :8], answer[2:7, 8:20] = True, True
    sizes = [(error.size, error.positive) for error in errors(truth, answer)]
    assert sizes == [(60, False), (40, True)]
    assert not centre(truth, answer, rng(0)).positive


def test_the_edge_of_the_image_is_border():
    truth = np.zeros((9, 9), dtype=bool)
    truth[:5] = True
    assert centre(truth, truth & False, rng(0)) == Click((2, 2), True)


def test_the_centre_counts_millimetres_where_the_spacing_is_known():
    shape = (21, 21)
    truth = np.zeros(shape, dtype=bool)
    truth[2:11, 2:7] = True  # 9 x 5 voxels
    truth[2:5, 2:19] = True  # 3 x 17
    in_voxels = centre(truth, truth & False, rng(0))
    thick_slices = centre(truth, truth & False, rng(0), spacing_mm=(10.0, 1.0))
    assert in_voxels.point[1] == 4  # half of 5 columns is the depth
    assert thick_slices.point[1] == 10  # half of 17 columns: rows are far apart


def test_an_exact_person_clicks_the_centre_and_a_careless_one_beside_it():
    truth = ball((40, 40, 40), (20, 20, 20), 10)
    empty = truth & False
    assert human(truth, empty, rng(0), clicker=EXACT) == centre(truth, empty, rng(0))
    loose, draw = Clicker(jitter_mm=3.0, slip=0.25, lazy=0.0, second=0.0), rng("loose")
    clicks = [
        human(truth, empty, draw, spacing_mm=(1.0, 1.0, 3.0), clicker=loose) for _ in range(400)
    ]
    spread = np.std([click.point for click in clicks], axis=0)
    np.testing.assert_allclose(spread, (3, 3, 1), rtol=0.2)
    assert 0.15 < np.mean([not click.positive for click in clicks]) < 0.35


def test_a_person_sometimes_corrects_the_second_largest_error_or_any():
    truth = ball((40, 40), (10, 10), 6) | ball((40, 40), (30, 30), 4)
    empty = truth & False
    second = Clicker(jitter_mm=0.0, slip=0.0, lazy=0.0, second=1.0)
    assert human(truth, empty, rng(0), clicker=second) == Click((30, 30), True)
    lazy, draw = Clicker(jitter_mm=0.0, slip=0.0, lazy=1.0, second=0.0), rng("lazy")
    assert len({human(truth, empty, draw, clicker=lazy).point for _ in range(50)}) > 20


def test_bad_questions_are_refused_with_the_way_out():
    truth = np.ones((3, 3), dtype=bool)
    with pytest.raises(ValueError, match="unknown click simulator 'center'; did you mean centre"):
        simulate("center", truth, truth, rng(0))
    for simulator in SIMULATORS.values():
        with pytest.raises(ValueError, match=r"share a grid, got \(3, 3\) and \(2, 3\)"):
            simulator(truth, truth[:2], rng(0))
    with pytest.raises(ValueError, match=r"chances .* in \[0, 1\]"):
        Clicker(slip=2.0)
    with pytest.raises(ValueError, match="jitter_mm is 0 or a length"):
        Clicker(jitter_mm=float("nan"))


def test_a_click_in_a_cube_of_96_voxels_is_fast_enough_for_training():
    truth = ball((96, 96, 96), (48, 48, 48), 35)
    answer = ball((96, 96, 96), (52, 48, 48), 35)
    for name in SIMULATORS:
        draw, seconds = rng(0), []
        for _ in range(3):
            start = time.perf_counter()
            simulate(name, truth, answer, draw)
            seconds.append(time.perf_counter() - start)
        assert min(seconds) < 0.25, name  # 0.05 on an idle machine; others work on this one
