"""An answer is right within its tolerance, and a wrong one is described without the solution."""

import math

import pytest
import torch

from fmtutor.course.comparison import difference
from fmtutor.course.sandbox.answers import UnreadableAnswerError, decode, encode, read_line

ONE = torch.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (1, 1.0),
        (torch.tensor(1.0), 1.0),
        ([1, 2.0], (1, 2)),
        (ONE + 1e-6, ONE),
        (math.nan, math.nan),
        ({"a": 1}, {"a": 1.0}),
        (None, None),
    ],
)
def test_right(answer, expected):
    assert difference(answer, expected, rtol=1e-4, atol=1e-6) is None


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (1.1, 1.0, "100% of the values"),
        (math.nan, 1.0, "NaN where"),
        (1.0, math.nan, "values are wrong"),
        (math.inf, 1.0, "values are wrong"),
        (ONE, ONE[:1], "shape"),
        (ONE, ONE > 1, "true or false"),
        (None, ONE, "got None"),
        ({"a": 1}, {"b": 1}, "dictionary with b"),
        ([1], (1, 2), "2 values"),
        (10**400, 1.0, "too large"),
        ("right", "refused", "not the expected"),
    ],
)
def test_wrong(answer, expected, said):
    assert said in difference(answer, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "value", [None, True, 3, -0.5, "text", [1, [2]], {"a": [1]}, ONE, ONE > 1, torch.zeros(0, 2)]
)
def test_what_is_written_is_read(value):
    again = decode(encode(value))
    assert torch.equal(again, value) if isinstance(value, torch.Tensor) else again == value


@pytest.mark.parametrize(
    "forged",
    [
        {"tensor": "float32", "shape": [10**9], "data": "AAAA"},
        {"tensor": "object", "shape": [1], "data": "AAAA"},
        {"tensor": "float32", "shape": [1], "data": "!!"},
        {"tensor": "float32", "shape": [10**12], "data": ""},
        {"number": "many"},
        {"other": 1},
        [[[[[[[[1]]]]]]]],
    ],
)
def test_a_forged_value_is_refused(forged):
    with pytest.raises(UnreadableAnswerError):
        decode(forged)


@pytest.mark.parametrize("line", [b"{", b"[1]", b"[" * 10**5, b"\xff", b""])
def test_a_forged_line_is_refused(line):
    with pytest.raises(UnreadableAnswerError):
        read_line(line)
