"""The few-shot tables of the talk, ours beside the published ones, from the results of cells.

    Dice of a row and column = mean over test cases, then structures, then seeds, in percent

with Dice as published, 2 |P ∩ G| / (|P| + |G| + 1). The spread is the standard deviation over
seeds; the interval is a bootstrap over test cases. What is incomplete is marked with how many of
its cells are there, and an incomplete row has no average and no rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from fmtutor.bench.few_shot_grid import Cell
from fmtutor.bench.few_shot_results import (
    CELL_COLUMNS,
    CLASS,
    cells_frame,
    read_results,
    scores_frame,
)
from fmtutor.bench.few_shot_rows import (
    AVERAGE,
    Column,
    TableRow,
    columns_of,
    published_average,
    rows_of,
)
from fmtutor.engine.metrics import bootstrap_mean

DICE = "dice_plus_one"
FEWEST_RANKS = 3
UNKNOWN = "—"


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """How far two orders of the same rows agree."""

    rho: float
    """Spearman's correlation; NaN where it is undefined."""
    rows: int
    """Complete rows that have a published value."""


def results_frame(path: Path) -> pd.DataFrame:
    """Return the results of a folder or of a collected file, one line per cell and scored case."""
    return scores_frame(read_results(path))


def summary(
    results: Sequence[Mapping[str, Any]],
    cells: Sequence[Cell],
    *,
    where: str = "test",
    dice: str = DICE,
) -> pd.DataFrame:
    """Return a table in long form: one line per row and column, ``Avg.`` the last of a row.

    Args:
        results: Of `fmtutor.bench.few_shot_results.read_results`; those of other cells are left
            out.
        cells: What the table is made of: all of them are needed for a complete one.
        where: "test", or "real" for the real volumes.
        dice: ``dice_plus_one`` (as published) or ``dice``.

    Returns:
        ``kind``, ``shots``, ``label``, ``preset``, ``column``; ``mean``, ``sd``, ``low``, ``high``
        and ``published`` in percent; ``there`` and ``needed`` in cells; ``complete``, and then
        what costs: ``trained`` parameters, ``train_seconds`` (median), ``peak_mb`` (highest).
    """
    scores, done = _keyed(scores_frame(results)), _keyed(cells_frame(results))
    scores = scores[scores["where"] == where].assign(value=lambda frame: 100 * frame[dice])
    classes = tuple(dict.fromkeys(scores[CLASS]))
    lines: list[dict[str, Any]] = []
    for row in rows_of(cells):
        wanted = {_key(vars(cell)) for cell in row.cells}
        found, ran = scores[scores["key"].isin(wanted)], done[done["key"].isin(wanted)]
        shared = {**row.keys(), **_costs(ran)}
        columns = columns_of(row.cells, classes)
        values = [{**shared, **_column(row, column, found, ran)} for column in columns]
        lines += [*values, {**shared, **_average(row, columns, values, found)}]
    return pd.DataFrame(lines)


def rank_correlation(frame: pd.DataFrame, *, kind: str, shots: int) -> Ranks:
    """Compare the order of the complete faithful rows with the published one, by their averages."""
    rows = frame[(frame["kind"] == kind) & (frame["shots"] == shots)]
    rows = rows[(rows["column"] == AVERAGE) & (rows["preset"] == "faithful")]
    rows = rows.dropna(subset=["mean", "published"])
    ours, theirs = rows["mean"].to_numpy(float), rows["published"].to_numpy(float)
    if len(rows) < FEWEST_RANKS or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return Ranks(rho=float("nan"), rows=len(rows))
    return Ranks(rho=float(spearmanr(ours, theirs).statistic), rows=len(rows))


def markdown(frame: pd.DataFrame) -> str:
    """Return a summary as Markdown: one table per backbone and shots, with its rank correlation."""
    texts = []
    for (kind, shots), rows in frame.groupby(["kind", "shots"], sort=False):
        names = list(dict.fromkeys(rows["column"]))
        head = ["Method", *names, "trained", "train s", "MB"]
        lines = [_text(head), _text(["---", *["---:"] * (len(head) - 1)])]
        for (label, preset), row in rows.groupby(["label", "preset"], sort=False):
            title = label if preset == "faithful" else f"{label}, {preset}"
            values = [_value(line) for line in row.to_dict("records")]
            lines.append(_text([title, *values, *_cost_texts(row.iloc[0])]))
        lines += ["", _rank_text(rank_correlation(rows, kind=kind, shots=shots))]
        texts.append("\n".join([f"### {kind}, {shots}-shot", "", *lines]))
    return "\n\n".join(texts)


def report(results: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> str:
    """Return the tables of the test cases and, where they were scored, of the real volumes."""
    parts = [markdown(summary(results, cells))]
    if any(score["where"] == "real" for result in results for score in result["scores"]):
        real = summary(results, cells, where="real")
        parts += ["## The same on real volumes", markdown(real)]
    seeds = ", ".join(str(seed) for seed in sorted({cell.seed for cell in cells}))
    return "\n\n".join([f"## {cells[0].table}, seeds {seeds}", *parts, LEGEND])


LEGEND = (
    "Dice in percent, ours (the talk's): mean over test cases, then structures, then seeds; Avg. "
    "with ± the standard deviation over seeds and the 95 % bootstrap interval over test cases. "
    '"2 of 3" counts the cells that are there: such a row is not complete and has no average. '
    "The talk's average is over the columns shown."
)


def _keyed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(key=[_key(record) for record in frame.to_dict("records")])


def _key(record: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return what tells a cell from every other; its label is only a name."""
    return tuple(record[name] for name in CELL_COLUMNS)


def _column(
    row: TableRow, column: Column, found: pd.DataFrame, ran: pd.DataFrame
) -> dict[str, Any]:
    part = found[found[CLASS].isin(column.classes)]
    there = int(ran["structure"].isin({cell.structure for cell in column.cells}).sum())
    return {
        "column": column.name, **_statistics(_by_seed(part), part),
        "published": row.published.get(column.name, np.nan),
        "there": there, "needed": len(column.cells), "complete": there == len(column.cells),
    }  # fmt: skip


def _average(
    row: TableRow,
    columns: Sequence[Column],
    values: Sequence[Mapping[str, Any]],
    found: pd.DataFrame,
) -> dict[str, Any]:
    """Average the columns of a complete row that have a value; an incomplete one has none.

    The interval needs the same test cases in all columns: a case's value is its mean over them.
    """
    counts = {column.cells: value["there"] for column, value in zip(columns, values, strict=True)}
    there, needed = sum(counts.values()), len(row.cells)
    used = [value["column"] for value in values if not np.isnan(value["mean"])]
    shared = {
        "column": AVERAGE, "published": published_average(row.published, used),
        "there": there, "needed": needed, "complete": there == needed,
    }  # fmt: skip
    if there < needed or not used:
        return {**shared, **dict.fromkeys(("mean", "sd", "low", "high"), np.nan)}
    parts = [found[found[CLASS].isin(column.classes)] for column in columns if column.name in used]
    seeds = pd.concat([_by_seed(part) for part in parts], axis=1).mean(axis=1)
    same = len({frozenset(part["case"]) for part in parts}) == 1
    return {**shared, **_statistics(seeds, pd.concat(parts) if same else found[:0])}


def _by_seed(part: pd.DataFrame) -> pd.Series:
    """Return the mean of each seed: over cases, then over classes."""
    return part.groupby(["seed", CLASS])["value"].mean().groupby("seed").mean()


def _statistics(seeds: pd.Series, part: pd.DataFrame) -> dict[str, float]:
    """Return mean and spread over seeds, and the interval over cases."""
    cases = part.groupby("case")["value"].mean().dropna()
    low, high = np.nan, np.nan
    if len(cases) > 1:
        interval = bootstrap_mean(cases, seed=0)
        low, high = interval.low, interval.high
    spread = float(seeds.std(ddof=1)) if len(seeds) > 1 else np.nan
    mean = float(seeds.mean()) if len(seeds) else np.nan
    return {"mean": mean, "sd": spread, "low": low, "high": high}


def _costs(ran: pd.DataFrame) -> dict[str, float]:
    numbers = {
        name: pd.to_numeric(ran[name]) for name in ("parameters", "train_seconds", "peak_mb")
    }
    return {
        "trained": float(numbers["parameters"].max()),
        "train_seconds": float(numbers["train_seconds"].median()),
        "peak_mb": float(numbers["peak_mb"].max()),
    }


def _value(line: Mapping[Any, Any]) -> str:
    """Write one value: ours, what is missing of it, the talk's."""
    average, published = line["column"] == AVERAGE, line["published"]
    ours = UNKNOWN if np.isnan(line["mean"]) else f"{line['mean']:.1f}"
    if average and not np.isnan(line["sd"]):
        ours += f" ± {line['sd']:.1f}"
    if average and not np.isnan(line["low"]):
        ours += f" [{line['low']:.1f}, {line['high']:.1f}]"
    if not line["complete"]:
        ours = f"{line['there']} of {line['needed']}" + ("" if ours == UNKNOWN else f": {ours}")
    return ours if np.isnan(published) else f"{ours} ({published:.1f})"


def _cost_texts(line: pd.Series) -> list[str]:
    formats = {"trained": ",.0f", "train_seconds": ".1f", "peak_mb": ".0f"}
    return [
        UNKNOWN if np.isnan(line[name]) else format(line[name], how)
        for name, how in formats.items()
    ]


def _rank_text(ranks: Ranks) -> str:
    value = "undefined" if np.isnan(ranks.rho) else f"{ranks.rho:.2f}"
    return f"Spearman's rank correlation with the talk's order: {value} (n = {ranks.rows} rows)"


def _text(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
