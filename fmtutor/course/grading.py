"""Points for a folder of submissions, whatever is in them.

The student's process computes answers to hidden inputs, and no more. What is right, and what it is
worth, is decided here.
"""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fmtutor.course.assignment import Assignment, Question
from fmtutor.course.hidden_cases import EDGE, HiddenCases
from fmtutor.course.release import WORDS
from fmtutor.course.sandbox.child import UNWRITTEN
from fmtutor.course.sandbox_process import Job, Outcome, Sandbox
from fmtutor.course.submissions import Submission, find_submissions, read_submission

NO_FILES_SHUT = "this system cannot shut files off"
GRADING_FAILED = "grading failed, which is no fault of the student"


@dataclass(kw_only=True)
class QuestionResult:
    """One question of one student."""

    name: str
    title: str
    points: float
    maximum: float
    bonus: bool
    state: str
    """right, part, wrong, missing, by hand."""
    wrong: dict[str, str] = field(default_factory=dict)
    """Name of a case that failed to the reason."""
    passed: list[str] = field(default_factory=list)
    note: str = ""
    answer: str = ""
    """The words of a written answer."""
    seconds: float = 0.0


@dataclass(kw_only=True)
class SubmissionResult:
    """One student."""

    student: str
    file: str
    assignment: str
    questions: list[QuestionResult] = field(default_factory=list)
    error: str = ""
    isolation: list[str] = field(default_factory=list)
    """What was shut off in every process that ran an answer."""

    def points(self) -> float:
        """Return all points, bonus included."""
        return sum((question.points for question in self.questions), 0.0)

    def maximum(self) -> float:
        """Return the points that can be had without bonus."""
        return sum((question.maximum for question in self.questions if not question.bonus), 0.0)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**asdict(self), "points": self.points(), "maximum": self.maximum()}


class IsolationError(ValueError):
    """The system cannot shut an answer off as asked."""


def grade_folder(
    assignment: Assignment,
    cases: dict[str, HiddenCases],
    folder: Path,
    *,
    workers: int = 2,
    accept_weak_isolation: bool = False,
) -> Iterator[SubmissionResult]:
    """Grade every submission of a folder and yield each when it is done.

    Args:
        assignment: The instructor's.
        cases: From `draw_cases`.
        folder: Of notebooks, or of one folder a student; nbgrader's `submitted` will do.
        workers: Submissions at one time, each in processes of its own.
        accept_weak_isolation: Go on where the system cannot shut files off.

    Raises:
        ValueError: The folder holds no submission.
        IsolationError: Files cannot be shut off, and that was not accepted.
    """
    found = find_submissions(folder, assignment.name)
    concealed = (assignment.path.resolve().parent, folder.resolve())
    free: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
    count = max(1, min(workers, len(found)))
    sandboxes = [Sandbox(concealed, not accept_weak_isolation) for _ in range(count)]
    for sandbox in sandboxes:
        free.put(sandbox)
    stopped = threading.Event()

    def one(student: str, path: Path) -> SubmissionResult | None:
        if stopped.is_set():
            return None
        sandbox = free.get()
        try:
            return grade(read_submission(student, path, assignment), assignment, cases, sandbox)
        except IsolationError:
            raise
        except Exception as error:  # the others are graded, and this one says that it was not
            why = f"{GRADING_FAILED}: {type(error).__name__}: {error}"
            return SubmissionResult(
                student=student,
                file=path.name,
                assignment=assignment.name,
                questions=[unanswered(question) for question in assignment.questions],
                error=why,
            )
        finally:
            free.put(sandbox)

    with ThreadPoolExecutor(count) as pool:
        try:
            for done in as_completed([pool.submit(one, *item) for item in found]):
                if (result := done.result()) is not None:
                    yield result
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            for sandbox in sandboxes:
                sandbox.close()


def grade(
    submission: Submission,
    assignment: Assignment,
    cases: dict[str, HiddenCases],
    sandbox: Sandbox,
) -> SubmissionResult:
    """Grade one submission; what is wrong with it costs its own points only."""
    result = SubmissionResult(
        student=submission.student,
        file=submission.path.name,
        assignment=assignment.name,
        error=submission.error,
    )
    shut: set[str] | None = None
    for question in assignment.questions:
        graded = unanswered(question)
        result.questions.append(graded)
        if submission.error:
            continue
        if question.written:
            take_words(graded, (submission.words or {}).get(question.name, ""))
            continue
        outcome = sandbox.ask(job_of(question.name, submission, assignment, cases))
        if outcome.isolation is not None:
            if sandbox.needs_files_shut and "files" not in outcome.isolation:
                raise IsolationError(
                    f"{NO_FILES_SHUT} from an answer (Landlock, Linux 5.13 or newer); grade in a "
                    "container that holds nothing else, with --accept-weak-isolation."
                )
            seen = set(outcome.isolation)
            shut = seen if shut is None else shut & seen
        judge(graded, outcome, cases[question.name])
    result.isolation = sorted(shut or ())
    return result


def unanswered(question: Question) -> QuestionResult:
    """Return the result of a question before anything is known."""
    return QuestionResult(
        name=question.name,
        title=question.title,
        points=0.0,
        maximum=question.points,
        bonus=question.bonus,
        state="missing",
    )


def job_of(
    name: str, submission: Submission, assignment: Assignment, cases: dict[str, HiddenCases]
) -> Job:
    """Build the job of one question."""
    question = cases[name].question
    return Job(
        name=name,
        names=tuple(asked.name for asked in assignment.functions()),
        cells=submission.cells,
        given=assignment.code["given"],
        probe=assignment.probes.get(name, ""),
        cases=cases[name].arguments,
        seconds=question.seconds,
        memory_mb=question.memory_mb,
    )


def take_words(graded: QuestionResult, words: str) -> None:
    """Keep a written answer for whoever marks it."""
    text = words.strip()
    if text and text != WORDS:
        graded.state, graded.answer = "by hand", text


def judge(graded: QuestionResult, outcome: Outcome, cases: HiddenCases) -> None:
    """Give the points of one question.

    All plain cases have to be right, so that a constant earns nothing. Then the cases at the edge
    add their share, all of them or none.
    """
    graded.seconds = outcome.seconds
    if outcome.missing or set(outcome.errors.values()) == {UNWRITTEN}:
        graded.note = outcome.missing or UNWRITTEN
        return
    for case in cases.arguments:
        wrong = outcome.errors.get(case)
        if wrong is None:
            wrong = cases.verdict(case, outcome.answers[case])
        if wrong is None:
            graded.passed.append(case)
        else:
            graded.wrong[case] = wrong
    edge = cases.question.edge_points if any(c.startswith(EDGE) for c in cases.arguments) else 0.0
    plain_wrong = any(not case.startswith(EDGE) for case in graded.wrong)
    if not graded.wrong:
        graded.points, graded.state = cases.question.points, "right"
    elif plain_wrong or not edge:
        graded.state = "wrong"
    else:
        graded.points, graded.state = cases.question.points - edge, "part"
