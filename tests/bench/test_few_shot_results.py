"""Results of cells: a folder and the one file collected from it say the same."""

import math

import pytest

from fmtutor.bench.few_shot_grid import cells_of, setting_of
from fmtutor.bench.few_shot_results import (
    cells_frame,
    collect,
    read_config,
    read_results,
    restore,
    scores_frame,
    thinned,
)
from fmtutor.bench.few_shot_sweep import config_of, jobs_of, work_of
from fmtutor.bench.sweep import Serial, sweep, tasks_of
from fmtutor.core.files import read_json, write_json
from tests.bench.few_shot_cells import CASES, result_of

CELLS = cells_of("fseft-known", "quick")[:4]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "known-quick"
    write_json(path / "sweep.json", config_of("fseft-known", "quick"))
    for number, cell in enumerate(CELLS):
        result = result_of(cell, 0.5 + number / 30, machine="one" if number < 3 else "two")
        write_json(path / f"{cell.name}.json", {**result, "fingerprint": str(number)})
    return path


def test_a_collected_file_gives_the_frames_of_its_folder(folder, tmp_path):
    file = tmp_path / "all.json"
    assert collect(folder, file) == 4
    before, after = read_results(folder), read_results(file)
    assert scores_frame(after).round(4).equals(scores_frame(before).round(4))
    assert cells_frame(after).equals(cells_frame(before))
    assert read_config(file) == read_config(folder) == config_of("fseft-known", "quick")
    assert [r["machine"] for r in after] == [r["machine"] for r in before]
    assert after[0]["setting"] == before[0]["setting"]


def test_a_collected_file_is_small_and_has_a_line_for_each_cell(folder, tmp_path):
    file = tmp_path / "all.json"
    collect(folder, file)
    content = read_json(file)
    assert [len(row["loss"]) for row in content["rows"]] == [10] * 4
    assert sorted(machine["processor"] for machine in content["machines"]) == ["one", "two"]
    lines = file.read_text().splitlines()
    assert sum(line.startswith('{"cell"') or '"cell":' in line for line in lines) == 4
    assert max(map(len, lines)) < 1200
    assert file.stat().st_size < sum(p.stat().st_size for p in folder.iterdir()) / 3


def test_a_damaged_or_foreign_file_is_no_result(folder):
    (folder / "broken.json").write_text('{"cell": ')
    write_json(folder / "other.json", {"a": 1})
    assert len(read_results(folder)) == 4


def test_what_is_no_collected_file_is_refused(tmp_path):
    write_json(tmp_path / "x.json", {"rows": []})
    with pytest.raises(ValueError, match="write it with `fmtutor table NAME --collect FILE`"):
        read_results(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError):
        read_results(tmp_path / "none.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no finished cell"):
        collect(tmp_path / "empty", tmp_path / "y.json")
    assert not (tmp_path / "y.json").exists()


def test_the_long_frame_names_row_and_family_and_repeats_the_costs():
    result = result_of(CELLS[0], 0.5)
    result["scores"][1]["dice"] = None
    frame = scores_frame([result])
    assert list(frame["case"]) == list(CASES)
    assert set(frame["row"]) == {CELLS[0].label}
    assert set(frame["family"]) == {"additive"}
    assert set(frame["train_seconds"]) == {10.0}
    assert math.isnan(frame["dice"][1])
    assert scores_frame([]).empty


def test_thinning_keeps_both_ends():
    assert thinned([float(n) for n in range(100)]) == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert thinned([0.1234567]) == [0.12346]


def test_a_sweep_goes_on_from_a_collected_file(folder, tmp_path):
    """A restored cell has the fingerprint of the sweep that made it, so it is not run again."""
    config, jobs = config_of("fseft-known", "quick"), jobs_of(CELLS)
    for task in tasks_of(jobs, work_of(setting_of("fseft-known", "quick"), None), folder, config):
        write_json(task.result, {**read_json(task.result), "fingerprint": task.fingerprint})
    file, fresh = tmp_path / "all.json", tmp_path / "fresh"
    collect(folder, file)
    assert restore(file, fresh) == 4
    outcomes = sweep(jobs, refuse, fresh, config=config, runner=Serial())
    assert [done.state for done in outcomes] == ["kept"] * 4
    with pytest.raises(ValueError, match="another configuration"):
        list(sweep(jobs, refuse, fresh, config={**config, "profile": "gpu"}, runner=Serial()))


def refuse(payload):
    raise AssertionError(f"{payload} was to be kept")
