"""What leaves the instructor: no solution, no marker, a fingerprint that finds changed checks."""

import copy

import pytest

from fmtutor.course.assignment import read_assignment, read_notebook, role_of
from fmtutor.course.release import changed_cells, release, released, without_solution
from tests.course.hand_ins import SOURCE, emptied_checks, without_checks


@pytest.fixture
def student():
    return released(read_notebook(SOURCE), read_assignment(SOURCE))


def test_the_stub_stands_where_the_solution_stood():
    source = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    assert without_solution(source, "raise X") == "def f():\n    raise X"


@pytest.mark.parametrize("source", ["return 1", "### BEGIN SOLUTION\nreturn 1"])
def test_an_answer_without_a_whole_solution_is_refused(source):
    with pytest.raises(ValueError, match="must hold its solution"):
        without_solution(source, "raise X")


def test_a_stray_marker_stops_the_release():
    notebook = read_notebook(SOURCE)
    notebook["cells"][0]["source"] = "### BEGIN SOLUTION"
    with pytest.raises(ValueError, match="no marker"):
        released(notebook, read_assignment(SOURCE))


def test_hidden_cases_and_rubrics_stay(student):
    assert {role_of(cell) for cell in student["cells"]}.isdisjoint({"hidden", "rubric"})


def test_a_release_never_replaces_its_source():
    with pytest.raises(ValueError, match="replace its own source"):
        release(SOURCE, SOURCE.parent)


def test_a_notebook_as_released_has_nothing_changed(student):
    assert changed_cells(student) == []


@pytest.mark.parametrize("change", [emptied_checks, without_checks])
def test_changed_checks_are_named(student, change):
    found = changed_cells(change(copy.deepcopy(student)))
    assert "masked_bce_check" in found
    assert len(found) == 6


def test_a_notebook_from_elsewhere_is_refused():
    with pytest.raises(ValueError, match="fingerprint"):
        changed_cells(read_notebook(SOURCE))


def test_assignments_are_in_no_wheel():
    import tomllib

    setup = tomllib.loads((SOURCE.parents[2] / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setup["packages"]["find"]["include"] == ["fmtutor", "fmtutor.*"]
    patterns = [p for group in setup["package-data"].values() for p in group]
    assert not any("ipynb" in pattern for pattern in patterns)
    assert not list((SOURCE.parents[2] / "fmtutor").rglob("*.ipynb"))
