"""The benchmark of annotation: what it keeps, and what it does not run again."""

from dataclasses import replace

import pytest

from benchmarks.annotation import run
from fmtutor.bench.annotation_results import COLUMNS, PARTS, results_frame
from fmtutor.core.files import read_json

ROW = {"structure": "hip_left", "axis": "axial", "seed": 0, "start": "growing", "image": 1,
       "clicks": 2, "before": 0.5, "dice": 0.9}  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """Count how often the part "context" is computed, on no network at all."""
    sizes = []

    def compute(size):
        sizes.append(size)
        return {"context": [ROW]}

    part = replace(run.PARTS["context"], compute=compute)
    monkeypatch.setitem(run.PARTS, "context", part)
    return sizes


def test_a_part_writes_its_result_with_all_that_it_depends_on(asked, tmp_path, capsys):
    run.answered("context", [], run.SHORT, tmp_path)
    result = read_json(tmp_path / "context.json")
    assert set(result["size"]) == {"images", "tasks", "orders"}
    assert {"costs", "models", "seconds", "machine"} <= set(result)
    assert len(results_frame(tmp_path, "context")) == len(asked) == 1
    assert "ratio context_growing 2.000" in capsys.readouterr().out


def test_a_part_that_is_there_is_not_run_again_unless_its_size_changes(asked, tmp_path, capsys):
    for size in (run.SHORT, run.SHORT, replace(run.SHORT, clicks=9), replace(run.SHORT, images=9)):
        run.answered("context", [], size, tmp_path)
    assert [size.images for size in asked] == [run.SHORT.images, 9]
    assert capsys.readouterr().out.count("there already") == 2


def test_every_result_belongs_to_a_part_and_every_claim_has_three_seeds():
    assert {file: name for name, part in run.PARTS.items() for file in part.files} == PARTS
    assert set(PARTS) == set(COLUMNS)
    assert run.Size().seeds >= 3
