"""Weights of sources become shares, and what cannot be meant is refused."""

import pytest

from fmtutor.data.shares import shares_of


def test_weights_are_relative_and_none_is_all_alike() -> None:
    assert shares_of([[0], [0]], [2.0, 6.0]).tolist() == [0.25, 0.75]
    assert shares_of([[0]] * 4, None).tolist() == [0.25] * 4


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, 1.0, 1.0]])
def test_malformed_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="one weight each, 0 or more and not all 0"):
        shares_of([[0], [0]], weights)


def test_an_empty_source_and_no_source_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of \[1, 0\] cases"):
        shares_of([[0], []], None)
    with pytest.raises(ValueError, match="0 sources"):
        shares_of([], None)
