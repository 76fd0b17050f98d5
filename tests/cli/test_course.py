"""`fmtutor course` as a lecturer and a student meet it."""

import json
import subprocess
import sys

import pytest

from fmtutor.cli import main
from tests.course.hand_ins import SOURCE, answered, emptied_checks, solutions


@pytest.fixture
def released(tmp_path):
    assert main(["course", "release", str(SOURCE), "--out", str(tmp_path / "released")]) == 0
    return tmp_path / "released" / SOURCE.name


def test_the_help_loads_no_torch():
    code = (
        "import sys; from fmtutor.cli import main; main(['course', 'grade', '--help']);"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_released_notebook_fails_where_answers_are_missing_and_nowhere_else(released, capsys):
    assert main(["course", "validate", str(released)]) == 1
    shown = capsys.readouterr().out
    assert "7 of 13 cells pass" in shown
    assert shown.count("still to be written") == 6
    assert "failed" not in shown


@pytest.mark.slow
def test_a_solved_notebook_passes(released, capsys):
    notebook = answered(json.loads(released.read_text()), solutions())
    released.write_text(json.dumps(notebook))
    assert main(["course", "validate", str(released)]) == 0
    assert "13 of 13 cells pass" in capsys.readouterr().out


@pytest.mark.slow
def test_a_wrong_answer_is_explained_and_a_changed_check_named(released, capsys):
    wrong = solutions() | {"dice_score": "def dice_score(a, b):\n    return 0.0"}
    notebook = answered(json.loads(released.read_text()), wrong)
    released.write_text(json.dumps(notebook))
    assert main(["course", "validate", str(released)]) == 1
    assert "dice_score: AssertionError: one voxel in common" in capsys.readouterr().out
    released.write_text(json.dumps(emptied_checks(notebook)))
    assert main(["course", "validate", str(released)]) == 0
    assert "changed  dice_score_check" in capsys.readouterr().out


def test_grading_needs_a_secret(tmp_path, capsys):
    (tmp_path / "secret.txt").write_text("short")
    command = ["course", "grade", str(SOURCE), str(tmp_path), "--secret"]
    assert main([*command, str(tmp_path / "none.txt")]) == 2
    assert "there is none at" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "secret.txt")]) == 2
    assert "at least 8 letters" in capsys.readouterr().err


def test_a_folder_without_submissions_is_an_error(tmp_path, capsys):
    (tmp_path / "secret.txt").write_text("long enough to be one")
    (tmp_path / "none").mkdir()
    command = ["course", "grade", str(SOURCE), str(tmp_path / "none"), "--secret"]
    assert main([*command, str(tmp_path / "secret.txt")]) == 2
    assert "found none" in capsys.readouterr().err


def test_a_released_notebook_is_no_assignment_to_grade_with(released, tmp_path, capsys):
    (tmp_path / "secret.txt").write_text("long enough to be one")
    command = ["course", "grade", str(released), str(tmp_path), "--secret"]
    assert main([*command, str(tmp_path / "secret.txt")]) == 2
    assert "must define cases_" in capsys.readouterr().err


def test_a_folder_of_another_assignment_is_refused_before_any_grading(tmp_path, capsys):
    (tmp_path / "secret.txt").write_text("long enough to be one")
    other = tmp_path / "graded" / "results" / "ada.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"assignment": "a99_another"}')
    command = ["course", "grade", str(SOURCE), str(tmp_path), "--out", str(tmp_path / "graded")]
    assert main([*command, "--secret", str(tmp_path / "secret.txt")]) == 2
    assert "has a99_another; grade each into a folder of its own" in capsys.readouterr().err
    assert other.read_text() == '{"assignment": "a99_another"}'
