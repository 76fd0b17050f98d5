"""A page for each student: points, which hidden cases passed, and what was wrong in words."""

import html
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2rem 0 .3rem; font-size: 1.1rem }
.points { float: right; font-weight: normal }
.state { font-weight: bold }
.small { color: #555; font-size: .9rem }
li { margin: .2rem 0 }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .5rem }
table { border-collapse: collapse }
td, th { padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #ccc }
"""
# Words and a sign, never colour alone.
STATES = {
    "right": "✓ right",
    "part": "◐ right but for cases at the edge",
    "wrong": "✗ not right yet",
    "missing": "○ not answered",
    "by hand": "✎ marked by a person",
}


def page(title: str, body: str) -> str:
    """Return a whole page; ``body`` is HTML, ``title`` is text."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{text(title)}</h1>{body}</body></html>\n"
    )


def text(value: object) -> str:
    """Return anything as text of a page; a student's words must not become part of the page."""
    return html.escape(str(value))


def number(points: float | None) -> str:
    """Write points without needless decimals; a dash where they are still to be given."""
    return "–" if points is None else f"{points:g}"


def feedback_page(result: dict[str, Any]) -> str:
    """Return the page of one student, from the JSON of `SubmissionResult` with marks filled in."""
    parts = [
        f"<p>{text(result['student'])}: <b>{number(result['points'])} of "
        f"{number(result['maximum'])}</b> points.</p>"
    ]
    if result["error"]:
        parts.append(f"<p>The file could not be read: {text(result['error'])}</p>")
    parts += [question_part(question) for question in result["questions"]]
    parts.append(
        '<p class="small">The hidden cases are of the same kind as the visible checks, with other '
        "numbers and shapes. What you return is compared; what you print is not read.</p>"
    )
    return page(f"Feedback: {result['assignment']}", "".join(parts))


def question_part(question: dict[str, Any]) -> str:
    """Return the section of one question."""
    bonus = " (bonus)" if question["bonus"] else ""
    parts = [
        f"<h2>{text(question['title'])}{bonus} <span class='points'>{number(question['points'])} / "
        f"{number(question['maximum'])}</span></h2>",
        f"<p><span class='state'>{STATES[question['state']]}</span> "
        f"<code>{text(question['name'])}</code></p>",
    ]
    if question["note"]:
        parts.append(f"<p>{text(question['note'])}</p>")
    lines = [f"<li>✗ {text(case)}: {text(why)}</li>" for case, why in question["wrong"].items()]
    lines += [f"<li>✓ {text(case)}</li>" for case in question["passed"]]
    if lines:
        parts.append(f"<ul>{''.join(lines)}</ul>")
    if question["answer"]:
        parts.append(f"<pre>{text(question['answer'])}</pre>")
    return "".join(parts)
