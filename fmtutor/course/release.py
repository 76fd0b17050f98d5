"""From an instructor's notebook to the one that students get: no solutions, no hidden cases."""

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from fmtutor.core.files import write_text
from fmtutor.course.assignment import Assignment, read_assignment, read_notebook, role_of, source_of

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
MARKERS = re.compile(r"###\s*(BEGIN|END)\s+(SOLUTION|HIDDEN TESTS|MARK SCHEME)")
# Cells of these roles stay with the instructor.
KEPT_BACK = ("hidden", "rubric")
STUB = 'raise NotImplementedError("write {name}")'
WORDS = "*Your answer here.*"
FORMAT = 1


def release(source: Path, out: Path) -> Path:
    """Write the student's notebook of one assignment.

    Args:
        source: The instructor's notebook.
        out: Folder of the student's notebook, which keeps the name.

    Raises:
        ValueError: The assignment is not whole, or a solution would be given away.
    """
    assignment = read_assignment(source)
    target = out / source.name
    if target.resolve() == source.resolve():
        raise ValueError(
            f"a release must not replace its own source, got {out}; name another folder."
        )
    notebook = released(read_notebook(source), assignment)
    write_text(target, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return target


def released(notebook: dict[str, Any], assignment: Assignment) -> dict[str, Any]:
    """Return the notebook without solutions, hidden cases, rubrics and outputs."""
    notebook = copy.deepcopy(notebook)
    notebook["cells"] = [stripped(c) for c in notebook["cells"] if role_of(c) not in KEPT_BACK]
    for number, cell in enumerate(notebook["cells"]):
        if MARKERS.search(source_of(cell)):
            raise ValueError(
                f"a released cell must hold no marker of a solution or hidden test, cell {number} "
                "does; pair BEGIN and END, and put hidden cases into cells of role hidden."
            )
    notebook["metadata"]["fmtutor"] = fingerprint(notebook, assignment)
    return notebook


def stripped(cell: dict[str, Any]) -> dict[str, Any]:
    """Return one cell as the student gets it."""
    role = role_of(cell)
    if cell["cell_type"] == "code":
        cell |= {"outputs": [], "execution_count": None}
    if role in ("answer", "written"):
        question = cell["metadata"]["fmtutor"]["question"]
        stub = WORDS if role == "written" else STUB.format(name=question)
        cell["source"] = without_solution(source_of(cell), stub)
    return cell


def without_solution(source: str, stub: str) -> str:
    """Replace every region between the markers by the stub, at the region's own indentation.

    Raises:
        ValueError: There is no region, or one does not end.
    """
    lines, inside, regions = [], False, 0
    for line in source.split("\n"):
        mark = line.strip()
        if mark == BEGIN and not inside:
            inside, regions = True, regions + 1
            lines.append(line[: len(line) - len(line.lstrip())] + stub)
        elif mark == END and inside:
            inside = False
        elif not inside:
            lines.append(line)
    if inside or regions == 0:
        raise ValueError(
            f"an answer must hold its solution between {BEGIN} and {END}: {source[:60]!r}."
        )
    return "\n".join(lines)


def fingerprint(notebook: dict[str, Any], assignment: Assignment) -> dict[str, Any]:
    """Return what a released notebook says of itself: which it is, and what is locked in it.

    It helps a student to see that a check was changed by accident. Grading does not rely on it.
    """
    locked = {
        grade_id: digest(source_of(cell))
        for cell in notebook["cells"]
        if (grade_id := locked_id(cell)) is not None
    }
    whole = digest(json.dumps(locked, sort_keys=True))
    return {"assignment": assignment.name, "format": FORMAT, "release": whole, "locked": locked}


def locked_id(cell: dict[str, Any]) -> str | None:
    """Return the name of a cell that a student should leave alone; None for the others."""
    entry = cell["metadata"].get("nbgrader")
    if not isinstance(entry, dict) or not entry.get("locked"):
        return None
    return str(entry.get("grade_id"))


def digest(text: str) -> str:
    """Return a short fingerprint of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed_cells(notebook: dict[str, Any]) -> list[str]:
    """Return the locked cells that were edited or deleted since the release, by name.

    Raises:
        ValueError: The notebook was not released by `fmtutor course release`.
    """
    own = notebook["metadata"].get("fmtutor")
    if not isinstance(own, dict) or not isinstance(own.get("locked"), dict):
        raise ValueError(
            "a notebook to validate must come from `fmtutor course release`, this one holds no "
            "fingerprint; start from the released file."
        )
    now = {locked_id(cell): digest(source_of(cell)) for cell in notebook["cells"]}
    return sorted(name for name, was in own["locked"].items() if now.get(name) != was)
