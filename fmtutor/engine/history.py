"""The history of a training run: one JSON line a step, appended, and cut back on resume."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from fmtutor.core.files import atomic_path

HISTORY_FILE = "history.jsonl"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one optimiser step did."""

    step: int
    """Number of the step, from 0."""
    loss: float
    """Loss of the step's batch (mean over processes)."""
    lr: float
    """Learning rate of the first parameter group."""
    grad_norm: float
    """L2 norm of all gradients before clipping."""
    seconds: float
    """Wall time of the step, waiting for data included."""
    data_seconds: float
    """Part of ``seconds`` spent waiting for the batch."""


def append_record(folder: Path, record: Record) -> None:
    """Append one step to the history of a run."""
    with open(folder / HISTORY_FILE, "a") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def truncate_history(folder: Path, step: int) -> None:
    """Drop every line of step ``step`` or later, and a last line that a kill cut short."""
    path = folder / HISTORY_FILE
    if path.exists():
        kept = [json.dumps(row) for row in _rows(path) if row["step"] < step]
        with atomic_path(path) as part:
            part.write_text("".join(line + "\n" for line in kept))


def history_frame(folder: str | Path) -> pd.DataFrame:
    """Return the history of a run, one row a step, with the fields of `Record` as columns."""
    path = Path(folder) / HISTORY_FILE
    rows = _rows(path) if path.exists() else []
    return pd.DataFrame(rows, columns=list(Record.__dataclass_fields__))


def _rows(path: Path) -> list[dict]:
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the process was killed while it wrote this line
    return rows
