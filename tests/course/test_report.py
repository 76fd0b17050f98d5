"""The grade book: marks by hand, spreadsheets, a student's words on a page."""

import csv

import pytest

from fmtutor.course.grading import QuestionResult, SubmissionResult
from fmtutor.course.report import keep_result, write_report


def result(student, points=2.0, answer="because"):
    questions = [
        QuestionResult(
            name="f",
            title="1 · F",
            points=points,
            maximum=2.0,
            bonus=False,
            state="right",
            passed=["case 1"],
        ),
        QuestionResult(
            name="why",
            title="2 · Why",
            points=0.0,
            maximum=3.0,
            bonus=False,
            state="by hand",
            answer=answer,
        ),
    ]
    return SubmissionResult(student=student, file="x.ipynb", assignment="a", questions=questions)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mark(folder, points, student="ada"):
    text = (
        (folder / "manual.csv").read_text().replace(f"{student},why,,", f"{student},why,{points},")
    )
    (folder / "manual.csv").write_text(text)


@pytest.fixture
def folder(tmp_path):
    keep_result(result("ada"), tmp_path)
    keep_result(result("bob", points=0.0), tmp_path)
    write_report(tmp_path)
    return tmp_path


def test_a_mark_by_hand_joins_the_points_and_stays(folder):
    mark(folder, "2.5")
    for _ in range(2):
        ada, bob = write_report(folder)
        assert (ada["points"], bob["points"]) == (4.5, 0.0)
    assert [row["points"] for row in rows(folder / "manual.csv")] == ["2.5", ""]
    assert rows(folder / "grades.csv")[0]["why"] == "2.5"


def test_grading_again_keeps_the_marks(folder):
    mark(folder, "3")
    keep_result(result("ada", points=0.0), folder)
    assert write_report(folder)[0]["points"] == 3.0


@pytest.mark.parametrize("points", ["4", "-1", "good"])
def test_a_mark_out_of_range_is_refused(folder, points):
    mark(folder, points)
    with pytest.raises(ValueError, match=r"from 0 to 3"):
        write_report(folder)


def test_a_students_words_are_text_on_the_page(tmp_path):
    keep_result(result("<b>eve<i>", answer="<script>alert(1)</script>"), tmp_path)
    write_report(tmp_path)
    pages = [p.read_text() for p in (tmp_path / "feedback").rglob("*.html")]
    pages.append((tmp_path / "index.html").read_text())
    assert not any("<script" in page or "<b>eve" in page for page in pages)


def test_a_name_is_no_formula_of_a_spreadsheet(tmp_path):
    keep_result(result("=1+1"), tmp_path)
    write_report(tmp_path)
    assert rows(tmp_path / "grades.csv")[0]["student"] == "'=1+1"
    mark(tmp_path, "1", student="'=1+1")
    assert write_report(tmp_path)[0]["points"] == 3.0


def test_two_assignments_need_two_folders(folder):
    other = result("cyd")
    other.assignment = "b"
    keep_result(other, folder)
    with pytest.raises(ValueError, match="a folder of its own"):
        write_report(folder)


def test_a_folder_without_results_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="grade first"):
        write_report(tmp_path)
