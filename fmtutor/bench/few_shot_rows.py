"""The rows and columns of the few-shot tables, and the talk's values for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmtutor.bench.few_shot_grid import FAMILIES, Cell
from fmtutor.bench.few_shot_tasks import FLARE22
from fmtutor.bench.talk_tables import TalkTable, load_table

AVERAGE = "Avg."
PUBLISHED = {
    ("fseft-known", "swin"): "fseft_known_swin",
    ("fseft-known", "unet"): "fseft_known_unet",
    ("fseft-novel", "swin"): "fseft_novel",
}
"""Our table and backbone to the talk's table."""
ROW = ["kind", "shots", "label", "preset"]
"""What makes a row of the summary, with ``column`` its key."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row of a table and all of its cells."""

    table: str
    kind: str
    shots: int
    label: str
    preset: str
    cells: tuple[Cell, ...]
    published: Mapping[str, float]
    """Column to the talk's value, in percent; empty where the talk has no such row."""

    def keys(self) -> dict[str, Any]:
        """Return what identifies the row."""
        return {name: getattr(self, name) for name in ROW}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a row."""

    name: str
    """Its heading."""
    cells: tuple[Cell, ...]
    """Those whose scores it shows."""
    classes: frozenset[str]
    """Of these scores."""


def rows_of(cells: Sequence[Cell]) -> list[TableRow]:
    """Return the rows that cells make: per backbone and shots, in the talk's order, then ours.

    A corrected row follows its faithful one. Zero-shot needs no support: it is in all tables.
    """
    rows = []
    for table, kind, shots in sorted({(c.table, c.kind, c.shots) for c in cells}):
        here = [c for c in cells if (c.table, c.kind) == (table, kind)]
        here = [c for c in here if c.shots == shots or c.method == "zero_shot"]
        published = published_rows(table, kind, shots)
        labels = list(dict.fromkeys([*published, *(c.label for c in here)]))
        names = {(labels.index(c.label), c.preset != "faithful", c.preset) for c in here}
        for number, _, preset in sorted(names):
            label = labels[number]
            own = tuple(c for c in here if (c.label, c.preset) == (label, preset))
            rows.append(
                TableRow(
                    table=table, kind=kind, shots=shots, label=label, preset=preset, cells=own,
                    published=published.get(label, {}),
                )
            )  # fmt: skip
    return rows


def published_rows(table: str, kind: str, shots: int) -> dict[str, dict[str, float]]:
    """Return the talk's rows, known slips put right: method to column to percent."""
    if (table, kind) not in PUBLISHED:
        return {}
    talk = load_table(PUBLISHED[table, kind])
    records = talk.frame(corrected=True).to_dict("records")
    if any(column.name == "Shots" for column in talk.columns):
        records = [record for record in records if record["Shots"] == f"{shots}-shot"]
    elif shots != 5:
        return {}
    return {str(record["Method"]): _values(talk, record) for record in records}


def column_of(cell: Cell) -> str:
    """Return the heading that a cell counts under: the talk's, else its structure's name."""
    for family, structures in FAMILIES.items() if cell.table == "fseft-novel" else ():
        if cell.structure in structures:
            return family
    name = PUBLISHED.get((cell.table, cell.kind))
    for column in load_table(name).columns if name else ():
        if column.structure == cell.structure:
            return column.name
    return cell.structure


def columns_of(cells: Sequence[Cell], classes: Sequence[str]) -> list[Column]:
    """Group the cells of one row by column, in the talk's order.

    Args:
        cells: Of the row.
        classes: Of the scores that are there. The multi-class task has a column for each of them.
    """
    if cells[0].structure == FLARE22 and classes:
        return [
            Column(name=name, cells=tuple(cells), classes=frozenset({name})) for name in classes
        ]
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        grouped.setdefault(column_of(cell), []).append(cell)
    name = PUBLISHED.get((cells[0].table, cells[0].kind))
    order = [column.name for column in load_table(name).columns] if name else []
    known = [name for name in order if name in grouped]
    return [
        Column(
            name=name, cells=tuple(grouped[name]),
            classes=frozenset(cell.structure for cell in grouped[name]),
        )
        for name in (*known, *(n for n in grouped if n not in known))
    ]  # fmt: skip


def published_average(published: Mapping[str, float], columns: Sequence[str]) -> float:
    """Return the talk's average over some columns: the printed one, where it is over all of them.

    NaN where a column, or the row, is not the talk's.
    """
    if set(columns) == set(published) - {AVERAGE}:
        return published[AVERAGE] if published else float("nan")
    values = [published.get(name, np.nan) for name in columns]
    return float(np.mean(values)) if values else float("nan")


def _values(talk: TalkTable, record: Mapping[str, Any]) -> dict[str, float]:
    kinds = {column.name: column.kind for column in talk.columns}
    return {name: v for name, v in record.items() if kinds[name] in ("value", "average")}
