"""The numeric tables of the talk as data, with their sources, printed averages and known slips.

One YAML file per table lies in ``bench/tables``. Values are as printed; what is known to be wrong
is listed under ``slips`` with the right value and the reason, and `check_averages` recomputes every
printed average from its row, so a slip in our own typing does not survive the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

from fmtutor.core.tables import lookup, unknown_name

_FOLDER = files("fmtutor.bench") / "tables"
_KINDS = ("label", "text", "value", "average")
Cell = str | float | int | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a printed table."""

    name: str
    """Heading."""
    kind: str
    """"label" (identifies the row), "text", "value" or "average"."""
    unit: str = ""
    """Unit of the numbers, in words."""
    decimals: int = 0
    """Digits printed after the point."""
    structure: str = ""
    """Canonical structure the column is about, where it is one."""


@dataclass(frozen=True, kw_only=True)
class AverageRule:
    """How a printed average follows from its row."""

    column: str
    """The column that holds the average."""
    of: tuple[str, ...]
    """The columns it averages."""
    weights: tuple[float, ...] = ()
    """Weights of those columns, summing to 1; none means the plain mean."""
    tolerance: float | None = None
    """Allowed difference; None means what rounding of the average and of its terms explains."""


@dataclass(frozen=True, kw_only=True)
class Slip:
    """A printed number known to be wrong."""

    row: tuple[str, ...]
    """Labels of the row."""
    column: str
    """Heading of the column."""
    corrected: float | int
    """What it should be."""
    why: str
    """How that is known."""


@dataclass(frozen=True, kw_only=True)
class AverageCheck:
    """One printed average beside the recomputed one."""

    row: tuple[str, ...]
    column: str
    printed: float
    computed: float
    agrees: bool
    """Whether the difference is within rounding."""
    listed: bool
    """Whether the table lists the printed value as a slip."""

    @property
    def sound(self) -> bool:
        """Either it agrees, or it is listed as a slip; a listed slip that agrees is none."""
        return self.agrees != self.listed


@dataclass(frozen=True, kw_only=True)
class TalkTable:
    """One table of the talk, as printed."""

    name: str
    title: str
    slide: str
    """Heading of the slide it stands on."""
    source: str
    """The paper the talk took it from."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    averages: tuple[AverageRule, ...] = ()
    slips: tuple[Slip, ...] = ()
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """Return a column by its heading."""
        return lookup({column.name: column for column in self.columns}, name, "column")

    def labels(self, row: tuple[Cell, ...]) -> tuple[str, ...]:
        """Return what identifies a row: its cells in the label columns."""
        return tuple(
            str(c) for c, column in zip(row, self.columns, strict=True) if column.kind == "label"
        )

    def record(self, row: tuple[Cell, ...]) -> dict[str, Any]:
        """Return a row as heading to cell."""
        return {column.name: cell for cell, column in zip(row, self.columns, strict=True)}

    def frame(self, *, corrected: bool = False) -> pd.DataFrame:
        """Return the table as a data frame; an empty cell is NaN.

        Args:
            corrected: Whether known slips are put right.
        """
        records = [self.record(row) for row in self.rows]
        for slip in self.slips if corrected else ():
            keys = [self.labels(row) for row in self.rows]
            records[keys.index(slip.row)][slip.column] = slip.corrected
        return pd.DataFrame(records, columns=[column.name for column in self.columns])


@cache
def table_names() -> tuple[str, ...]:
    """Return the names of all tables."""
    names = (path.name for path in _FOLDER.iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml")))


@cache
def load_table(name: str) -> TalkTable:
    """Return one table of the talk, checked.

    Raises:
        ValueError: There is no such table, or its file breaks a rule.
    """
    if name not in table_names():
        raise unknown_name(name, table_names(), "table")
    return parse_table(name, yaml.safe_load((_FOLDER / f"{name}.yaml").read_text("utf-8")))


def parse_table(name: str, raw: Mapping[str, Any]) -> TalkTable:
    """Build a table from the content of its file.

    Raises:
        ValueError: A row has the wrong length or a cell the wrong type, a slip names no single row
            or corrects nothing, an average names no column.
    """
    table = TalkTable(
        name=name,
        title=raw["title"],
        slide=raw["slide"],
        source=raw["source"],
        columns=tuple(Column(**column) for column in raw["columns"]),
        rows=tuple(tuple(row) for row in raw["rows"]),
        averages=tuple(AverageRule(**_tuples(rule)) for rule in raw.get("averages", ())),
        slips=tuple(Slip(**_tuples(slip)) for slip in raw.get("slips", ())),
        notes=tuple(raw.get("notes", ())),
    )
    _check_cells(table)
    _check_slips(table)
    for rule in table.averages:
        for heading in (rule.column, *rule.of):
            table.column(heading)
        if rule.weights and (
            len(rule.weights) != len(rule.of) or abs(sum(rule.weights) - 1) > 1e-6
        ):
            raise ValueError(
                f"table {name!r}: weights must be one per column and sum to 1: {rule}."
            )
    return table


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def _check_cells(table: TalkTable) -> None:
    if wrong := [column for column in table.columns if column.kind not in _KINDS]:
        raise ValueError(f"table {table.name!r}: a column's kind is one of {_KINDS}, got {wrong}.")
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(
                f"table {table.name!r}: rows have {len(table.columns)} cells, got {len(row)}: {row}"
            )
        for cell, column in zip(row, table.columns, strict=True):
            fits = isinstance(cell, str if column.kind in ("label", "text") else int | float | None)
            if not fits or isinstance(cell, bool):
                raise ValueError(
                    f"table {table.name!r}: {cell!r} does not fit column {column.name!r}."
                )


def _check_slips(table: TalkTable) -> None:
    for slip in table.slips:
        rows = [row for row in table.rows if table.labels(row) == slip.row]
        if len(rows) != 1:
            raise ValueError(
                f"table {table.name!r}: a slip names one row, {slip.row} fits {len(rows)}."
            )
        table.column(slip.column)
        if table.record(rows[0])[slip.column] == slip.corrected:
            raise ValueError(
                f"table {table.name!r}: the slip {slip.row}, {slip.column!r} prints the right "
                f"value {slip.corrected}; drop the slip."
            )


def check_averages(table: TalkTable) -> tuple[AverageCheck, ...]:
    """Recompute every printed average of a table from its own row.

    Numbers are printed rounded, so with d decimals the average may be off by half a unit of the
    last digit, and each of its terms by as much: together one unit, 10**-d.

    Returns:
        One check per average; every one must be `sound`.
    """
    slips = {(slip.row, slip.column) for slip in table.slips}
    checks = []
    for rule in table.averages:
        column = table.column(rule.column)
        tolerance = rule.tolerance
        if tolerance is None:
            digits = [column.decimals, min(table.column(name).decimals for name in rule.of)]
            tolerance = sum(0.5 * 10.0**-d for d in digits)
        for row in table.rows:
            labels, record = table.labels(row), table.record(row)
            terms = [record[name] for name in rule.of]
            if record[rule.column] is None or None in terms:
                continue
            computed = _average(terms, rule.weights)
            checks.append(
                AverageCheck(
                    row=labels,
                    column=rule.column,
                    printed=record[rule.column],
                    computed=computed,
                    agrees=abs(computed - record[rule.column]) <= tolerance + 1e-9,
                    listed=(labels, rule.column) in slips,
                )
            )
    return tuple(checks)


def _average(terms: list[float], weights: tuple[float, ...]) -> float:
    if not weights:
        return sum(terms) / len(terms)
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))
