"""Is an answer the expected one? Within a tolerance, and said in words that do not give it away."""

from typing import Any

import torch

SECRET = "the expected value stays with the grader"


def difference(answer: Any, expected: Any, *, rtol: float, atol: float) -> str | None:
    """Return what is wrong with an answer; None if nothing is.

    A number may be a tensor without axes, and a tuple a list. A NaN is right only where a NaN is
    expected. A mask (bool) must be one: 0.5 is no mask.

    Args:
        answer: What came back.
        expected: What the instructor's function returns.
        rtol: Allowed error, relative to the expected value.
        atol: Allowed error on top.
    """
    if isinstance(expected, dict):
        if not isinstance(answer, dict) or set(answer) != set(expected):
            return f"expected a dictionary with {', '.join(expected)}"
        pairs = [(f"{key}: ", answer[key], value) for key, value in expected.items()]
        return first(pairs, rtol=rtol, atol=atol)
    if isinstance(expected, (list, tuple)):
        if not isinstance(answer, list) or len(answer) != len(expected):
            return f"expected {len(expected)} values in a list or tuple, got {shape_of(answer)}"
        numbered = enumerate(zip(answer, expected, strict=True), start=1)
        return first([(f"value {i}: ", a, e) for i, (a, e) in numbered], rtol=rtol, atol=atol)
    if expected is None or isinstance(expected, str):
        return None if answer == expected else f"the value is not the expected one ({SECRET})"
    return of_numbers(answer, expected, rtol=rtol, atol=atol)


def first(pairs: list[tuple[str, Any, Any]], *, rtol: float, atol: float) -> str | None:
    """Return the first difference among named pairs."""
    for name, answer, expected in pairs:
        if (wrong := difference(answer, expected, rtol=rtol, atol=atol)) is not None:
            return name + wrong
    return None


def of_numbers(answer: Any, expected: Any, *, rtol: float, atol: float) -> str | None:
    """Compare numbers and tensors: shape, kind, values."""
    if not isinstance(answer, (bool, int, float, torch.Tensor)):
        return f"expected {shape_of(expected)}, got {shape_of(answer)}"
    try:
        got, want = torch.as_tensor(answer), torch.as_tensor(expected).detach()
    except (RuntimeError, OverflowError, ValueError):
        return "the number is too large to be one"
    if got.shape != want.shape:
        return f"expected {shape_of(expected)}, got {shape_of(answer)}"
    if (got.dtype == torch.bool) != (want.dtype == torch.bool):
        kinds = ("true or false", "numbers")
        return f"expected {kinds[want.dtype != torch.bool]}, got {got.dtype}"
    got, want = got.double(), want.double()
    close = torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if bool(close.all()):
        return None
    share = 1 - float(close.double().mean()) if close.numel() else 1.0
    if bool((got.isnan() & ~want.isnan()).any()):
        return f"NaN where a number is expected ({share:.0%} of the values are wrong)"
    return f"{share:.0%} of the values are wrong; {SECRET}"


def shape_of(value: Any) -> str:
    """Describe a value by its kind and shape."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a dictionary"
    return {"NoneType": "None", "str": "a text"}.get(type(value).__name__, type(value).__name__)
