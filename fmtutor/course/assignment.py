"""An instructor's notebook, read: its questions with points and limits, its code by role.

A cell says what it is in its metadata: under `nbgrader` in the form of that program (schema 3), so
that a course with nbgrader can use the same file, and under `fmtutor` what nbgrader does not know:

- `role`: `given` (code that every answer may use), `answer`, `check` (shown to the student),
  `hidden` (cases for grading), `written` (an answer in words), `rubric` (for who marks the words);
- on an answer: `question`, `title`, `bonus`, `edge_points`, `seconds`, `memory_mb`, `rtol`, `atol`.

The points stand once: in the nbgrader entry of the check, or of the written answer. Cells of role
`hidden` and `rubric` are worth 0 there, and are what nbgrader itself takes out of a release: a test
with a hidden region, and a task with a mark scheme.
"""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Role = Literal["given", "answer", "check", "hidden", "written", "rubric", "text"]
ROLES = ("given", "answer", "check", "hidden", "written", "rubric", "text")
SCHEMA = 3
PROBE = "probe_"
"""What the name of a function in hidden cells begins with that asks an answer in another way."""
DEFAULTS = {"edge_points": 0.0, "seconds": 10.0, "memory_mb": 512, "rtol": 1e-4, "atol": 1e-6}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing that a student writes."""

    name: str
    """Name of the function, or of the written answer."""
    title: str
    written: bool
    """In words: a person gives the points."""
    points: float
    edge_points: float
    """Of `points`, those for the cases whose names begin with "edge: "."""
    bonus: bool
    """Its points are on top of the maximum."""
    seconds: float
    memory_mb: int
    rtol: float
    atol: float


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a grader needs of an instructor's notebook."""

    name: str
    path: Path
    title: str
    questions: tuple[Question, ...]
    code: dict[str, str]
    """Role to the code of its cells, in order: given, answer, hidden."""
    probes: dict[str, str]
    """Question to the code of its `probe_NAME` alone, without the cases beside it.

    Taken out on reading: submissions are graded in threads, and Python 3.11 ends with a SystemError
    where two threads build a syntax tree at once (python/cpython, issue 106905).
    """

    def functions(self) -> tuple[Question, ...]:
        """Return the questions that a function answers."""
        return tuple(question for question in self.questions if not question.written)

    def maximum(self) -> float:
        """Return the points without bonus."""
        return sum((question.points for question in self.questions if not question.bonus), 0.0)


def read_notebook(path: Path) -> dict[str, Any]:
    """Read a notebook of format 4 as plain JSON.

    Raises:
        ValueError: The file is no such notebook.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        sound = notebook["nbformat"] == 4 and all(
            isinstance(source_of(cell), str) and isinstance(cell["metadata"], dict)
            for cell in notebook["cells"]
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"a notebook must be JSON of format 4, got {path.name}: {error}."
        ) from error
    if not sound:
        raise ValueError(
            f"a notebook must be of format 4 with sources, got {path.name}; save again."
        )
    return notebook


def source_of(cell: dict[str, Any]) -> str:
    """Return the source of a cell as one text; the format allows a list of lines too."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def role_of(cell: dict[str, Any]) -> Role:
    """Return what a cell is for.

    Raises:
        ValueError: Its metadata name no role that there is.
    """
    role = cell["metadata"].get("fmtutor", {}).get("role", "text")
    if role not in ROLES:
        raise ValueError(f"a cell's role must be one of {', '.join(ROLES)}, got {role!r}.")
    return role


def read_assignment(path: Path) -> Assignment:
    """Read an instructor's notebook and check that it is whole.

    Raises:
        ValueError: A question lacks its check, its points, its hidden cases or its solution.
    """
    notebook = read_notebook(path)
    code = dict.fromkeys(("given", "answer", "hidden"), "")
    points: dict[str, float] = {}
    found: dict[str, dict[str, Any]] = {}
    for cell in notebook["cells"]:
        role, own = role_of(cell), cell["metadata"].get("fmtutor", {})
        if role in code and cell["cell_type"] == "code":
            code[role] += source_of(cell) + "\n\n"
        if role in ("answer", "written"):
            found[own["question"]] = {**own, "written": role == "written"}
        if role in ("check", "written"):
            points[own["question"]] = points_of(cell)
    questions = tuple(question_of(name, own, points) for name, own in found.items())
    assignment = Assignment(
        name=path.stem, path=path, title=title_of(notebook), questions=questions, code=code,
        probes=probes_of(code["hidden"]),
    )  # fmt: skip
    check_whole(assignment)
    return assignment


def probes_of(hidden: str) -> dict[str, str]:
    """Return the probes of hidden cells by the name of their question."""
    functions = (node for node in ast.parse(hidden).body if isinstance(node, ast.FunctionDef))
    return {
        node.name.removeprefix(PROBE): ast.unparse(node)
        for node in functions
        if node.name.startswith(PROBE)
    }


def question_of(name: str, own: dict[str, Any], points: dict[str, float]) -> Question:
    """Build one question from the metadata of its answer."""
    if name not in points:
        raise ValueError(
            f"question {name} must have a check with points; add a cell of role check."
        )
    limits: dict[str, Any] = {k: type(v)(own.get(k, v)) for k, v in DEFAULTS.items()}
    return Question(
        name=name,
        title=own.get("title", name.replace("_", " ")),
        written=own["written"],
        points=points[name],
        bonus=bool(own.get("bonus", False)),
        **limits,
    )


def points_of(cell: dict[str, Any]) -> float:
    """Return the points of a graded cell."""
    entry = cell["metadata"].get("nbgrader", {})
    points = entry.get("points")
    if entry.get("schema_version") != SCHEMA or not entry.get("grade") or points is None:
        raise ValueError(
            "a check must have nbgrader metadata of schema 3 with grade and points, got "
            f"{entry or 'none'}."
        )
    return float(points)


def title_of(notebook: dict[str, Any]) -> str:
    """Return the first heading."""
    for cell in notebook["cells"]:
        if match := re.search(r"^# (.+)$", source_of(cell), re.MULTILINE):
            return match[1]
    return "assignment"


def check_whole(assignment: Assignment) -> None:
    """Raise ValueError unless every function has a solution and hidden cases."""
    for role, prefix in (("answer", ""), ("hidden", "cases_")):
        body = ast.parse(assignment.code[role]).body
        there = {node.name for node in body if isinstance(node, ast.FunctionDef)}
        wanted = {prefix + question.name for question in assignment.functions()}
        if missing := sorted(wanted - there):
            raise ValueError(
                f"{assignment.path.name} must define {', '.join(missing)} in a cell of role {role}."
            )
    if not assignment.questions:
        raise ValueError(f"an assignment must ask something, got none in {assignment.path.name}.")
