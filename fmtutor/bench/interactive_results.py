"""Scores of promptable networks as tables, from committed result files alone.

Files are those of benchmarks/interaction_scores: ``curves3d``, ``points`` and ``prompts``. What is
averaged and bootstrapped are *tasks*, a structure of a volume: draws and patients of one are
averaged first. A file that is not there gives an empty table.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fmtutor.bench.result_rows import rows_frame
from fmtutor.engine.interaction import Curve
from fmtutor.engine.interaction_summary import area, clicks_to, reached
from fmtutor.engine.metrics import bootstrap_mean

ABOUT = ("volume", "case", "structure", "seen", "ml", "system")
COLUMNS: dict[str, tuple[str, ...]] = {
    "curves3d": (*ABOUT, "simulator", "draw", "roi", "oracle", "refused", "dice", "seconds",
                 "first_s"),
    "points": (*ABOUT, "dims", "slices", "per", "points", "dice", "seconds"),
    "prompts": (*ABOUT, "prompt", "boxes", "dice", "seconds"),
}  # fmt: skip
"""Result file to the columns that are read of it."""
COMMAND = "python benchmarks/interaction_scores/run.py"
"""What makes the files."""
TASK = ["volume", "structure"]
"""What a task is known by."""
THRESHOLDS = (0.8, 0.9)
"""Dice to reach, for clicks_80 and clicks_90."""
NUMBERS = ("dice_", "area", "clicks_", "failed_", "first_s", "click_s")
"""What the columns that `summaries` adds begin with."""
TITLES = {
    "sam_med3d": "SAM-Med3D",
    "early_prompt": "EarlyPrompt",
    "sam_base": "SAM, everyday pictures",
    "sam_med2d": "SAM-Med2D",
    "organs": "network of fixed classes",
    "sphere": "ball at each click",
    "box": "box, filled",
    "box per slice": "boxes of slices, filled",
}
"""System to its name in figures, in their order."""


def results_frame(folder: Path, name: str) -> pd.DataFrame:
    """Return the rows of a result file; an empty table with its columns where there is none.

    Args:
        folder: The ``results`` of benchmarks/interaction_scores.
        name: A key of `COLUMNS`.

    Raises:
        ValueError: There is no such part, or the file lacks a column.
    """
    return rows_frame(folder, name, COLUMNS, what="result of interaction scores", command=COMMAND)


def per_click(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of curves3d with a row for each click: columns clicks and dice."""
    long = frame.explode("dice").astype({"dice": float})
    return long.assign(clicks=long.groupby(level=0).cumcount()).reset_index(drop=True)


def summaries(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of curves3d with numbers of their curves in place of the curves.

    Returns:
        Columns dice_1, dice_3, dice_5, dice_10 (as far as the curves go), area, clicks_80 and
        clicks_90 (the limit where never reached), failed_80 and failed_90, first_s, click_s (the
        median of the later clicks).
    """
    numbers = [_numbers(row) for row in frame.to_dict("records")]
    kept = frame.drop(columns=["dice", "seconds"])
    found = pd.DataFrame(numbers, index=frame.index)
    return kept.drop(columns="first_s").join(found)


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    curve = Curve(dice=tuple(row["dice"]), seconds=tuple(row["seconds"]), clicks=())
    numbers = {f"dice_{n}": curve.dice[n] for n in (1, 3, 5, 10) if n < len(curve.dice)}
    numbers["area"] = area(curve)
    for aim in THRESHOLDS:
        numbers[f"clicks_{round(100 * aim)}"] = clicks_to(curve, aim)
        numbers[f"failed_{round(100 * aim)}"] = float(not reached(curve, aim))
    first = row["first_s"]
    numbers["first_s"] = np.nan if first is None else first
    numbers["click_s"] = float(np.median(curve.seconds[1:])) if curve.seconds[1:] else np.nan
    return numbers


def means(frame: pd.DataFrame, by: Sequence[str], value: str = "dice") -> pd.DataFrame:
    """Return mean and bootstrap interval over tasks, a row for each group of ``by``.

    Args:
        frame: Rows; those without a value are left out.
        by: Columns that make the groups.
        value: Column that is averaged.

    Returns:
        Columns mean, low, high, tasks.
    """
    columns = ["mean", "low", "high", "tasks"]
    frame = frame.dropna(subset=[value])
    if frame.empty:
        return pd.DataFrame(columns=columns)
    tasks = frame.astype({value: float}).groupby([*by, *TASK])[value].mean()
    rows: dict[Any, list[float]] = {}
    for key, part in tasks.groupby(level=list(by)):
        found = bootstrap_mean(part, 0)
        single = isinstance(key, tuple) and len(key) == 1
        rows[key[0] if single else key] = [found.mean, found.low, found.high, found.count]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    if len(by) > 1:
        table.index = pd.MultiIndex.from_tuples(table.index)
    table.index.names = list(by)
    return table


def curve_table(folder: Path) -> pd.DataFrame:
    """Return the means over tasks of every number of the curves.

    Returns:
        Rows by volume, seen, system, simulator, oracle; columns of `summaries`. The index is
        made of plain values.
    """
    frame = results_frame(folder, "curves3d")
    by = ["volume", "seen", "system", "simulator", "oracle"]
    if frame.empty:
        return pd.DataFrame()
    found = summaries(frame)
    numbers = [name for name in found if name.startswith(NUMBERS)]
    tasks = found.groupby([*by, "structure"])[numbers].mean()
    return tasks.groupby(level=by).mean()


def point_table(folder: Path) -> pd.DataFrame:
    """Return the table of points: Dice, points and seconds by dims, system, points, seen.

    Means over tasks; ``points`` are those of a structure in all, N a slice for 2D systems.
    """
    frame = results_frame(folder, "points")
    if frame.empty:
        return pd.DataFrame()
    tasks = frame.groupby(["dims", "system", "per", "seen", *TASK])
    means_of = tasks[["dice", "points", "seconds"]].mean()
    return means_of.groupby(level=["dims", "system", "per", "seen"]).mean()


def prompt_table(folder: Path) -> pd.DataFrame:
    """Return the table of prompts: mean Dice over tasks by system and seen, a column a prompt.

    A place is empty where the system does not answer the prompt, or has no class for the
    structures.
    """
    frame = results_frame(folder, "prompts").dropna(subset=["dice"])
    if frame.empty:
        return pd.DataFrame()
    tasks = frame.groupby(["system", "seen", "prompt", *TASK])["dice"].mean()
    table = tasks.groupby(level=["system", "seen", "prompt"]).mean().unstack("prompt")
    order = [p for p in ("automatic", "tight box", "relaxed box", "10 points") if p in table]
    return table[order]
