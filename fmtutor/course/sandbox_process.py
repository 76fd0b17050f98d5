"""The grader's end of the sandbox: start its process, hand it a question, read what came back."""

import json
import os
import pickle
import site
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from fmtutor.course.sandbox.answers import UnreadableAnswerError, read_line
from fmtutor.course.sandbox.worker import read_frame, write_frame

HERE = Path(__file__).parent
HIDDEN_PACKAGES = ("fmtutor",)
# The folder of `sandbox` is taken off the path again, so that no other module of ours is there.
START = (
    "import sys; folder, *packages = sys.argv[1:]; sys.path += packages; "
    "sys.path.insert(0, folder); import sandbox.child; from sandbox.worker import main; "
    "sys.path.remove(folder); main()"
)
ENDS = {
    "time": "it took longer than the {seconds:g} s of this question",
    "size": "it returned more than grading reads",
    "died": "the process ended before it had answered (os._exit, a crash, or too much memory)",
    "done": "the process ended before it had answered",
}


class SandboxError(RuntimeError):
    """The sandbox itself failed, which is no fault of a student."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One question to one submission."""

    name: str
    """The function that is called."""
    names: tuple[str, ...]
    """All functions of the assignment: an answer may call the student's other answers."""
    cells: tuple[str, ...]
    """Sources of the submission's code cells."""
    given: str
    """The instructor's code that stands before the questions."""
    probe: str = ""
    """Code of `probe_NAME(function, *arguments)`, where a question asks more than a call."""
    cases: dict[str, tuple]
    """Name of a case to the arguments."""
    seconds: float
    memory_mb: int


@dataclass
class Outcome:
    """What a sandbox brought back; nothing in it is trusted but its form."""

    answers: dict[str, Any] = field(default_factory=dict)
    """Name of a case to the encoded answer."""
    errors: dict[str, str] = field(default_factory=dict)
    """Name of a case to what went wrong."""
    missing: str = ""
    """Why there is no such function."""
    isolation: tuple[str, ...] | None = None
    """What was shut: "network", "processes", "files"; None if the process never came so far."""
    seconds: float = 0.0


@dataclass
class Sandbox:
    """A process that answers jobs one after the other; a context manager.

    Args:
        concealed: Folders that an answer must not read: solutions, other submissions, results.
        needs_files_shut: Refuse to run an answer where the system cannot shut files off.
    """

    concealed: tuple[Path, ...]
    needs_files_shut: bool = True
    process: "subprocess.Popen[bytes] | None" = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, job: Job) -> Outcome:
        """Run one job, in a process of its own behind this one."""
        header = {
            "seconds": job.seconds,
            "memory_mb": job.memory_mb,
            "hidden_packages": HIDDEN_PACKAGES,
            "concealed": [str(path) for path in (HERE.parent, *self.concealed)],
            "needs_files_shut": self.needs_files_shut,
        }
        names = ("name", "names", "cells", "given", "probe", "cases")
        question = {name: getattr(job, name) for name in names}
        source, target = self.started()
        try:
            write_frame(target, json.dumps(header).encode())
            write_frame(target, pickle.dumps(question))
            ending, lines = read_frame(source), read_frame(source)
        except OSError:
            ending = lines = None
        if ending is None or lines is None:
            self.close()
            return Outcome(errors=dict.fromkeys(job.cases, ENDS["died"]))
        return read_outcome(json.loads(ending), lines, job)

    def started(self) -> tuple[BinaryIO, BinaryIO]:
        """Return the pipes from and to the process; start one if there is none."""
        if self.process is not None and self.process.poll() is not None:
            self.close()
        if self.process is None:
            packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
            packages |= {*site.getsitepackages()}
            keep = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
            environment = {name: os.environ[name] for name in keep if name in os.environ}
            threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
            # -I: neither the environment nor the current folder adds modules; -S: neither do the
            # .pth files, through which an editable install of fmtutor would be found.
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", START, str(HERE), *sorted(packages)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**environment, **threads},
            )
        source, target = self.process.stdout, self.process.stdin
        if source is None or target is None:
            raise SandboxError("the sandbox's process has no pipes.")
        return cast(BinaryIO, source), cast(BinaryIO, target)

    def close(self) -> None:
        """End the process."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process = None


def read_outcome(ending: dict[str, Any], lines: bytes, job: Job) -> Outcome:
    """Sort the lines that came back; a case without one gets the reason of the process' end."""
    outcome = Outcome(seconds=ending["seconds"])
    for line in lines.split(b"\n"):
        if not line:
            continue
        try:
            read_into(outcome, read_line(line), job)
        except (UnreadableAnswerError, TypeError, ValueError):
            continue  # what cannot be read is no answer: its case is filled in below
    if outcome.missing:
        return outcome
    reason = ENDS[ending["end"]].format(seconds=job.seconds)
    for case in job.cases:
        if case not in outcome.answers:
            outcome.errors.setdefault(case, reason)
    return outcome


def read_into(outcome: Outcome, line: dict[str, Any], job: Job) -> None:
    """Take one line into the outcome; the first line about a thing counts."""
    if "isolation" in line and outcome.isolation is None:
        outcome.isolation = tuple(str(name) for name in line["isolation"])
    elif "broken" in line and outcome.isolation is None:
        raise SandboxError(f"the sandbox broke before the answer ran:\n{line['broken']}")
    elif "missing" in line:
        outcome.missing = str(line["missing"])
    elif line.get("case") in job.cases and line["case"] not in outcome.answers:
        if "error" in line:
            outcome.errors[line["case"]] = str(line["error"])
        elif "value" in line:
            outcome.answers[line["case"]] = line["value"]
