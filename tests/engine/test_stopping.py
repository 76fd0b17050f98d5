"""The validation-free stop: the training loss stands still."""

import numpy as np
import pytest

from fmtutor.engine.stopping import PlateauStop


def epochs_until_stop(losses: list[float]) -> int | None:
    stop = PlateauStop()
    for number, loss in enumerate(losses, start=1):
        if stop.after(loss):
            return number
    return None


def test_a_level_loss_stops_at_the_first_epoch_that_the_rule_allows() -> None:
    assert epochs_until_stop([0.4] * 50) == 32


def test_a_falling_loss_goes_on() -> None:
    assert epochs_until_stop([1.0 - 0.001 * n for n in range(199)]) is None


def test_the_rule_is_absolute_so_a_slow_fall_stops() -> None:
    """0.00004 an epoch is less than 0.001 in twenty, however small the loss is."""
    assert epochs_until_stop([0.01 - 0.00004 * n for n in range(60)]) == 32


def test_a_plateau_after_a_fall_stops_once_the_fall_is_out_of_sight() -> None:
    falling = list(np.linspace(1.0, 0.2, 60))
    stopped = epochs_until_stop(falling + [0.2] * 60)
    assert stopped is not None
    assert 60 + 19 <= stopped <= 60 + 10 + 20


def test_smoothed_is_the_mean_of_ten() -> None:
    stop = PlateauStop()
    for loss in range(12):
        stop.after(float(loss))
    assert stop.smoothed.tolist() == pytest.approx([4.5, 5.5, 6.5])


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="published are 10 and 20"):
        PlateauStop(window=0)
