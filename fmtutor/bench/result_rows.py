"""The rows of a committed result file as a table: one reader for every family of benchmarks."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fmtutor.core.files import read_json
from fmtutor.core.tables import lookup


def rows_frame(
    folder: Path, name: str, columns: Mapping[str, tuple[str, ...]], *, what: str, command: str
) -> pd.DataFrame:
    """Return the rows of ``folder/name.json``; an empty table with its columns where there is none.

    Args:
        folder: A benchmark's ``results``.
        name: A key of ``columns``.
        columns: Result file to the columns that are read of it.
        what: What a key of ``columns`` is, for the error.
        command: What makes the files, for the error.

    Raises:
        ValueError: There is no such key, or the file lacks a column.
    """
    wanted = lookup(columns, name, what)
    path = folder / f"{name}.json"
    if not path.exists():
        return pd.DataFrame(columns=list(wanted))
    frame = pd.DataFrame(read_json(path)["rows"])
    if lacking := [column for column in wanted if column not in frame]:
        raise ValueError(f"{path.name} must have the columns {wanted}, lacks {lacking}; {command}")
    return frame
