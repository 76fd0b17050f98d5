import numpy as np
import pytest

from fmtutor.core.ask import Clicks
from fmtutor.core.seeds import rng
from fmtutor.data.balls import ball
from fmtutor.data.clicks import SIMULATORS, Click, Clicker
from fmtutor.engine.interaction import Protocol, run_clicks, through
from fmtutor.engine.interaction_summary import clicks_to, reached

SHAPE = (16, 16, 12)
TRUTH = ball((8, 8, 6), SHAPE, radius=4.0) > 0
QUICK = Protocol(clicks=4)


def nothing(clicks: Clicks) -> np.ndarray:
    return np.zeros(SHAPE, dtype=bool)


def perfect(clicks: Clicks) -> np.ndarray:
    return TRUTH


def voxelwise(clicks: Clicks) -> np.ndarray:
    """Believe each click about its own voxel, and nothing else."""
    mask = np.zeros(SHAPE, dtype=bool)
    for point, positive in zip(clicks.points_vox, clicks.positive, strict=True):
        mask[point] = positive
    return mask


def test_a_system_that_is_right_at_once_gets_one_click_and_the_curve_stays():
    done = run_clicks(perfect, TRUTH, QUICK, rng(0))
    assert done.dice == (0.0, 1.0, 1.0, 1.0, 1.0)
    assert done.clicks == (Click((8, 8, 6), True),)
    assert len(done.seconds) == 1
    assert clicks_to(done, 0.9) == 1


def test_a_system_that_never_answers_gets_every_click_and_stays_at_nothing():
    done = run_clicks(nothing, TRUTH, QUICK, rng(0))
    assert done.dice == (0.0,) * 5
    assert len(done.clicks) == len(done.seconds) == 4
    assert clicks_to(done, 0.8) == 4
    assert not reached(done, 0.8)


@pytest.mark.parametrize("simulator", ["centre", "foreground_first", "uniform"])
def test_a_system_that_believes_single_voxels_gains_a_voxel_a_click(simulator):
    protocol = Protocol(simulator=simulator, clicks=6)
    done = run_clicks(voxelwise, TRUTH, protocol, rng(simulator))
    size = float(TRUTH.sum())
    np.testing.assert_allclose(done.dice, [2 * n / (n + size) for n in range(7)])
    assert len(set(done.clicks)) == 6


def test_the_system_hears_all_clicks_so_far_with_the_newest_last():
    heard: list[Clicks] = []

    def listen(clicks: Clicks) -> np.ndarray:
        heard.append(clicks)
        return voxelwise(clicks)

    done = run_clicks(listen, TRUTH, QUICK, rng(0))
    assert [len(clicks.points_vox) for clicks in heard] == [1, 2, 3, 4]
    assert heard[-1].points_vox == tuple(click.point for click in done.clicks)
    assert heard[-1].points_vox[:3] == heard[-2].points_vox


def test_the_curve_starts_from_what_was_there_before():
    start = TRUTH.copy()
    start[8:] = False
    done = run_clicks(perfect, TRUTH, QUICK, rng(0), start=start)
    assert 0.5 < done.dice[0] < 1
    assert run_clicks(nothing, TRUTH, QUICK, rng(0), start=TRUTH).clicks == ()


def test_the_middle_is_found_in_millimetres_unless_the_protocol_says_voxels():
    truth = np.zeros(SHAPE, dtype=bool)
    truth[2:13, 2:7, 1:10] = True
    truth[2:5, 2:15, 1:10] = True
    flat = (20.0, 1.0, 1.0)
    in_mm = run_clicks(nothing, truth, Protocol(clicks=1), rng(0), spacing_mm=flat)
    voxels = Protocol(clicks=1, millimetres=False)
    in_voxels = run_clicks(nothing, truth, voxels, rng(0), spacing_mm=flat)
    without = run_clicks(nothing, truth, Protocol(clicks=1), rng(0))
    assert in_voxels.clicks == without.clicks != in_mm.clicks


def test_a_click_that_contradicts_an_earlier_one_is_counted_but_not_handed_on():
    one_voxel = np.zeros((1, 1, 2), dtype=bool)
    one_voxel[0, 0, 0] = True
    slips = Clicker(jitter_mm=0.0, slip=0.5, lazy=0.0, second=0.0)
    protocol = Protocol(simulator="human", clicker=slips, clicks=20)
    heard: list[int] = []

    def stubborn(clicks: Clicks) -> np.ndarray:
        heard.append(len(clicks.points_vox))
        return np.zeros((1, 1, 2), dtype=bool)

    done = run_clicks(stubborn, one_voxel, protocol, rng("slips"))
    assert len(done.clicks) == 20
    assert 0 < done.refused < 20
    assert heard == list(range(1, 21 - done.refused))
    assert len(done.dice) == 21
    assert len(done.seconds) == 20 - done.refused


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_equal_generators_make_equal_curves(simulator):
    protocol = Protocol(simulator=simulator, clicks=5)
    one, two = (run_clicks(voxelwise, TRUTH, protocol, rng("case", 3)) for _ in range(2))
    assert (one.dice, one.clicks) == (two.dice, two.clicks)


def test_a_session_is_handed_one_click_at_a_time():
    class Remembering:
        def __init__(self) -> None:
            self.said: list[tuple[tuple[int, ...], bool]] = []

        def click(self, voxel, positive=True):
            self.said.append((voxel, positive))

        def mask(self):
            points, signs = zip(*self.said, strict=True)
            return voxelwise(Clicks(points, signs))

    session = Remembering()
    done = run_clicks(through(session), TRUTH, QUICK, rng(0))
    assert session.said == [(click.point, click.positive) for click in done.clicks]
    assert done.dice == run_clicks(voxelwise, TRUTH, QUICK, rng(0)).dice


def test_an_empty_truth_and_an_answer_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="got an empty truth; leave the case out"):
        run_clicks(nothing, TRUTH & False, QUICK, rng(0))
    for bad, got in (
        (lambda _: TRUTH[1:], r"got bool \(15, 16, 12\)"),
        (lambda _: TRUTH * 0.5, r"got float64 \(16, 16, 12\)"),
    ):
        with pytest.raises(ValueError, match=got):
            run_clicks(bad, TRUTH, QUICK, rng(0))
    with pytest.raises(ValueError, match=r"got bool \(15, 16, 12\)"):
        run_clicks(nothing, TRUTH, QUICK, rng(0), start=TRUTH[1:])


def test_protocols_that_cannot_be_run_are_refused():
    with pytest.raises(ValueError, match="unknown click simulator 'random'"):
        Protocol(simulator="random")
    with pytest.raises(ValueError, match="1 to 1000 clicks, got 0"):
        Protocol(clicks=0)
    with pytest.raises(ValueError, match=r"thresholds are Dice in \(0, 1\]"):
        Protocol(thresholds=(80.0,))
