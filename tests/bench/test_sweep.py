"""Sweeps of jobs in one process: what is kept, run again, refused, reported."""

import json

import pytest

from fmtutor.bench.sweep import Job, Serial, claim, differing, sweep
from fmtutor.core.files import read_json, write_json

CONFIG = {"table": "t", "setting": {"steps": 2, "patch": (8, 8)}}
calls: list[int] = []


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


def square(payload):
    calls.append(payload["x"])
    if payload.get("bad"):
        raise RuntimeError(f"no square of {payload['x']}")
    return {"y": payload["x"] ** 2}


def jobs_of(*numbers, **more):
    return [Job(name=f"job-{x}", payload={"x": x, **more}) for x in numbers]


def swept(jobs, folder, *, work=square, config=CONFIG):
    return list(sweep(jobs, work, folder, config=config, runner=Serial()))


def test_each_job_leaves_its_result_and_a_second_sweep_keeps_them(tmp_path):
    first = swept(jobs_of(2, 3), tmp_path / "new")
    assert [(done.name, done.state) for done in first] == [("job-2", "done"), ("job-3", "done")]
    assert read_json(tmp_path / "new" / "job-3.json")["y"] == 9
    again = swept(jobs_of(2, 3, 4), tmp_path / "new")
    assert [done.state for done in again] == ["kept", "kept", "done"]
    assert calls == [2, 3, 4]


def test_a_job_with_other_values_or_a_damaged_file_runs_again(tmp_path):
    swept(jobs_of(2, 3), tmp_path)
    (tmp_path / "job-3.json").write_text('{"y": 9')
    assert [d.state for d in swept(jobs_of(2, 3), tmp_path)] == ["kept", "done"]
    assert [d.state for d in swept(jobs_of(2, more=1), tmp_path)] == ["done"]
    write_json(tmp_path / "job-2.json", [1])
    assert [d.state for d in swept(jobs_of(2, more=1), tmp_path)] == ["done"]


def test_a_folder_of_another_configuration_is_refused_and_left_alone(tmp_path):
    swept(jobs_of(2), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = {"table": "t", "setting": {"steps": 5, "patch": (8, 8)}}
    with pytest.raises(ValueError, match=r"setting\.steps is 2 there, 5 here\); name another"):
        swept(jobs_of(2, 3), tmp_path, config=other)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_refusal_comes_at_once_not_with_the_first_result(tmp_path):
    write_json(tmp_path / "mine.json", {})
    with pytest.raises(ValueError, match="a sweep needs a folder of its own"):
        sweep(jobs_of(1), square, tmp_path, config=CONFIG, runner=Serial())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


def test_a_failed_job_keeps_its_traceback_and_is_tried_again(tmp_path):
    bad = Job(name="bad", payload={"x": 7, "bad": True})
    outcomes = swept([bad, *jobs_of(2)], tmp_path)
    assert [done.state for done in outcomes] == ["failed", "done"]
    assert outcomes[0].error == "RuntimeError: no square of 7"
    assert "in square" in (tmp_path / "bad.error.txt").read_text()
    assert not (tmp_path / "bad.json").exists()
    mended = sweep([bad], lambda payload: {"y": 0}, tmp_path, config=CONFIG, runner=Serial())
    assert [done.state for done in mended] == ["done"]
    assert not (tmp_path / "bad.error.txt").exists()


def test_a_result_that_json_cannot_hold_is_a_failure(tmp_path):
    (done,) = swept(jobs_of(1), tmp_path, work=lambda payload: {"y": float("nan")})
    assert done.state == "failed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job-1.error.txt", "sweep.json"]


def test_stopping_keeps_what_was_finished(tmp_path):
    def stopped(payload):
        if payload["x"] == 3:
            raise KeyboardInterrupt
        return square(payload)

    with pytest.raises(KeyboardInterrupt):
        swept(jobs_of(2, 3, 4), tmp_path, work=stopped)
    assert [d.state for d in swept(jobs_of(2, 3, 4), tmp_path)] == ["kept", "done", "done"]


@pytest.mark.parametrize("name", ["", "a/b", "../a", "sweep", "a b", ".a"])
def test_a_name_that_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="a job's name must be"):
        swept([Job(name=name, payload={})], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_jobs_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="got job-1 twice"):
        swept(jobs_of(1, 1), tmp_path)


def test_a_worker_that_cannot_see_the_folder_says_so(tmp_path):
    outcomes = sweep(jobs_of(1), square, tmp_path, config=CONFIG, runner=Serial())
    (tmp_path / "sweep.json").unlink()
    (done,) = outcomes
    assert done.state == "failed"
    assert "on a disk that all workers share" in done.error


def test_a_claim_reads_tuples_as_lists_and_differences_have_dotted_names(tmp_path):
    claim(tmp_path, CONFIG)
    claim(tmp_path, json.loads(json.dumps(CONFIG)))
    assert differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}, "d": 0}) == [
        "a.c is 2 there, None here",
        "d is None there, 0 here",
    ]
