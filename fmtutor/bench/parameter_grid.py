"""Parameters of a batch as they are typed, ``seed=0..4`` or ``backbone=unet,swin``: a grid of runs.

Every parameter has one value or several; a notebook runs once for each combination. A run is
named after its notebook and what was given, so that runs with other values lie side by side.
"""

import ast
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Grid = Mapping[str, Sequence[Any]]
"""From a parameter's name to the values that it takes, one or more."""
RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
RANGE_OF_FRACTIONS = re.compile(r"[-\d.e]+\.\.[-\d.e]+")
MAX_VALUES = 10_000
PLAIN = re.compile(r"[A-Za-z0-9_.+-]{1,24}")
ODD = re.compile(r"[^A-Za-z0-9_.+=-]+")
OPENING, CLOSING = "([{", ")]}"


def parsed(pairs: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Read ``name=value`` pairs.

    A comma outside of brackets and quotes separates values; ``0..4`` is 0, 1, 2, 3, 4. A value is
    a Python literal, true or false; anything else is text.

    Example:
        >>> parsed(["seed=0..2", "net=unet,swin", "sizes=(8, 16)"])
        {'seed': (0, 1, 2), 'net': ('unet', 'swin'), 'sizes': ((8, 16),)}

    Raises:
        ValueError: A pair has no name, comes twice, repeats a value, or has a value that JSON has
            not.
    """
    grid: dict[str, tuple[Any, ...]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(
                f"a parameter is written name=value, got {pair!r}; for example -p seed=1."
            )
        if name in grid:
            raise ValueError(f"a parameter is given once, got {name} twice; write {name}=1,2.")
        values = [value for part in _split(text) for value in _values(part)]
        grid[name] = tuple(_checked(pair, values))
    return grid


def combinations(grid: Grid) -> list[dict[str, Any]]:
    """Return every choice of one value for each name; the last name changes fastest."""
    return [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())]


def run_name(stem: str, parameters: Mapping[str, Any]) -> str:
    """Return a name for a run that is good as a file name.

    Example:
        >>> run_name("02_partial", {"seed": 3, "rate": 0.1})
        '02_partial-seed=3-rate=0.1'
    """
    parts = [ODD.sub("_", stem).lstrip(".+=-") or "notebook"]
    parts += [f"{ODD.sub('_', name)}={_slug(value)}" for name, value in parameters.items()]
    return "-".join(parts)


def _split(text: str) -> list[str]:
    """Split at commas that stand outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign in OPENING) - (sign in CLOSING)
        if sign == "," and not quote and depth <= 0:
            parts.append("")
        else:
            parts[-1] += sign
    # An apostrophe or a bracket of plain text opens nothing: such a text is one value.
    return [text] if quote or depth else parts


def _values(text: str) -> Sequence[Any]:
    """Read one part: a range, or a single value."""
    if found := RANGE.fullmatch(text):
        first, last = map(int, found.groups())
        if not first <= last < first + MAX_VALUES:
            raise ValueError(
                f"a range goes upwards from its first to its last number, at most {MAX_VALUES} of "
                f"them, got {text}; write for example 0..4."
            )
        return range(first, last + 1)
    if RANGE_OF_FRACTIONS.fullmatch(text):
        raise ValueError(f"a range is of whole numbers, got {text}; write the values: 0.1,0.2.")
    try:
        return [ast.literal_eval({"true": "True", "false": "False"}.get(text, text))]
    except (ValueError, SyntaxError):
        return [text]


def _checked(pair: str, values: list[Any]) -> list[Any]:
    """Return the values, each once and each such that a record can keep it."""
    for value in values:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"a parameter is a finite number, a text, true, false, None or a list of these, "
                f"got {pair!r}; put quotes around a text."
            ) from error
    shown = [repr(value) for value in values]
    if twice := sorted({text for text in shown if shown.count(text) > 1}):
        raise ValueError(f"a parameter takes each value once, got {', '.join(twice)} twice: {pair}")
    return values


def _slug(value: Any) -> str:
    """Return a value as part of a file name; a long or odd one is cut and gets a hash."""
    text = str(value)
    if PLAIN.fullmatch(text):
        return text
    mark = hashlib.sha256(repr(value).encode()).hexdigest()[:6]
    return f"{ODD.sub('_', text)[:24].strip('_')}_{mark}"
