"""What a student can check alone: nbval runs the notebook, and its failures are sorted by question.

A check that fails because an answer is still missing is told apart from one that fails because an
answer is wrong. This is help, not a grade: hidden cases are not here.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fmtutor.course.assignment import read_notebook, role_of
from fmtutor.course.release import changed_cells

CELL_SECONDS = 60
MISSING = "NotImplementedError"
REASON = 400
# Colours of a terminal; in a report of pytest the escape is spelled out.
COLOURS = re.compile(r"(?:\x1b|#x1B)\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class CheckedCell:
    """One code cell that was run."""

    number: int
    """Among the code cells, from 0."""
    question: str
    """The question that a check belongs to; "" for other cells."""
    state: str
    """ok, missing (an answer is not written yet) or failed."""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What `validate` found in one notebook."""

    cells: tuple[CheckedCell, ...]
    changed: tuple[str, ...]
    """Locked cells that differ from the release; grading uses its own copies of them."""

    def failing(self) -> tuple[CheckedCell, ...]:
        """Return the cells that do not pass."""
        return tuple(cell for cell in self.cells if cell.state != "ok")


def validate(path: Path, *, cell_seconds: int = CELL_SECONDS) -> Validation:
    """Run a notebook under nbval and sort what fails.

    Raises:
        ValueError: It is no released notebook, nbval is not installed, or nothing could be run.
    """
    notebook = read_notebook(path)
    changed = changed_cells(notebook)
    if find_spec("nbval") is None:
        raise ValueError("validating needs nbval, which is not installed; pip install nbval.")
    report = run_nbval(path, cell_seconds)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells = [checked(number, cell, report.get(number)) for number, cell in enumerate(code)]
    return Validation(cells=tuple(cells), changed=tuple(changed))


def run_nbval(path: Path, cell_seconds: int) -> dict[int, str]:
    """Return the output of every failed cell by its number; run in a copy of the file."""
    with tempfile.TemporaryDirectory(prefix="validate-") as folder:
        copy, report = Path(folder, "notebook.ipynb"), Path(folder, "report.xml")
        copy.write_bytes(path.read_bytes())
        command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
        command += ["--rootdir", folder, "-c", os.devnull, "--nbval-lax", "--nbval-current-env"]
        command += ["--nbval-cell-timeout", str(cell_seconds), f"--junitxml={report}", str(copy)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if not report.exists():
            raise ValueError(
                f"nbval could not run {path.name}: {(done.stdout + done.stderr)[-REASON:]}"
            )
        return failures(ElementTree.parse(report).getroot())


def failures(root: ElementTree.Element) -> dict[int, str]:
    """Read which cells failed from a report of pytest; nbval calls them "Cell 0", "Cell 1", ..."""
    found: dict[int, str] = {}
    for case in root.iter("testcase"):
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            number = int(str(case.get("name")).rsplit(" ", 1)[-1])
            found[number] = problem.text or str(problem.get("message"))
    return found


def checked(number: int, cell: dict[str, Any], failure: str | None) -> CheckedCell:
    """Sort one cell."""
    own = cell["metadata"].get("fmtutor", {})
    question = str(own.get("question", "")) if role_of(cell) == "check" else ""
    if failure is None:
        return CheckedCell(number=number, question=question, state="ok")
    state = "missing" if MISSING in failure else "failed"
    return CheckedCell(number=number, question=question, state=state, reason=last_line(failure))


def last_line(failure: str) -> str:
    """Return the line that names the error."""
    lines = [line.strip() for line in COLOURS.sub("", failure).splitlines() if line.strip()]
    named = [
        line for line in lines if "Error" in line.split(":")[0] and " " not in line.split(":")[0]
    ]
    return (named or lines or [""])[-1][:REASON]
