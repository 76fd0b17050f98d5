"""Answers kept question by question, so that a long scoring can be stopped and goes on."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fmtutor.bench.interactive_questions import Question

Rows = list[dict[str, Any]]


def answered(
    asked: Iterable[Question],
    answer: Callable[[Question], Rows],
    kept: Path,
    stamp: dict[str, Any],
) -> Rows:
    """Answer questions, and keep each answer in a file as soon as it is there.

    Args:
        asked: What is asked; their `Question.key` tells them apart.
        answer: Returns the rows of one question.
        kept: JSON lines: the stamp, then a line a question. What it holds is not asked again; a
            file of another stamp is begun anew, a last line that was cut short is dropped.
        stamp: All that the answers depend on.

    Returns:
        The rows of all questions, in their order.
    """
    lines = _read(kept, stamp)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    kept.write_text(text or json.dumps({"stamp": stamp}) + "\n", encoding="utf-8")
    found = {line["key"]: line["rows"] for line in lines if "key" in line}
    rows: Rows = []
    with kept.open("a", encoding="utf-8") as file:
        for question in asked:
            if question.key not in found:
                found[question.key] = answer(question)
                file.write(json.dumps({"key": question.key, "rows": found[question.key]}) + "\n")
                file.flush()
            rows += found[question.key]
    return rows


def _read(kept: Path, stamp: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of a file of this stamp; none for another's, or where there is no file."""
    lines: list[dict[str, Any]] = []
    for text in kept.read_text("utf-8").splitlines() if kept.exists() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    same = bool(lines) and lines[0].get("stamp") == json.loads(json.dumps(stamp))
    return lines if same else []
