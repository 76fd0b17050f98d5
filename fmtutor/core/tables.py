"""Literal tables of named things, and the one way to look into them."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

Value = TypeVar("Value")


def unknown_name(name: str, known: Iterable[str], what: str) -> ValueError:
    """Build the error for a name that is not in a table, with the nearest known names.

    Args:
        name: What the user asked for.
        known: Every name that would have been accepted.
        what: The kind of thing, in words ("structure", "system").
    """
    known = sorted(known)
    near = get_close_matches(name, known, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else "."
    return ValueError(f"unknown {what} {name!r}{hint} Known: {', '.join(known)}.")


def lookup(table: Mapping[str, Value], name: str, what: str) -> Value:
    """Return ``table[name]``.

    Raises:
        ValueError: The name is not in the table; the message lists the known names.

    Example:
        >>> lookup({"unet": 1}, "unet", "network")
        1
    """
    if name not in table:
        raise unknown_name(name, table, what)
    return table[name]
