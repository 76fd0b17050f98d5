"""From the results of a folder to a grade book: CSV, a page for the class, a page a student.

Marks for written answers are a person's. They stand in `manual.csv`, which grading makes and never
overwrites; `fmtutor course report` reads it and writes everything else anew.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fmtutor.core.files import read_json, write_json, write_text
from fmtutor.course.feedback import feedback_page, number, page, text
from fmtutor.course.grading import SubmissionResult

MANUAL = "manual.csv"
MANUAL_FIELDS = ("student", "question", "points", "maximum", "comment")
# A spreadsheet takes a text that begins so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

Marks = dict[tuple[str, str], tuple[float, str]]


def keep_result(result: SubmissionResult, out: Path) -> None:
    """Write the JSON of one submission; it is whole or not there."""
    write_json(out / "results" / f"{result.student}.json", result.as_json())


def require_one_assignment(out: Path, *coming: str) -> None:
    """Refuse a folder of several assignments, or of another one than is about to be graded.

    Args:
        out: Folder of results, there or not.
        coming: Name of the assignment whose results are to come.

    Raises:
        ValueError: Results of different assignments would lie, or lie, in the folder.
    """
    names = {read_json(path)["assignment"] for path in (out / "results").glob("*.json")}
    if len(names | set(coming)) > 1:
        raise ValueError(
            f"a folder holds results of one assignment, {out} has {', '.join(sorted(names))}; "
            "grade each into a folder of its own (--out)."
        )


def write_report(out: Path) -> list[dict[str, Any]]:
    """Write `grades.csv`, `index.html` and a page a student from what lies in a folder.

    Returns:
        The results with marks filled in, in the order of the students' names.

    Raises:
        ValueError: There are no results, they are of several assignments, or a mark is not
            between 0 and its maximum.
    """
    paths = sorted((out / "results").glob("*.json"))
    if not paths:
        raise ValueError(f"a report needs results/*.json, found none in {out}; grade first.")
    require_one_assignment(out)
    marks = read_marks(out / MANUAL)
    results = [with_marks(read_json(path), marks) for path in paths]
    write_csv(out / MANUAL, MANUAL_FIELDS, manual_rows(results, marks))
    questions = [question["name"] for question in results[0]["questions"]]
    fields = ("student", *questions, "points", "maximum", "error")
    write_csv(out / "grades.csv", fields, map(grade_row, results))
    for result in results:
        write_text(out / "feedback" / f"{result['student']}.html", feedback_page(result))
    write_text(out / "index.html", class_page(results))
    return results


def read_marks(path: Path) -> Marks:
    """Read the marks that were given so far: (student, question) to points and comment."""
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if rows and not set(MANUAL_FIELDS) <= set(rows[0]):
        raise ValueError(f"{path.name} must have the columns {', '.join(MANUAL_FIELDS)}.")
    marks: Marks = {}
    for row in rows:
        if not row["points"].strip():
            continue
        student, question = row["student"].removeprefix("'"), row["question"]
        try:
            points = float(row["points"])
        except ValueError:
            points = -1.0
        if not 0 <= points <= float(row["maximum"]):
            raise ValueError(
                f"a mark must be a number from 0 to {row['maximum']}, {path.name} gives "
                f"{row['points']!r} to {student} for {question}."
            )
        marks[student, question] = (points, row["comment"])
    return marks


def with_marks(result: dict[str, Any], marks: Marks) -> dict[str, Any]:
    """Return a result with the marks of its written answers; one without a mark has None."""
    for question in result["questions"]:
        if question["state"] == "by hand":
            points, comment = marks.get((result["student"], question["name"]), (None, ""))
            question |= {"points": points, "note": comment}
    result["points"] = sum((question["points"] or 0.0 for question in result["questions"]), 0.0)
    return result


def manual_rows(results: Iterable[dict[str, Any]], marks: Marks) -> Iterable[dict[str, Any]]:
    """Yield a line for every answer that a person has to mark."""
    for result in results:
        for question in result["questions"]:
            if question["state"] == "by hand":
                key = (result["student"], question["name"])
                points, comment = marks.get(key, ("", ""))
                yield {
                    **dict(zip(("student", "question"), key, strict=True)),
                    "points": points,
                    "maximum": question["maximum"],
                    "comment": comment,
                }


def grade_row(result: dict[str, Any]) -> dict[str, Any]:
    """Return one student's line of the grade book."""
    row = {question["name"]: question["points"] for question in result["questions"]}
    keys = ("student", "points", "maximum", "error")
    return row | {key: result[key] for key in keys}


def class_page(results: list[dict[str, Any]]) -> str:
    """Return the page of the class: a line a student, and how each question went."""
    names = [question["name"] for question in results[0]["questions"]]
    head = "".join(f"<th>{text(name)}</th>" for name in ("student", *names, "points", "of"))
    rows = []
    for result in results:
        cells = [number(question["points"]) for question in result["questions"]]
        cells += [number(result["points"]), number(result["maximum"])]
        link = f"<a href='feedback/{text(result['student'])}.html'>{text(result['student'])}</a>"
        rows.append(f"<tr><td>{link}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    means = []
    for index in range(len(names)):
        given = [r["questions"][index]["points"] for r in results]
        known = [points for points in given if points is not None]
        means.append(f"<td>{number(round(sum(known) / len(known), 2) if known else None)}</td>")
    mean = f"<tr><td>mean</td>{''.join(means)}<td></td><td></td></tr>"
    shut = {name for result in results if not result["error"] for name in result["isolation"]}
    names_shut = text(", ".join(sorted(shut)) or "nothing")
    note = f"<p class='small'>Shut off while answers ran: {names_shut}.</p>"
    return page("Grades", f"<table><tr>{head}</tr>{''.join(rows)}{mean}</table>{note}")


def write_csv(path: Path, fields: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV file that a spreadsheet reads as text and numbers, never as formulas."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fields, restval="", extrasaction="ignore")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: defused(value) for key, value in row.items()})
    write_text(path, buffer.getvalue())


def defused(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would compute."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
