"""Results of few-shot cells: read from a sweep's folder, kept for good as one compact file.

What reads one form reads the other. The file keeps all scores, rounded, and ten points of each loss
curve; a cell is one line, so that a difference between two files can be read.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fmtutor.bench.few_shot_grid import Cell
from fmtutor.bench.sweep import CLAIM, claim
from fmtutor.core.files import atomic_path, read_json, write_json
from fmtutor.paradigms.adapt import adaptation

LOSSES_KEPT = 10
DECIMALS = 5
COMMAND = "fmtutor table NAME"
SCORE_COLUMNS = ("case", "where", "dice", "dice_plus_one", "reference_ml", "predicted_ml")
CLASS = "class"
"""What a score of a multi-class cell names beside them; of others it is the cell's structure."""
CELL_COLUMNS = (
    "table", "kind", "base", "method", "decoder", "preset", "structure", "shots", "seed",
)  # fmt: skip
IDENTITY_COLUMNS = ("row", "family", *CELL_COLUMNS)
COST_COLUMNS = (
    "parameters", "head_parameters", "decoder_parameters", "total_parameters", "steps", "stopped",
    "train_seconds", "test_seconds", "peak_mb",
)  # fmt: skip


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the results of all finished cells of a folder or of a collected file.

    A damaged file in a folder is a cell that is not finished: the next sweep makes it again.

    Raises:
        FileNotFoundError: There is neither.
        ValueError: The file is not one that `collect` writes.
    """
    if path.is_dir():
        found = (_read_cell(file) for file in sorted(path.glob("*.json")) if file.name != CLAIM)
        return [result for result in found if result is not None]
    content = read_json(path)
    if not isinstance(content, dict) or not {"config", "machines", "rows"} <= content.keys():
        raise ValueError(
            f"{path} must have config, machines and rows; write it with `{COMMAND} --collect FILE`."
        )
    return [_expanded(row, content) for row in content["rows"]]


def read_config(path: Path) -> dict[str, Any]:
    """Return what a folder or a collected file was made with; empty for a folder not begun."""
    if path.is_file():
        return read_json(path)["config"]
    return read_json(path / CLAIM) if (path / CLAIM).exists() else {}


def collect(folder: Path, file: Path) -> int:
    """Write all results of a folder into one file; return how many.

    Raises:
        ValueError: The folder has none.
    """
    results = read_results(folder)
    if not results:
        raise ValueError(f"{folder} has no finished cell; run `{COMMAND} --out {folder}` first.")
    machines: list[dict[str, Any]] = []
    several = any(CLASS in score for result in results for score in result["scores"])
    names = (*SCORE_COLUMNS, CLASS) if several else SCORE_COLUMNS
    rows = [_compact(result, names, machines) for result in results]
    head = {"config": read_config(folder), "score_columns": names, "machines": machines}
    parts = [f'"{key}": {_line(value)}' for key, value in head.items()]
    lines = ",\n".join(_line(row) for row in rows)
    with atomic_path(file) as part:
        part.write_text("{\n" + ",\n".join(parts) + ',\n"rows": [\n' + lines + "\n]\n}\n")
    return len(rows)


def restore(file: Path, folder: Path) -> int:
    """Write the cells of a collected file into a sweep's folder; return how many.

    A sweep of the same configuration then takes them for finished and goes on with the rest. Loss
    curves stay as thin as they were kept.

    Raises:
        ValueError: The file is not one that `collect` writes, or the folder is of another sweep.
    """
    results = read_results(file)
    claim(folder, read_config(file))
    for result in results:
        write_json(folder / f"{Cell(**result['cell']).name}.json", result)
    return len(results)


def scores_frame(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one line per cell and scored case; Dice that is undefined is NaN.

    Columns: ``row`` (its label) and the ``family`` of its method, `CELL_COLUMNS`, ``class``,
    `SCORE_COLUMNS`, and the cell's `COST_COLUMNS` on each of its lines.
    """
    rows = [
        {
            **_identity(result),
            CLASS: score.get(CLASS, result["cell"]["structure"]),
            **{name: score.get(name) for name in SCORE_COLUMNS},
        }
        for result in results
        for score in result["scores"]
    ]
    columns = [*IDENTITY_COLUMNS, CLASS, *SCORE_COLUMNS, *COST_COLUMNS]
    frame = pd.DataFrame(rows, columns=columns)
    numbers = [name for name in SCORE_COLUMNS if name not in ("case", "where")]
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in numbers})


def cells_frame(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one line per cell: what it trained, and what that took."""
    columns = [*IDENTITY_COLUMNS, *COST_COLUMNS]
    return pd.DataFrame([_identity(result) for result in results], columns=columns)


def thinned(values: Sequence[float], count: int = LOSSES_KEPT) -> list[float]:
    """Return that many values at even distances, first and last among them."""
    if len(values) <= count:
        return [round(float(value), DECIMALS) for value in values]
    places = [round(i * (len(values) - 1) / (count - 1)) for i in range(count)]
    return [round(float(values[place]), DECIMALS) for place in places]


def _read_cell(file: Path) -> dict[str, Any] | None:
    try:
        result = read_json(file)
    except ValueError:
        return None
    return result if isinstance(result, dict) and "cell" in result else None


def _identity(result: Mapping[str, Any]) -> dict[str, Any]:
    cell = result["cell"]
    return {
        "row": cell["label"],
        "family": adaptation(cell["method"]).family,
        **{name: cell[name] for name in CELL_COLUMNS},
        **{name: result.get(name) for name in COST_COLUMNS},
    }


def _compact(
    result: Mapping[str, Any], names: Sequence[str], machines: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a result without what all have alike; its machine joins the list where it is new."""
    machine = result.get("machine", {})
    if machine not in machines:
        machines.append(machine)
    scores = [[_rounded(score.get(name)) for name in names] for score in result["scores"]]
    without = ("setting", "machine", "scores", "loss")
    kept = {key: _rounded(value) for key, value in result.items() if key not in without}
    return {
        **kept, "loss": thinned(result.get("loss", ())), "machine": machines.index(machine),
        "scores": scores,
    }  # fmt: skip


def _expanded(row: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    names = content["score_columns"]
    return {
        **row,
        "setting": content["config"].get("setting", {}),
        "machine": content["machines"][row["machine"]],
        "scores": [dict(zip(names, score, strict=True)) for score in row["scores"]],
    }


def _rounded(value: Any) -> Any:
    return round(value, DECIMALS) if isinstance(value, float) else value


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
