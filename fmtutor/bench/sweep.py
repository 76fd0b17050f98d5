"""Sweeps: many jobs, one JSON file each, that survive a stop, a failure and a killed worker.

A *job* is a name and plain values; *work* turns the values into a result, here or in any process.
A folder belongs to one configuration (``sweep.json``). The worker itself writes ``NAME.json``,
whole or not at all, with a fingerprint of configuration and values: a job whose file has the right
one is never run again. A job that fails leaves ``NAME.error.txt`` and the others go on; the next
sweep of the folder tries it again.

Where jobs run is the runner's: `Serial` here, others in `fmtutor.bench.sweep_runners`.
"""

import json
import re
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from fmtutor.core.configs import fingerprint
from fmtutor.core.files import atomic_path, read_json, write_json

CLAIM = "sweep.json"
"""File with the configuration that a folder belongs to."""
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")
Work = Callable[[dict[str, Any]], dict[str, Any]]
"""From a job's values to its result; both are plain JSON values."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of a sweep."""

    name: str
    """Unique in its sweep, and good as a file name."""
    payload: dict[str, Any]
    """Plain values that the work gets."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a job."""

    name: str
    state: Literal["done", "kept", "failed"]
    """"kept" was there already."""
    seconds: float = 0.0
    """Wall time of this run."""
    error: str = ""
    """Last line of the failure."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A job with its work and its files: all that a worker needs to be sent."""

    job: Job
    work: Work
    folder: Path
    fingerprint: str

    @property
    def result(self) -> Path:
        """Where the result goes."""
        return self.folder / f"{self.job.name}.json"

    @property
    def error(self) -> Path:
        """Where the traceback of a failure goes."""
        return self.folder / f"{self.job.name}.error.txt"

    def finished(self) -> bool:
        """Tell whether the file of this very job is there; a damaged one is not."""
        try:
            return read_json(self.result)["fingerprint"] == self.fingerprint
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return False

    def run(self) -> Done:
        """Do the work and write its result; whatever it raises becomes a failed `Done`.

        Where the result is there already, a worker that died after writing it has done the work.
        """
        began = time.perf_counter()
        if self.finished():
            return Done(name=self.job.name, state="done")
        try:
            if not (self.folder / CLAIM).exists():
                raise FileNotFoundError(
                    f"a worker must see the folder of the sweep, {self.folder}; choose one on a "
                    "disk that all workers share."
                )
            write_json(
                self.result, {**self.work(self.job.payload), "fingerprint": self.fingerprint}
            )
        except Exception as error:
            return self.failed(error, time.perf_counter() - began)
        self.error.unlink(missing_ok=True)
        return Done(name=self.job.name, state="done", seconds=time.perf_counter() - began)

    def failed(self, error: BaseException, seconds: float = 0.0) -> Done:
        """Keep the traceback beside the results, as far as the disk allows, and say so."""
        with suppress(OSError), atomic_path(self.error) as part:
            part.write_text("".join(traceback.format_exception(error)))
        line = traceback.format_exception_only(error)[-1].strip()
        return Done(name=self.job.name, state="failed", seconds=seconds, error=line)


@runtime_checkable
class Runner(Protocol):
    """Where and how tasks run."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Run the tasks and yield what became of each, in any order; stop all when closed."""
        ...


@dataclass(frozen=True)
class Serial:
    """One task after the other, in this process."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Run the tasks in their order."""
        for task in tasks:
            yield task.run()


@dataclass(frozen=True, kw_only=True)
class _Identity:
    """What a finished job must have been run with."""

    config: dict[str, Any]
    payload: dict[str, Any]


def sweep(
    jobs: Sequence[Job], work: Work, folder: Path, *, config: dict[str, Any], runner: Runner
) -> Generator[Done, None, None]:
    """Run the jobs of a folder that are not finished; those that are come first, as "kept".

    Close the iterator to stop: finished results stay, and no worker is left behind.

    Args:
        jobs: What to run, most wanted first.
        work: From a job's payload to its result; with workers elsewhere, importable by them.
        folder: Of the results; made where it is missing.
        config: What all jobs share, plain values; the folder is bound to it.
        runner: Where jobs run.

    Raises:
        ValueError: The folder belongs to another configuration or holds other files, or a name is
            no file name or comes twice. Nothing is written then.
    """
    check_names(jobs)
    folder = folder.resolve()
    tasks = tasks_of(jobs, work, folder, config)
    claim(folder, config)
    return _outcomes(tasks, runner)


def tasks_of(
    jobs: Sequence[Job], work: Work, folder: Path, config: dict[str, Any]
) -> tuple[Task, ...]:
    """Return jobs with their files; nothing is written or read."""
    return tuple(
        Task(
            job=job,
            work=work,
            folder=folder,
            fingerprint=fingerprint(_Identity(config=config, payload=job.payload)),
        )
        for job in jobs
    )


def check_names(jobs: Sequence[Job]) -> None:
    """Raise ValueError for names that cannot each be a file of their own."""
    names = [job.name for job in jobs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each job needs a name of its own, got {', '.join(twice)} twice.")
    odd = [name for name in names if not FILE_NAME.fullmatch(name) or f"{name}.json" == CLAIM]
    if odd:
        raise ValueError(
            f"a job's name must be letters, digits and _.+=- and not 'sweep', got {odd[0]!r}."
        )


def claim(folder: Path, config: dict[str, Any]) -> None:
    """Bind a folder to a configuration, or check that it is bound to this one.

    Raises:
        ValueError: It belongs to another one, or holds JSON files of another origin.
    """
    path, wanted = folder / CLAIM, json.loads(json.dumps(config))
    if path.exists():
        there = read_json(path)
        if there != wanted:
            differences = "; ".join(differing(there, wanted))
            raise ValueError(
                f"{folder} holds results of another configuration ({differences}); name another "
                "folder, or move that one away."
            )
        return
    if any(folder.glob("*.json")):
        raise ValueError(
            f"{folder} has JSON files but no {CLAIM}: a sweep needs a folder of its own."
        )
    write_json(path, wanted)


def differing(there: Any, wanted: Any, name: str = "") -> list[str]:
    """Name the values that differ between two configurations, nested ones by dots."""
    if not (isinstance(there, dict) and isinstance(wanted, dict)):
        return [] if there == wanted else [f"{name} is {there!r} there, {wanted!r} here"]
    lines = []
    for key in sorted(there.keys() | wanted.keys()):
        at = f"{name}.{key}" if name else key
        lines += differing(there.get(key), wanted.get(key), at)
    return lines


def _outcomes(tasks: Sequence[Task], runner: Runner) -> Generator[Done, None, None]:
    waiting = []
    for task in tasks:
        if task.finished():
            yield Done(name=task.job.name, state="kept")
        else:
            waiting.append(task)
    if waiting:
        yield from runner.run(waiting)
