"""The committed notebooks as one batch, and one that fails: killed in the middle, then resumed."""

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

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
FAILS = "99_fails"
PATIENCE_S = 1200
"""For one notebook; a test worker shares the machine."""
v4 = nbformat.v4


def start(paths: list[Path], out: Path) -> subprocess.Popen[str]:
    """Start a batch; its messages go to a file, as a pipe that nobody reads would stop it."""
    words = [sys.executable, "-m", "fmtutor", "run", *map(str, paths), "--out", str(out)]
    with open(out.with_suffix(".log"), "a") as log:
        return subprocess.Popen(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def finished(out: Path) -> dict[str, tuple[int, str]]:
    """Return when each result was written, and what it says."""
    files = [path for path in (out / "finished").glob("*.json") if path.stem != "sweep"]
    return {path.stem: (path.stat().st_mtime_ns, path.read_text()) for path in files}


def executed(out: Path) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in out.glob("*.ipynb")}


def kill_inside(process: subprocess.Popen[str], out: Path, after: int) -> None:
    """Kill the batch with its kernel once it is busy with the run after so many finished ones."""
    end = time.monotonic() + PATIENCE_S * after
    while len(finished(out)) < after or not kernels(process):
        assert process.poll() is None, out.with_suffix(".log").read_text()
        assert time.monotonic() < end, "too slow"
        time.sleep(0.2)
    time.sleep(5)  # into its first cells
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def kernels(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "ipykernel" in " ".join(child.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, len(NOTEBOOKS)], ids=["three", "all"])
def test_nothing_runs_twice_and_one_failure_is_reported(tmp_path, count):
    bad = tmp_path / f"{FAILS}.ipynb"
    cells = [v4.new_markdown_cell("# One that fails"), v4.new_code_cell("{}['kidney']")]
    nbformat.write(v4.new_notebook(cells=cells), bad)
    # The failure is second, so that it happens before the kill.
    paths, out = [NOTEBOOKS[0], bad, *NOTEBOOKS[1:count]], tmp_path / "runs"
    process = start(paths, out)
    try:
        kill_inside(process, out, after=max(2, count // 2 + 1))
        before, books = finished(out), executed(out)
        assert FAILS in before
        assert 2 <= len(before) < len(paths)

        process = start(paths, out)
        status = process.wait(timeout=PATIENCE_S * count)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    text = out.with_suffix(".log").read_text()
    assert status == 1, text
    after = finished(out)
    assert {name: after[name] for name in before} == before, "a finished run is not touched"
    assert {name: executed(out)[name] for name in books if name in before} == {
        name: when for name, when in books.items() if name in before
    }
    states = {r["name"]: r["state"] for r in json.loads((out / "results.json").read_text())}
    assert list(states) == [path.stem for path in paths]
    assert [name for name, state in states.items() if state == "failed"] == [FAILS], text
    page = (out / "index.html").read_text()
    assert page.count('class="failure"') == 1
    assert "KeyError" in page
