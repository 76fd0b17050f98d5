"""A folder with a submission of every kind, through the commands: the points of each are known."""

import csv
import json
import socket
import time
from types import SimpleNamespace

import pytest

from fmtutor.cli import main
from tests.course.hand_ins import SOURCE, hand_in, submissions

SECRET = "only the lecturer knows this"
SECONDS = 300


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Release, hand in, grade: once for all tests of this file."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "secret.txt").write_text(SECRET)
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    assert main(["course", "release", str(SOURCE), "--out", str(folder / "released")]) == 0
    released = json.loads((folder / "released" / SOURCE.name).read_text())
    outside = folder / "outside"
    found = submissions(released, target=outside, port=server.getsockname()[1])
    hand_in(folder / "hand_ins", found)
    command = ["course", "grade", str(SOURCE), str(folder / "hand_ins")]
    command += ["--secret", str(folder / "secret.txt"), "--out", str(folder / "graded")]
    start = time.monotonic()
    assert main(command) == 0
    seconds = time.monotonic() - start
    results = {
        path.stem: json.loads(path.read_text())
        for path in (folder / "graded" / "results").glob("*.json")
    }
    expected = {name: points for name, (_, points) in found.items()}
    yield SimpleNamespace(
        folder=folder / "graded",
        results=results,
        expected=expected,
        outside=outside,
        server=server,
        seconds=seconds,
    )
    server.close()


def why(result, question):
    return next(q for q in result["questions"] if q["name"] == question)


def test_every_submission_gets_the_points_it_is_worth(graded):
    assert len(graded.expected) >= 14
    assert {name: r["points"] for name, r in graded.results.items()} == graded.expected


def test_the_folder_is_graded_in_time(graded):
    assert graded.seconds < SECONDS


def test_everything_was_shut_off_while_answers_ran(graded):
    shut = graded.results["perfect"]["isolation"]
    if set(shut) != {"files", "network", "processes"}:
        pytest.skip(f"this system shuts off only {shut}")


def test_a_file_that_is_no_notebook_says_so(graded):
    assert "must be JSON" in graded.results["broken_file"]["error"]


def test_a_cell_that_cannot_be_read_costs_its_own_question(graded):
    question = why(graded.results["broken_cell"], "masked_bce")
    assert question["state"] == "missing"
    assert "code cell" in question["note"]


def test_a_case_at_the_edge_costs_its_own_points(graded):
    question = why(graded.results["partial"], "masked_bce")
    assert (question["points"], question["state"]) == (4, "part")
    assert list(question["wrong"]) == ["edge: nothing is known"]
    assert "NaN" in question["wrong"]["edge: nothing is known"]


def test_an_endless_loop_is_ended_and_named(graded):
    reasons = set(why(graded.results["endless_loop"], "masked_bce")["wrong"].values())
    assert reasons == {"it took longer than the 10 s of this question"}


@pytest.mark.parametrize("question", ["masked_bce", "dice_score"])
def test_a_memory_bomb_is_ended_and_named(graded, question):
    reasons = set(why(graded.results["memory_bomb"], question)["wrong"].values())
    assert reasons == {"it needs more memory than this question allows"}


def test_nothing_is_written_outside_and_nothing_removed(graded):
    assert not graded.outside.exists()
    assert len(list((graded.folder.parent / "hand_ins").iterdir())) == len(graded.expected)


def test_nobody_is_called(graded):
    with pytest.raises(TimeoutError):
        graded.server.accept()


def test_our_own_functions_cannot_be_imported(graded):
    result = graded.results["our_own_functions"]
    for name in ("masked_bce", "masked_dice_loss"):
        assert any("Error" in reason for reason in why(result, name)["wrong"].values())


def test_a_forged_line_is_compared_like_any_answer(graded):
    question = why(graded.results["forged_score"], "masked_bce")
    assert question["passed"] == []
    assert any(reason.startswith("expected") for reason in question["wrong"].values())


def test_the_grade_book_holds_every_student(graded):
    with open(graded.folder / "grades.csv", newline="") as file:
        rows = {row["student"]: float(row["points"]) for row in csv.DictReader(file)}
    assert rows == graded.expected


def test_feedback_gives_away_no_expected_value_and_no_markup_of_a_student(graded):
    page = (graded.folder / "feedback" / "hard_coded.html").read_text()
    assert "stays with the grader" in page
    assert "<script" not in page


def test_grading_that_fails_for_one_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    from fmtutor.course import grading

    def broken(submission, *rest):
        if submission.student == "bob":
            raise RuntimeError("no more processes")
        return grading.SubmissionResult(student="ada", file="ada.ipynb", assignment=SOURCE.stem)

    monkeypatch.setattr(grading, "grade", broken)
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "hand_ins").mkdir()
    for name in ("ada", "bob"):
        (tmp_path / "hand_ins" / f"{name}.ipynb").write_text("{}")
    command = ["course", "grade", str(SOURCE), str(tmp_path / "hand_ins")]
    command += ["--secret", str(tmp_path / "secret.txt"), "--out", str(tmp_path / "out")]
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert "no fault of the student: RuntimeError: no more processes" in shown
    assert "ada: 0 of 0" in shown
