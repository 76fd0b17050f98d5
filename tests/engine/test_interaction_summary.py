import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmtutor.core.configs import from_dict
from fmtutor.data.clicks import Clicker
from fmtutor.engine.interaction import Curve, Protocol
from fmtutor.engine.interaction_summary import area, clicks_to, reached, summarise


def curve(*dice: float, seconds: tuple[float, ...] = ()) -> Curve:
    return Curve(dice=dice, seconds=seconds, clicks=())


def test_clicks_are_counted_to_the_first_time_a_dice_is_reached():
    up_and_down = curve(0.0, 0.5, 0.85, 0.7, 0.95)
    assert [clicks_to(up_and_down, aim) for aim in (0.5, 0.8, 0.9, 0.99)] == [1, 2, 4, 4]
    assert [reached(up_and_down, aim) for aim in (0.9, 0.99)] == [True, False]
    assert clicks_to(curve(0.92, 0.95), 0.9) == 0


@settings(deadline=None, max_examples=60)
@given(heights=st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_the_area_lies_between_the_lowest_and_the_highest_dice(heights):
    assert min(heights) - 1e-9 <= area(curve(*heights)) <= max(heights) + 1e-9


def test_the_area_is_the_mean_of_trapezoids():
    assert area(curve(0.0, 1.0)) == 0.5
    assert area(curve(0.0, 0.8, 0.9)) == pytest.approx((0.4 + 0.85) / 2)


def test_a_summary_holds_means_failures_and_its_protocol():
    protocol = Protocol(clicks=2, oracle=True)
    curves = [curve(0.0, 0.85, 0.95, seconds=(1.0, 3.0)), curve(0.0, 0.5, 0.7, seconds=(2.0,))]
    summary = summarise(curves, protocol)
    assert [round(at.mean, 6) for at in summary.dice] == [0.0, 0.675, 0.825]
    assert [at.mean for at in summary.clicks_to] == [1.5, 2.0]
    assert summary.failed == (0.5, 0.5)
    assert summary.seconds == 2.0
    assert summary.dice[1].low <= summary.dice[1].mean <= summary.dice[1].high
    assert summary.area.count == 2


def test_a_record_is_json_that_says_whether_an_oracle_helped():
    protocol = Protocol(clicks=1, oracle=True, simulator="human", clicker=Clicker(slip=0.1))
    record = json.loads(json.dumps(summarise([curve(0.0, 1.0)], protocol).record()))
    assert record["protocol"]["oracle"] is True
    assert record["seconds"] is None
    assert from_dict(Protocol, record["protocol"]) == protocol


def test_curves_of_other_lengths_or_none_are_not_summarised():
    for curves in ([], [curve(0.0, 1.0), curve(0.0, 1.0, 1.0)]):
        with pytest.raises(ValueError, match="curves of this protocol have 2 clicks, got"):
            summarise(curves, Protocol(clicks=2))
