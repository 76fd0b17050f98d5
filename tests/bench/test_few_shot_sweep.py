"""The tables as sweeps: cells as jobs, and work that can be sent to another process."""

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import ANY

import pytest

from fmtutor.bench import few_shot_sweep
from fmtutor.bench.few_shot_grid import TABLES, cells_of, setting_of
from fmtutor.bench.few_shot_sweep import (
    check_name,
    chosen_cells,
    config_of,
    jobs_of,
    work_of,
)
from fmtutor.bench.sweep import check_names
from fmtutor.core.files import read_json, write_json


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("profile", ["quick", "gpu", "paper"])
def test_all_cells_of_a_table_are_jobs_with_names_of_their_own(table, profile, tmp_path):
    check_name(table)
    cells = chosen_cells(table, profile)
    assert cells == cells_of(table, profile)
    check_names(jobs_of(cells))
    write_json(tmp_path / "config.json", config_of(table, profile))
    assert read_json(tmp_path / "config.json") == config_of(table, profile)


def test_the_work_of_a_cell_can_be_sent_and_gets_the_cell_back(monkeypatch):
    stand_in = SimpleNamespace(run_cell=lambda *given: {"given": given})
    monkeypatch.setitem(sys.modules, "fmtutor.bench.few_shot_cell", stand_in)
    setting, cell = setting_of("fseft-known", "quick"), cells_of("fseft-known", "quick")[0]
    work = pickle.loads(pickle.dumps(work_of(setting, Path("data"))))
    (job,) = jobs_of([cell])
    assert job.name == cell.name
    assert work(job.payload) == {"given": (cell, setting, Path("data"), None), "base_sha256": ANY}


def test_a_cell_of_a_replaced_base_is_another_job(monkeypatch):
    cell = cells_of("fseft-known", "quick")[0]
    (before,) = jobs_of([cell])
    monkeypatch.setattr(few_shot_sweep, "base_sha256", lambda base, kind: "another")
    (after,) = jobs_of([cell])
    assert before.name == after.name
    assert before.payload != after.payload


def test_rows_are_chosen_by_label_whatever_the_case_of_its_letters():
    chosen = chosen_cells("fseft-known", "quick", rows=["lora", "Linear Probe"], seeds=[1])
    assert {cell.label for cell in chosen} == {"LoRA", "Linear Probe"}
    assert {cell.seed for cell in chosen} == {1}
    assert {cell.kind for cell in chosen} == {"swin", "unet"}
