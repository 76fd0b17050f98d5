"""The few-shot tables as sweeps: which cells, under which configuration, done how."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fmtutor.bench.few_shot_bases import Bases, base_sha256
from fmtutor.bench.few_shot_grid import TABLES, Cell, Setting, cells_of, setting_of
from fmtutor.bench.few_shot_results import read_config
from fmtutor.bench.few_shot_rows import PUBLISHED
from fmtutor.bench.rehearsal import Cut
from fmtutor.bench.sweep import Job, Work
from fmtutor.bench.talk_tables import table_names
from fmtutor.core.configs import to_dict
from fmtutor.core.tables import lookup, unknown_name

BASE = "base_sha256"
"""What a cell's job and result call the hash of the weights that it began from."""
PART_OF = {talk: (table, kind) for (table, kind), talk in PUBLISHED.items()}


def check_name(name: str) -> None:
    """Raise ValueError for a table that nothing here runs, saying what to ask for."""
    if name in PART_OF:
        table, kind = PART_OF[name]
        raise ValueError(f"{name} is made as a part of {table}; ask for {table} --kinds {kind}.")
    if name in table_names():
        raise ValueError(
            f"no runner yet for {name}, whose printed values fmtutor.bench.talk_tables has; these "
            f"run: {', '.join(TABLES)}."
        )
    if name not in TABLES:
        raise unknown_name(name, (*TABLES, *(set(table_names()) - set(PART_OF))), "table")


def config_of(table: str, profile: str, cut: Cut | None = None) -> dict[str, Any]:
    """Return what a folder of results is bound to; a rehearsal's is another one."""
    setting = (cut or Cut()).setting(setting_of(table, profile))
    return {"table": table, "profile": profile, "setting": to_dict(setting)}


def check_results(path: Path, table: str, profile: str) -> None:
    """Raise ValueError where a folder or a collected file is of another table or profile."""
    there = read_config(path)
    for name, wanted in (("table", table), ("profile", profile)) if there else ():
        if there.get(name) != wanted:
            raise ValueError(
                f"{path} holds results of {name} {there.get(name)}, asked for {wanted}; name "
                "another with --out."
            )


def chosen_cells(
    table: str,
    profile: str,
    *,
    rows: Sequence[str] = (),
    seeds: Sequence[int] = (),
    kinds: Sequence[str] = (),
    structures: Sequence[str] = (),
) -> tuple[Cell, ...]:
    """Return the cells of a table, or of some rows, seeds, backbones and structures of it.

    None of a kind means all of it.

    Raises:
        ValueError: The table has no such row, seed, backbone or structure, or none of all together.
    """
    cells = cells_of(table, profile)
    labels = {cell.label.lower(): cell.label for cell in cells}
    wanted = {lookup(labels, row.lower(), "row") for row in rows}
    for kind in kinds:
        lookup(dict.fromkeys(cell.kind for cell in cells), kind, "backbone")
    for structure in structures:
        lookup(dict.fromkeys(cell.structure for cell in cells), structure, f"structure of {table}")
    there = sorted({cell.seed for cell in cells})
    if odd := sorted(set(seeds) - set(there)):
        raise ValueError(f"seeds of {table} are {there}, got {odd}.")
    chosen = tuple(
        cell
        for cell in cells
        if (not rows or cell.label in wanted)
        and (not seeds or cell.seed in seeds)
        and (not kinds or cell.kind in kinds)
        and (not structures or cell.structure in structures)
    )
    if not chosen:
        raise ValueError(
            f"{table} has no cell of these rows, seeds, backbones and structures together; leave "
            "one of the options out."
        )
    return chosen


def jobs_of(cells: Sequence[Cell], weights: Bases | None = None) -> list[Job]:
    """Return cells as jobs of a sweep; a cell whose base was replaced is another job.

    Args:
        cells: Of one table.
        weights: Where bases come from; None takes the shipped ones.
    """
    begun = {(cell.base, cell.kind): cell for cell in cells}
    hashes = {key: _sha256_of_base(cell, weights) for key, cell in begun.items()}  # each file once
    return [
        Job(name=cell.name, payload={**to_dict(cell), BASE: hashes[cell.base, cell.kind]})
        for cell in cells
    ]


def _sha256_of_base(cell: Cell, weights: Bases | None) -> str:
    return base_sha256(cell.base, cell.kind) if weights is None else weights.sha256(cell)


def work_of(setting: Setting, data: Path | None, weights: Bases | None = None) -> Work:
    """Return what turns a job's payload into its result, in any process."""
    return partial(run_payload, setting=setting, data=data, weights=weights)


def run_payload(
    payload: dict[str, Any], *, setting: Setting, data: Path | None, weights: Bases | None
) -> dict[str, Any]:
    """Run one cell."""
    from fmtutor.bench.few_shot_cell import run_cell

    cell = Cell(**{name: value for name, value in payload.items() if name != BASE})
    return {**run_cell(cell, setting, data, weights), BASE: payload[BASE]}
