"""`fmtutor run --scheduler slurm` against a stand-in for SLURM: jobs are sent, used, given back.

The stand-in knows `sbatch` and `scancel` and runs each job as a process group of this machine. No
real cluster has been asked; what a site demands (queue, account) stands in `jobqueue.yaml`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from fmtutor.bench.sweep import Job, Task
from fmtutor.bench.sweep_runners import Slurm

v4 = nbformat.v4
PATIENCE_S = 300
SBATCH = """#!/bin/sh
# Takes a script as SLURM does, and says the number of the job: here that of a process group.
if [ "$1" = --test-only ]; then cat > "$FAKE_SLURM/asked"; exit 0; fi
for script; do :; done
setsid sh "$script" > "$FAKE_SLURM/output" 2>&1 < /dev/null &
cp "$script" "$FAKE_SLURM/$!.sh"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job; do touch "$FAKE_SLURM/$job.cancelled"; kill -TERM -- "-$job"; done
exit 0
"""
# The notebook says in which job it ran: the process group of its kernel's ancestors.
WHERE = "import os, psutil; print([os.getpgid(p.pid) for p in psutil.Process().parents()])"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Put the stand-in on the path and return its folder; no job of it outlives the test."""
    folder, programs = tmp_path / "slurm", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(folder))
    yield folder
    for number in numbers(folder):
        try:
            os.killpg(number, signal.SIGKILL)
        except ProcessLookupError:
            continue


def numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.sh")]


def notebook(folder: Path, name: str, *sources: str) -> None:
    cells = [v4.new_markdown_cell(f"# {name}"), *map(v4.new_code_cell, sources)]
    nbformat.write(v4.new_notebook(cells=cells), folder / f"{name}.ipynb")


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["run", str(folder), "--out", str(folder / "runs"), "--scheduler", "slurm", *options]
    return subprocess.run(
        [sys.executable, "-m", "fmtutor", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.mark.slow
def test_a_batch_on_slurm_sends_jobs_uses_them_and_gives_them_back(cluster, tmp_path):
    books = tmp_path / "books"
    books.mkdir()
    notebook(books, "01_where", WHERE)
    notebook(books, "02_fails", "{}['kidney']")
    done = run(books, "--workers", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    states = {r["name"]: r["state"] for r in json.loads((books / "runs/results.json").read_text())}
    assert states == {"01_where": "done", "02_fails": "failed"}
    assert "KeyError: 'kidney'" in done.stdout

    jobs = numbers(cluster)
    assert len(jobs) == 1, "as many jobs as workers were allowed"
    script = (cluster / f"{jobs[0]}.sh").read_text()
    assert {"#SBATCH -n 1", "export OMP_NUM_THREADS=1"} <= set(script.splitlines())
    asked = (cluster / "asked").read_text().splitlines()
    assert [line for line in asked if line.startswith("#SBATCH -")], "asked before, with a script"
    ran = nbformat.read(books / "runs" / "01_where.ipynb", 4).cells[-1].outputs[0].text
    assert jobs[0] in json.loads(ran), "the notebook ran within the job"

    assert (cluster / f"{jobs[0]}.cancelled").exists()
    end = time.monotonic() + 30
    while left := [p for p in psutil.pids() if group_of(p) in jobs]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def one_task(folder: Path) -> list[Task]:
    return [Task(job=Job(name="a", payload={}), work=str, folder=folder, fingerprint="")]


def test_a_machine_without_slurm_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="command sbatch, which is not on the PATH; run this wh"):
        next(iter(Slurm(workers=1).run(one_task(tmp_path))))


def test_a_job_that_slurm_refuses_ends_the_batch_with_its_reason(cluster, tmp_path):
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho 'error: no such account' >&2; exit 1")
    with pytest.raises(ValueError, match=r"it says: .*no such account.*jobqueue\.yaml"):
        next(iter(Slurm(workers=1).run(one_task(tmp_path))))
    assert numbers(cluster) == []
