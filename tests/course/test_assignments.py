"""Every assignment is whole: solutions pass, stubs do not, nothing is given away, points add up."""

import ast
import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from fmtutor.course.assignment import read_assignment, read_notebook, role_of, source_of
from fmtutor.course.grading import grade
from fmtutor.course.hidden_cases import EDGE, draw_cases
from fmtutor.course.release import BEGIN, END, released
from fmtutor.course.sandbox.answers import encode
from fmtutor.course.sandbox_process import Sandbox
from fmtutor.course.submissions import Submission

FOLDER = Path(__file__).parents[2] / "notebooks" / "assignments"
SOURCES = sorted(FOLDER.glob("*.ipynb"))
SECRET = "a secret of this test"
ALLOWED = {"torch", "numpy"} | set(sys.stdlib_module_names)
each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


@cache
def read(source):
    assignment = read_assignment(source)
    return assignment, draw_cases(assignment, SECRET)


def code_cells(notebook, role):
    return [source_of(cell) for cell in notebook["cells"] if role_of(cell) == role]


def test_there_is_an_assignment_for_each_family():
    assert len(SOURCES) >= 8


@each
def test_it_asks_for_functions_words_and_a_bonus(source):
    questions = read(source)[0].questions
    functions = [q for q in questions if not q.written and not q.bonus]
    assert 4 <= len(functions) <= 8
    assert sum(q.written for q in questions) >= 2
    assert sum(q.bonus for q in questions) >= 1


@each
def test_the_points_in_the_text_are_those_that_are_given(source):
    assignment, _ = read(source)
    text = source_of(read_notebook(source)["cells"][0])
    stated = {}
    words = 0.0
    for asked, given in re.findall(r"^\| (.*?) \| (\d[\d+() a-z]*) \|$", text, re.MULTILINE):
        names = re.findall(r"`(\w+)`", asked)
        points = [float(p) for p in re.findall(r"\d+", re.sub(r"\(.*?\)", "", given))]
        stated |= dict(zip(names, points, strict=True)) if names else {}
        words += 0 if names else points[0]
        if edge := re.search(r"\((\d) edge\)", given):
            assert read(source)[1][names[-1]].question.edge_points == float(edge[1])
    assert stated == {q.name: q.points for q in assignment.functions()}
    assert words == sum(q.points for q in assignment.questions if q.written)


@each
def test_the_visible_checks_pass_with_the_solutions_and_say_what_is_missing_without(source):
    notebook = read_notebook(source)
    space = {}
    for cell in notebook["cells"]:
        if role_of(cell) in ("given", "answer", "check"):
            exec(source_of(cell), space)
    student = released(notebook, read(source)[0])
    space = {}
    for role in ("given", "answer"):
        for text in code_cells(student, role):
            exec(text, space)
    for text in code_cells(student, "check"):
        with pytest.raises(NotImplementedError, match="write "):
            exec(text, dict(space))


@each
def test_nothing_is_given_away(source):
    notebook = read_notebook(source)
    student = released(notebook, read(source)[0])
    text = json.dumps([source_of(cell) for cell in student["cells"]])
    for role in ("answer", "written"):
        for cell in code_cells(notebook, role):
            solution = cell.split(BEGIN)[1].split(END)[0].strip()
            assert json.dumps(solution)[1:-1] not in text
    assert "cases_" not in text
    assert "HIDDEN" not in text
    assert "ubric" not in text
    assert all(cell.get("outputs", []) == [] for cell in student["cells"])


@each
def test_what_is_given_needs_torch_alone(source):
    tree = ast.parse(read(source)[0].code["given"])
    found = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else map_names(node))
    }
    assert found <= ALLOWED


def map_names(node):
    return [alias.name for alias in node.names]


@each
def test_another_secret_draws_other_cases(source):
    assignment, cases = read(source)
    other = draw_cases(assignment, SECRET + "!")
    same = draw_cases(assignment, SECRET)
    for name in cases:
        one, two, again = (
            json.dumps(encode(list(c[name].arguments.values()))) if plain(c[name]) else ""
            for c in (cases, other, same)
        )
        assert one == again
        assert one != two or not plain(cases[name])


def plain(cases):
    try:
        encode(list(cases.arguments.values()))
    except ValueError:
        return False
    return True


@each
def test_a_constant_earns_nothing(source):
    for name, cases in read(source)[1].items():
        for guess in constants(cases):
            verdicts = {
                case: cases.verdict(case, encode(guess(case)))
                for case in cases.arguments
                if not case.startswith(EDGE)
            }
            assert any(verdicts.values()), name


def constants(cases):
    """Guesses that need no thought: nothing, 0, 1, zeros of the right shape, an argument."""
    expected, arguments = cases.expected, cases.arguments

    def zeros(case):
        value = expected[case]
        return torch.zeros_like(value) if isinstance(value, torch.Tensor) else type(value)()

    return [
        lambda case: None,
        lambda case: 0.0,
        lambda case: 1,
        lambda case: True,
        lambda case: "refused",
        lambda case: [],
        lambda case: zeros(case) if expected[case] is not None else 0,
        lambda case: arguments[case][0],
        lambda case: arguments[case][-1],
        lambda case: expected[next(iter(expected))],
    ]


@pytest.mark.slow
@each
def test_the_solutions_get_every_point_where_answers_are_graded(source):
    assignment, cases = read(source)
    cells = tuple(code_cells(read_notebook(source), "answer"))
    solved = Submission(student="solved", path=source, cells=cells)
    with Sandbox((FOLDER,)) as sandbox:
        results = grade(solved, assignment, cases, sandbox).questions
    graded = {question.name: question for question in results}
    for name, hidden in cases.items():
        question = graded[name]
        assert (question.state, question.wrong) == ("right", {}), name
        assert question.points == question.maximum
        assert set(question.passed) == set(hidden.arguments)
