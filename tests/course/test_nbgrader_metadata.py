"""The rules of nbgrader (metadata schema 3, and its markers), without nbgrader.

They are those that nbgrader 0.9.6 holds a source notebook to in `generate_assignment`; how it was
run with ours is told in docs/course/grading.md.
"""

import re
from pathlib import Path

import pytest

from fmtutor.course.assignment import SCHEMA, read_assignment, read_notebook, role_of, source_of

FOLDER = Path(__file__).parents[2] / "notebooks" / "assignments"
SOURCES = sorted(FOLDER.glob("*.ipynb"))
TYPES = {
    "schema_version": int,
    "grade": bool,
    "grade_id": str,
    "solution": bool,
    "locked": bool,
    "task": bool,
}
# Where nbgrader takes a region out; anywhere else it refuses the notebook.
REGIONS = {"SOLUTION": "solution", "HIDDEN TESTS": "grade", "MARK SCHEME": "task"}
MARK = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def graded_cells(source):
    """Return (cell, its nbgrader entry) for the cells that have one."""
    cells = read_notebook(source)["cells"]
    return [(c, c["metadata"]["nbgrader"]) for c in cells if "nbgrader" in c["metadata"]]


def taken_out(text):
    """Return what nbgrader leaves of a cell."""
    left, inside = [], False
    for line in text.split("\n"):
        if mark := MARK.search(line):
            inside = mark[1] == "BEGIN"
        elif not inside:
            left.append(line)
    return "\n".join(left)


@each
def test_an_entry_has_the_keys_and_types_of_the_schema(source):
    for _, entry in graded_cells(source):
        assert entry["schema_version"] == SCHEMA
        assert {key: type(entry[key]) for key in TYPES} == TYPES
        with_points = entry["grade"] or entry["task"]
        assert set(entry) - set(TYPES) == ({"points"} if with_points else set())
        assert not with_points or (type(entry["points"]) in (int, float) and entry["points"] >= 0)


@each
def test_names_are_unique_and_made_of_letters(source):
    ids = [entry["grade_id"] for _, entry in graded_cells(source)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-zA-Z0-9_\-]+", name) for name in ids)


@each
def test_the_kind_of_a_cell_fits_its_entry(source):
    for cell, entry in graded_cells(source):
        kind = cell["cell_type"]
        if entry["task"]:
            assert (kind, entry["grade"], entry["solution"]) == ("markdown", False, False)
        elif kind == "markdown":
            assert entry["grade"] == entry["solution"]
        assert entry["locked"] != entry["solution"], "a student writes in answers, nowhere else"


@each
def test_a_role_of_ours_is_the_kind_of_nbgrader_that_does_the_same(source):
    kinds = {
        "given": (False, False, False),
        "answer": (False, True, False),
        "check": (True, False, False),
        "hidden": (True, False, False),
        "written": (True, True, False),
        "rubric": (False, False, True),
    }
    for cell in read_notebook(source)["cells"]:
        if (role := role_of(cell)) in kinds:
            entry = cell["metadata"]["nbgrader"]
            assert (entry["grade"], entry["solution"], entry["task"]) == kinds[role]


@each
def test_the_points_of_nbgrader_are_ours(source):
    questions = read_assignment(source).questions
    ours = sum(question.points for question in questions)
    theirs = sum(entry.get("points", 0) for _, entry in graded_cells(source))
    assert theirs == ours > 0


@each
def test_markers_are_paired_and_stand_where_nbgrader_takes_them_out(source):
    for cell in read_notebook(source)["cells"]:
        marks = MARK.findall(source_of(cell))
        assert [word for word, _ in marks] == ["BEGIN", "END"] * (len(marks) // 2)
        assert all(a == b for (_, a), (_, b) in zip(marks[::2], marks[1::2], strict=True))
        for _, region in marks:
            assert cell["metadata"]["nbgrader"][REGIONS[region]], (region, source_of(cell)[:60])


@each
def test_nothing_of_the_instructor_is_left_when_the_regions_are_out(source):
    for cell in read_notebook(source)["cells"]:
        left = taken_out(source_of(cell)).strip()
        if role_of(cell) in ("hidden", "rubric", "written"):
            assert left == ""
        assert not re.search(r"def (cases|probe|judge)_|[Rr]ubric", left)
