"""Sweeps on several workers: a killed one costs its job a second run and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fmtutor.bench.sweep import Job, sweep
from fmtutor.bench.sweep_runners import MISSING, Local, Remote, Slurm, visible_gpus
from fmtutor.core.files import read_json

CONFIG = {"of": "tests"}


def work(payload):
    """Note each start in a file of the job, then answer, fail, or kill this process."""
    log = Path(payload["log"])
    with log.open("a") as file:
        file.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    starts = len(log.read_text().splitlines())
    if starts <= payload.get("kills", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if payload.get("bad"):
        raise RuntimeError("bad values")
    time.sleep(payload.get("sleep", 0))
    return {"threads": os.environ["OMP_NUM_THREADS"], "pid": os.getpid()}


def job(name, folder, **more):
    return Job(name=name, payload={"log": str(folder / f"{name}.log"), **more})


@pytest.mark.slow
def test_a_killed_worker_costs_only_its_job_a_second_run(tmp_path):
    jobs = [job("kills", tmp_path, kills=1), job("fatal", tmp_path, kills=99)]
    jobs += [job(f"plain-{n}", tmp_path) for n in range(6)] + [job("bad", tmp_path, bad=True)]
    runner = Local(workers=2, gpus=("5", "7"))
    outcomes = {d.name: d for d in sweep(jobs, work, tmp_path / "r", config=CONFIG, runner=runner)}
    failed = {name: done.error for name, done in outcomes.items() if done.state == "failed"}
    assert set(outcomes) == {job.name for job in jobs}
    assert set(failed) == {"fatal", "bad"}
    assert "KilledWorker" in failed["fatal"]
    assert "KilledWorker" in (tmp_path / "r" / "fatal.error.txt").read_text()
    assert "RuntimeError: bad values" in (tmp_path / "r" / "bad.error.txt").read_text()
    starts = {job.name: (tmp_path / f"{job.name}.log").read_text().splitlines() for job in jobs}
    count = {name: len(lines) for name, lines in starts.items()}
    # A failure has no file: where its worker dies before it is told, the job is tried once more.
    assert count.pop("bad") in (1, 2)
    assert count == {**dict.fromkeys(count, 1), "kills": 2, "fatal": 4}
    assert {line.split()[1] for lines in starts.values() for line in lines} == {"5", "7"}
    assert read_json(tmp_path / "r" / "plain-0.json")["threads"] == "1"
    assert no_child_is_left()


SCRIPT = """
import sys
from pathlib import Path
from tests.bench.test_sweep_runners import CONFIG, Local, job, sweep, work
folder = Path(sys.argv[1])
jobs = [job("quick", folder), job("long", folder, sleep=600), job("never", folder, sleep=600)]
if __name__ == "__main__":
    for done in sweep(jobs, work, folder / "r", config=CONFIG, runner=Local(workers=2)):
        print(done.name, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False], ids=["from a terminal", "to one process"])
def test_an_interrupt_keeps_results_and_leaves_no_worker(tmp_path, whole_group):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    try:
        assert process.stdout.readline() == "quick\n"
        while not (tmp_path / "long.log").exists():
            time.sleep(0.1)
        workers = psutil.Process(process.pid).children(recursive=True)
        assert workers
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []
    assert process.returncode != 0
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == ["quick.json", "sweep.json"]


@pytest.mark.slow
def test_a_scheduler_that_runs_elsewhere_takes_the_jobs(tmp_path):
    with Local(workers=1).cluster(1) as cluster:
        runner = Remote(address=cluster.scheduler_address)
        jobs = [job("a", tmp_path), job("b", tmp_path)]
        outcomes = list(sweep(jobs, work, tmp_path / "r", config=CONFIG, runner=runner))
    assert sorted((done.name, done.state) for done in outcomes) == [("a", "done"), ("b", "done")]


def test_an_address_without_a_scheduler_is_an_error_with_its_fix(tmp_path):
    runner = Remote(address="tcp://127.0.0.1:1", timeout_s=0.5)
    with pytest.raises(ValueError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"):
        list(sweep([job("a", tmp_path)], work, tmp_path / "r", config=CONFIG, runner=runner))


def test_the_script_of_a_slurm_job_asks_for_one_worker_on_one_thread():
    script = Slurm(workers=3, gpus_per_job=1, memory="24GB", walltime="02:00:00").script()
    lines = script.splitlines()
    assert "#SBATCH --mem=23G" in lines
    assert {"#SBATCH -t 02:00:00", "#SBATCH --gres=gpu:1", "#SBATCH -n 1"} <= set(lines)
    assert {"export OMP_NUM_THREADS=1", "export MKL_NUM_THREADS=1"} <= set(lines)
    assert "--nthreads 1" in script
    assert "gres" not in Slurm(workers=1).script()


def test_no_worker_is_an_error():
    with pytest.raises(ValueError, match="at least 1 worker, got 0"):
        Local(workers=0)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("fmtutor.bench.sweep_runners.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="install the extra"):
        Local(workers=1)
    assert "fmtutor[scale]" in MISSING


@pytest.mark.parametrize(
    ("named", "found"), [("0, 2", ("0", "2")), ("", ()), ("-1", ()), ("MIG-x", ("MIG-x",))]
)
def test_gpus_are_those_that_the_environment_names(monkeypatch, named, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == found


def no_child_is_left():
    children = psutil.Process().children(recursive=True)
    mine = [
        c for c in children if "distributed" in " ".join(c.cmdline()) or "spawn_main" in c.name()
    ]
    return mine == []
