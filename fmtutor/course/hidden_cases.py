"""The hidden cases of an assignment, drawn from the lecturer's secret, and what is right for them.

This runs in the grader alone. The functions that draw cases stand in cells of role `hidden` of the
instructor's notebook: `cases_NAME(draw)` returns a dictionary from the name of a case to the
arguments. Beside it may stand `probe_NAME(function, *arguments)`, what to do with the function
where a plain call asks too little (a gradient, a hundred draws), and
`judge_NAME(arguments, answer)`, which returns what is wrong with an answer where many are right
(a random click).
"""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fmtutor.course.assignment import PROBE, Assignment, Question
from fmtutor.course.comparison import difference
from fmtutor.course.sandbox.answers import UnreadableAnswerError, decode, encode

EDGE = "edge: "
SECRET_LETTERS = 8


@dataclass(frozen=True, kw_only=True)
class HiddenCases:
    """The cases of one question."""

    question: Question
    arguments: dict[str, tuple]
    expected: dict[str, Any]
    """Name of a case to what the solution gives; empty where a judge decides."""
    judge: Callable[[tuple, Any], str | None] | None

    def verdict(self, case: str, encoded: Any) -> str | None:
        """Return what is wrong with an encoded answer; None if it is right."""
        question = self.question
        try:
            answer = decode(encoded)
            if self.judge is not None:
                return self.judge(self.arguments[case], answer)
            wanted = self.expected[case]
            return difference(answer, wanted, rtol=question.rtol, atol=question.atol)
        except UnreadableAnswerError as error:
            return str(error)
        except Exception:  # whatever a stranger's answer is, it must not stop the grading
            return "the answer has not the form that was asked for"


def read_secret(path: Path) -> str:
    """Read the lecturer's secret.

    Raises:
        ValueError: There is none, or it could be guessed.
    """
    if not path.is_file():
        raise ValueError(
            f"the hidden cases are drawn from a secret file, and there is none at {path}; write "
            "any long text into it and keep it to yourself."
        )
    secret = path.read_text(encoding="utf-8").strip()
    if len(secret) < SECRET_LETTERS:
        raise ValueError(
            f"a secret must have at least {SECRET_LETTERS} letters, got {len(secret)}; write more."
        )
    return secret


def draw_cases(assignment: Assignment, secret: str) -> dict[str, HiddenCases]:
    """Draw the cases of every function that is asked for, and answer them with the solutions.

    Returns:
        Name of a question to its cases. The same secret gives the same cases.
    """
    namespace: dict[str, Any] = {"__name__": "instructor"}
    for role in ("given", "answer", "hidden"):
        exec(compile(assignment.code[role], f"<{assignment.name}: {role}>", "exec"), namespace)
    return {
        question.name: cases_of(question, namespace, f"{secret}/{assignment.name}/{question.name}")
        for question in assignment.functions()
    }


def cases_of(question: Question, namespace: dict[str, Any], seed: str) -> HiddenCases:
    """Draw and answer the cases of one question."""
    digest = hashlib.sha256(seed.encode()).digest()
    draw = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    arguments = namespace[f"cases_{question.name}"](draw)
    judge = namespace.get(f"judge_{question.name}")
    probe = namespace.get(f"{PROBE}{question.name}", lambda function, *given: function(*given))
    solution = namespace[question.name]
    expected = {
        # A solution may change its arguments; and what it returns must survive the pipe.
        case: decode(encode(probe(solution, *copy.deepcopy(given))))
        for case, given in arguments.items()
    }
    cases = HiddenCases(question=question, arguments=arguments, expected=expected, judge=judge)
    for case, answer in expected.items():
        if wrong := cases.verdict(case, encode(answer)):
            raise ValueError(
                f"the solution of {question.name} must pass its own case {case!r}: {wrong}."
            )
    return cases
