"""The benchmark of annotation: what it keeps, and what it does not run again."""

from dataclasses import replace

import pytest

from benchmarks.annotation import run
from fmtutor.bench.annotation_results import COLUMNS, PARTS, results_frame
from fmtutor.core.files import read_json
from fmtutor.engine.session import Session
from tests.bench.annotators import ByIntensity, bright_ball

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


@pytest.mark.parametrize("name", ["crowd", "volumes", "clicks"])
def test_a_part_is_answered_and_each_of_its_files_can_be_read(name, monkeypatch, tmp_path, capsys):
    balls = lambda centre, first, count, *, whole: [  # noqa: E731
        bright_ball(first + number) for number in range(count)
    ]
    around = {"size": 24, "spacing_mm": 3.0, "roi": "auto_zoom"}
    monkeypatch.setattr(run, "Session", lambda model, case: Session(model, case, **around))
    monkeypatch.setattr(run.people, "patients", balls)
    monkeypatch.setattr(run, "load_shipped", lambda model: (ByIntensity(), {}))
    monkeypatch.setattr(run, "sha256_of", lambda path: "1")
    monkeypatch.setattr(run, "shipped", lambda: {"bright": "path"})
    models = ["bright"] if run.PARTS[name].models else []
    run.answered(name, models, replace(run.SHORT, steps=2, round_steps=2), tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(run.PARTS[name].files)
    said = capsys.readouterr().out
    for file in run.PARTS[name].files:
        assert len(results_frame(tmp_path, file))
        assert f"ratio {file}_" in said
