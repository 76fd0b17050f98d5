"""Scores of in-context segmentation as tables and sentences, from committed result files alone.

Files are those of benchmarks/in_context_scores: one question each, rows of Dice in [0, 1]. What is
averaged and bootstrapped are *tasks*, a structure seen along an axis: queries and random supports
of one task are averaged first, as ten queries of one muscle are no ten muscles. A file that is not
there gives an empty table, and a sentence that says so.
"""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fmtutor.bench.result_rows import rows_frame
from fmtutor.core.files import read_json
from fmtutor.engine.metrics import Interval, bootstrap_mean

COLUMNS: dict[str, tuple[str, ...]] = {
    "support_size": ("system", "structure", "axis", "query", "draw", "support", "dice"),
    "exchange": ("system", "structure", "axis", "draw", "other", "own", "exchanged"),
    "ensemble": ("structure", "axis", "query", "support", "members", "dice", "variance"),
    "selection": ("how", "support", "structure", "axis", "query", "draw", "dice"),
    "specific": ("system", "structure", "axis", "draw", "support", "dice", "seconds"),
    "real": ("system", "volume", "structure", "ml", "way", "support", "dice", "slices", "seen"),
    "resolution": ("size", "structure", "axis", "query", "dice"),
}
"""Result file to the columns that are read of it."""
COMMAND = "python benchmarks/in_context_scores/run.py"
"""What makes the files."""
TASK = ["structure", "axis"]
"""What a task is known by."""
HEADLINE_ML = 10.0
"""Smaller reference structures of real volumes are listed apart."""
TITLES = {
    "universeg": "UniverSeg",
    "tyche": "Tyche",
    "nearest_copy": "nearest copy",
    "unet": "U-Net of the support",
}
"""System to its name in figures."""


def results_frame(folder: Path, name: str) -> pd.DataFrame:
    """Return the rows of a result file; an empty table with its columns where there is none.

    Args:
        folder: The ``results`` of benchmarks/in_context_scores.
        name: A key of `COLUMNS`.

    Raises:
        ValueError: There is no such question, or the file lacks a column.
    """
    return rows_frame(folder, name, COLUMNS, what="result of in-context scores", command=COMMAND)


def task_means(frame: pd.DataFrame, by: Sequence[str], value: str = "dice") -> pd.Series:
    """Return the mean of a column for each task within each group of ``by``."""
    return frame.groupby([*by, *TASK])[value].mean()


def means(frame: pd.DataFrame, by: Sequence[str], value: str = "dice") -> pd.DataFrame:
    """Return mean and bootstrap interval over tasks, a row for each group of ``by``.

    Returns:
        Columns mean, low, high, tasks.
    """
    columns = ["mean", "low", "high", "tasks"]
    if frame.empty:
        return pd.DataFrame(columns=columns)
    per_task = task_means(frame, by, value)
    rows: dict[Hashable, dict[str, Any]] = {}
    for key, part in per_task.groupby(level=list(by)):
        found = bootstrap_mean(part, 0)
        key = key[0] if isinstance(key, tuple) and len(key) == 1 else key
        rows[key] = dict(
            zip(columns, (found.mean, found.low, found.high, found.count), strict=True)
        )
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.names = list(by)
    return table


def gap(frame: pd.DataFrame, column: str, one: object, other: object) -> Interval:
    """Return the mean over tasks of Dice where ``column`` is ``one`` minus where it is ``other``.

    Raises:
        ValueError: They share no task.
    """
    sides = [task_means(frame[frame[column] == which], []) for which in (one, other)]
    return bootstrap_mean((sides[0] - sides[1]).dropna(), 0)


def signed(found: Interval) -> str:
    """Return a difference in words: value, interval, tasks, and whether it differs from zero."""
    apart = "" if found.low > 0 or found.high < 0 else "; not told apart from zero"
    return f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f}, {found.count} tasks{apart})"


def missing(name: str) -> str:
    """Return the sentence for a result that is not there."""
    return f"no {name}.json in this checkout; {COMMAND} makes it"


def support_sentence(frame: pd.DataFrame, system: str = "universeg", at: int = 16) -> str:
    """Say what more examples are worth, and what the network is worth above a copy."""
    if frame.empty:
        return missing("support_size")
    table = means(frame, ["system", "support"])["mean"]
    sizes = sorted(frame.loc[frame["system"] == system, "support"].unique())
    at = at if at in sizes else sizes[-1]
    grown = ", ".join(f"{table[system, size]:.2f} with {size}" for size in sizes)
    above = gap(frame[frame["support"] == at], "system", system, "nearest_copy")
    return (
        f"{TITLES[system]}: Dice {grown}. Above the nearest copy with {at} examples: "
        f"{signed(above)}."
    )


def exchange_sentence(frame: pd.DataFrame, system: str = "universeg") -> str:
    """Say what another structure's support does to Dice."""
    if frame.empty:
        return missing("exchange")
    own = frame[frame["system"] == system]
    lost = bootstrap_mean((own["own"] - own["exchanged"]).groupby([own[c] for c in TASK]).mean(), 0)
    return (
        f"{TITLES[system]}: Dice {own['own'].mean():.2f} with its own support, "
        f"{own['exchanged'].mean():.2f} with another structure's; lost: {signed(lost)}."
    )


def ensemble_sentence(frame: pd.DataFrame) -> str:
    """Say what averaging over supports gains, and whether variance knows of errors."""
    if frame.empty:
        return missing("ensemble")
    most = int(frame["members"].max())
    rows = frame[frame["members"] == most]
    tied = rows["dice"].corr(rows["variance"], method="spearman")
    return (
        f"{most} members against 1: {signed(gap(frame, 'members', most, 1))}. Variance and Dice "
        f"of a query: rank correlation {tied:+.2f} over {len(rows)} queries."
    )


def selection_sentence(frame: pd.DataFrame) -> str:
    """Say what choosing the examples gains over drawing them, at each support size."""
    if frame.empty:
        return missing("selection")
    lines = []
    for size, part in frame.groupby("support"):
        others = [how for how in ("nearest", "diverse") if how in set(part["how"])]
        said = ", ".join(f"{how} {signed(gap(part, 'how', how, 'random'))}" for how in others)
        lines.append(f"support {size}, above random: {said}")
    return "\n".join(lines)


def specific_sentence(frame: pd.DataFrame) -> str:
    """Say how a network in context stands to one trained on the very support."""
    if frame.empty:
        return missing("specific")
    seconds = frame.loc[frame["system"] == "unet", "seconds"].mean()
    found = gap(frame, "system", "universeg", "unet")
    return (
        f"UniverSeg minus a U-Net trained on the same {int(frame['support'].max())} examples for "
        f"{seconds:.0f} s each: {signed(found)}."
    )


def real_table(frame: pd.DataFrame, *, least_ml: float = HEADLINE_ML) -> pd.DataFrame:
    """Return Dice on the real volumes: a row per volume and structure, a column per way and system.

    Args:
        frame: Of real.json.
        least_ml: Smaller structures are left out.
    """
    if frame.empty:
        return frame
    own = frame[frame["ml"] >= least_ml]
    own = own.assign(ml=own["ml"].round().astype(int))
    table = own.assign(system=own["system"].map(lambda name: TITLES.get(name, name))).pivot_table(
        index=["volume", "structure", "ml", "seen"], columns=["way", "system"], values="dice"
    )
    return table.sort_index(level=["volume", "ml"], ascending=[True, False])


def forms_table(path: Path) -> pd.DataFrame:
    """Return the published and the fast form, from a result of benchmarks/in_context.

    Returns:
        A row per system and support: GMAC, CPU seconds and extra MB of both forms with their
        ratio; empty where the file is missing.
    """
    if not path.exists():
        return pd.DataFrame()
    rows = {}
    for name, forms in read_json(path)["passes"].items():
        row: dict[tuple[str, str], float] = {}
        for kind, title in {"gmac": "GMAC", "cpu": "CPU s", "extra_mb": "extra MB"}.items():
            published, fast = forms["published"][kind], forms["fast"][kind]
            row |= {(title, "published"): published, (title, "fast"): fast}
            row[title, "ratio"] = published / max(fast, 1e-9)
        rows[name.replace("_", ", S = ")] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    return table


def queries_sentence(path: Path) -> str:
    """Say what a remembered support saves for repeated queries, from the same result."""
    if not path.exists():
        return "no timing in this checkout; python benchmarks/in_context/run.py makes it"
    found = read_json(path)
    fresh, kept = (found["repeated"][form]["cpu"] for form in ("fresh", "remembered"))
    return (
        f"{found['queries']} queries on one support: {fresh:.2f} CPU seconds, "
        f"{kept:.2f} with the support remembered ({fresh / kept:.2f} times as fast)."
    )
