"""`fmtutor run` killed, interrupted, started again: nothing twice, no broken file, no orphan."""

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

v4 = nbformat.v4
PATIENCE_S = 300
NOTE = "with open(log, 'a') as file: file.write('x')"
# In the second notebook the first batch waits to be stopped; the next one finds the file.
WAIT = """import pathlib, time
open(log + '.inside', 'w').close()
while not pathlib.Path(log + '.go').exists(): time.sleep(0.05)"""


@pytest.fixture
def batch(tmp_path):
    """Return three toy notebooks' folder: one fails, one waits, one ends well."""
    ends = {"01_fails": "{}['kidney']", "02_waits": WAIT, "03_ends": "21 * 2"}
    for name, last in ends.items():
        parameter = f"log = {str(tmp_path / name)!r}"
        cells = [v4.new_markdown_cell(f"# {name}")]
        cells.append(v4.new_code_cell(parameter, metadata={"tags": ["parameters"]}))
        cells += [v4.new_code_cell(NOTE), v4.new_code_cell(last)]
        nbformat.write(v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    return tmp_path


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fmtutor", "run", str(folder), *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [*command, "--out", str(folder / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment,
    )


def stop_inside(folder: Path, process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal once the second notebook runs, and see that no process is left."""
    end = time.monotonic() + PATIENCE_S
    done = [folder / "02_waits.inside", folder / "runs" / "finished" / "01_fails.json"]
    while not all(path.exists() for path in done):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, "the second notebook did not start"
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    text, _ = process.communicate(timeout=PATIENCE_S)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    return text


def resume(folder: Path, *options: str) -> tuple[int, str]:
    (folder / "02_waits.go").touch()
    process = start(folder, *options)
    text, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, text


def runs(folder: Path) -> dict[str, int]:
    """Return how often each notebook wrote into its log."""
    return {
        path.name: len(path.read_text()) for path in sorted(folder.glob("0*")) if not path.suffix
    }


def files(folder: Path) -> set[str]:
    """Return the files of a batch that are none of its results."""
    known = {"batch.json", "results.json", "index.html", "sweep.json", ".lock"}
    paths = {p for p in (folder / "runs").rglob("*") if p.is_file() and p.name not in known}
    return {path.name for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["here", "on workers"])
def test_a_killed_batch_goes_on_and_runs_nothing_twice(batch, options):
    stop_inside(batch, start(batch, *options), signal.SIGKILL)
    before = runs(batch)
    assert before["01_fails"] == before["02_waits"] == 1
    status, text = resume(batch, *options)

    # The notebook that was cut off has no result, so it alone begins anew.
    assert runs(batch) == {"01_fails": 1, "02_waits": 2, "03_ends": 1}
    assert status == 1
    assert "failed: 01_fails\n" in text
    assert "before the stop: KeyError: 'kidney'" in text
    results = json.loads((batch / "runs" / "results.json").read_text())
    states = {row["name"]: row["state"] for row in results}
    assert list(states) == ["01_fails", "02_waits", "03_ends"]
    assert [name for name, state in states.items() if state == "failed"] == ["01_fails"]
    page = (batch / "runs" / "index.html").read_text()
    assert page.count('class="failure"') == 1
    assert "KeyError" in page


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--workers", "1")], ids=["here", "on workers"])
def test_ctrl_c_leaves_a_report_of_what_ended_and_no_broken_file(batch, options):
    process = start(batch, *options)
    text = stop_inside(batch, process, signal.SIGINT)
    assert process.returncode == 130
    assert "stopped; what was finished is kept" in text
    assert "Traceback" not in text
    assert files(batch) == {"01_fails.ipynb", "01_fails.json"}
    nbformat.validate(nbformat.read(batch / "runs" / "01_fails.ipynb", 4))
    assert "KeyError" in (batch / "runs" / "index.html").read_text()
    assert [r["name"] for r in json.loads((batch / "runs/results.json").read_text())] == [
        "01_fails"
    ]
    status, _ = resume(batch, *options)
    assert (status, runs(batch)["03_ends"]) == (1, 1)
