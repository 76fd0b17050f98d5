"""Plain JSON for what a function returned: read without running anything of the writer."""

import base64
import json
import math
from typing import Any

import torch

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.bool, torch.int64, torch.float32, torch.float64)
}
DEPTH = 6


class UnreadableAnswerError(ValueError):
    """What came back is no value that an answer can have."""


def encode(value: Any, *, depth: int = DEPTH) -> Any:
    """Return a value as what JSON can hold.

    Args:
        value: None, bool, int, float, str, tensor, array, or lists, tuples and dictionaries of
            these.
        depth: How deep lists may lie in each other.

    Raises:
        UnreadableAnswerError: It is something else.
    """
    if depth == 0:
        raise UnreadableAnswerError(f"lists must not lie in each other more than {DEPTH} deep.")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, (list, tuple)):
        return [encode(item, depth=depth - 1) for item in value]
    if isinstance(value, dict):
        return {"dict": {str(key): encode(item, depth=depth - 1) for key, item in value.items()}}
    if type(value).__module__ == "numpy":
        value = torch.as_tensor(value)
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    raise UnreadableAnswerError(
        f"an answer must be made of numbers, texts, tensors and lists, got {type(value).__name__}."
    )


def _tensor(value: torch.Tensor) -> dict[str, Any]:
    value = value.detach().cpu()
    if value.dtype != torch.bool and value.dtype != torch.float64:
        value = value.float() if value.is_floating_point() else value.long()
    data = base64.b64encode(value.contiguous().numpy().tobytes()).decode()
    return {
        "tensor": str(value.dtype).removeprefix("torch."),
        "shape": [*value.shape],
        "data": data,
    }


def decode(value: Any, *, depth: int = DEPTH) -> Any:
    """Return the value that `encode` wrote; tuples come back as lists.

    Raises:
        UnreadableAnswerError: The text was not written by `encode`.
    """
    if depth == 0:
        raise UnreadableAnswerError("the answer is nested too deep.")
    if value is None or isinstance(value, (bool, str, int, float)):
        return value
    if isinstance(value, list):
        return [decode(item, depth=depth - 1) for item in value]
    try:
        if "number" in value:
            return float(value["number"])
        if "dict" in value:
            return {key: decode(item, depth=depth - 1) for key, item in value["dict"].items()}
        raw = bytearray(base64.b64decode(value["data"], validate=True))
        dtype, shape = DTYPES[value["tensor"]], value["shape"]
        if not raw:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(raw, dtype=dtype).reshape(shape)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UnreadableAnswerError("the answer is not in the form that grading writes.") from error


def read_line(line: bytes) -> dict[str, Any]:
    """Read one line of answers.

    Raises:
        UnreadableAnswerError: It is no JSON object.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError, MemoryError) as error:
        raise UnreadableAnswerError("a line of answers must be JSON.") from error
    if not isinstance(found, dict):
        raise UnreadableAnswerError("a line of answers must be a JSON object.")
    return found
