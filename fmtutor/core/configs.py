"""Frozen dataclasses as configuration: JSON round trip and a stable fingerprint."""

import hashlib
import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """Return the configuration as plain JSON values (tuples and sets become lists, sets sorted)."""
    return json.loads(json.dumps(asdict(config), default=sorted))


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """Rebuild a configuration from `to_dict`'s values.

    Raises:
        TypeError: A field is unknown or missing; the message names it.
    """
    hints = get_type_hints(kind)
    built = {}
    for name, value in values.items():
        hint = hints.get(name)
        if is_dataclass(hint) and isinstance(value, dict):
            value = from_dict(hint, value)  # type: ignore[arg-type]
        built[name] = _tuples(value)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(built) - known):
        raise TypeError(
            f"{kind.__name__} has no field {', '.join(unknown)}; it has {sorted(known)}"
        )
    return kind(**built)


def fingerprint(config: Any) -> str:
    """Return 12 hex digits that change whenever a value of the configuration does."""
    text = json.dumps(to_dict(config), sort_keys=True)
    return hashlib.sha256(f"{type(config).__name__}:{text}".encode()).hexdigest()[:12]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
