"""`PromptLog`: every prompt of a session with its time, as JSON that replays to the same masks.

The log holds what a person did, not what came of it: prompts, undo, redo, clearing, in the case's
voxels, together with what the answer depends on (versions, weights, the case's fingerprint, the
rule of the region). `fmtutor.engine.replay` does it all again.
"""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

import fmtutor
from fmtutor.core.files import read_json, write_json
from fmtutor.data.cases import Case

FORMAT = 1
"""Raised when what is written changes its meaning."""


class PromptLog:
    """What was done in a session, in order.

    Args:
        case: What was asked about; its fingerprint is taken when the log is first written or read.
        settings: Plain values that the answers depend on: rule, region, structures.
        weights: Name and sha256 of the network's weights, as far as they are known.
    """

    def __init__(
        self,
        case: Case,
        settings: Mapping[str, Any],
        *,
        weights: Mapping[str, str] | None = None,
    ) -> None:
        self.settings, self.weights = dict(settings), dict(weights or {})
        self.events: list[dict[str, Any]] = []
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._case, self._fingerprint = case, ""
        self._clock = time.monotonic()

    def add(self, what: str, *, seconds: float = 0.0, **values: Any) -> None:
        """Note one thing done: its name, how long the answer took, and plain values."""
        at = round(time.monotonic() - self._clock, 3)
        self.events.append({"do": what, "at_s": at, "seconds": round(seconds, 4), **values})

    def __len__(self) -> int:
        return len(self.events)

    @property
    def case_fingerprint(self) -> str:
        """Hex sha256 of the case's image and affine."""
        if not self._fingerprint:
            self._fingerprint = fingerprint_of(self._case)
        return self._fingerprint

    def as_dict(self) -> dict[str, Any]:
        """Return the log as plain JSON values."""
        return {
            "format": FORMAT,
            "started": self.started,
            "versions": {
                "fmtutor": fmtutor.__version__,
                **{name: version(name) for name in ("numpy", "torch")},
            },
            "weights": self.weights,
            "case": {
                "name": self._case.name,
                "shape": list(self._case.image.shape),
                "sha256": self.case_fingerprint,
            },
            "settings": self.settings,
            "events": self.events,
        }

    def save(self, path: str | Path) -> None:
        """Write the log as JSON, atomically."""
        write_json(path, self.as_dict())


def read_log(path: str | Path) -> dict[str, Any]:
    """Read a log as `PromptLog.as_dict` gave it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no log, or one of another format.
    """
    try:
        log = read_json(path)
    except (UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path} is no JSON file: {error}; give a saved prompt log.") from error
    return checked(log, str(path))


def checked(log: Any, name: str = "the log") -> dict[str, Any]:
    """Return a log's values, after checking that they are a log of this format."""
    if not isinstance(log, dict) or not {"case", "settings", "events"} <= set(log):
        raise ValueError(f"a prompt log holds case, settings and events, {name} does not.")
    if log.get("format") != FORMAT:
        raise ValueError(
            f"prompt logs of format {FORMAT} can be read, {name} has {log.get('format')!r}; "
            "read it with the version that wrote it."
        )
    return log


def fingerprint_of(case: Case) -> str:
    """Return the hex sha256 of a case's image (float32) and affine (rounded to 1e-4 mm)."""
    image = np.ascontiguousarray(case.image, np.float32)
    affine = np.round(np.asarray(case.affine, np.float64), 4) + 0.0  # no negative zero
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(image.data)
    digest.update(np.ascontiguousarray(affine).data)
    return digest.hexdigest()


def to_runs(mask: Bool[np.ndarray, "H W D"]) -> dict[str, list]:
    """Return a mask as its shape and the runs [first, length, first, length, ...] in C order."""
    edges = np.flatnonzero(np.diff(mask.ravel().astype(np.int8), prepend=0, append=0))
    first, end = edges[::2], edges[1::2]
    runs = np.stack([first, end - first], axis=1).ravel()
    return {"shape": list(mask.shape), "runs": runs.tolist()}


def from_runs(stored: Mapping[str, list]) -> Bool[np.ndarray, "H W D"]:
    """Undo `to_runs`."""
    mask = np.zeros(int(np.prod(stored["shape"])), bool)
    for first, length in np.array(stored["runs"], int).reshape(-1, 2):
        mask[first : first + length] = True
    return mask.reshape(stored["shape"])
