"""A batch of notebooks: a sweep whose cells are executed notebooks.

A run is skipped when a finished one of the same content is there: the notebook's source, its
parameters, the package with its data files, the result files it redraws, and the versions that
compute. Files are written whole or not at all, so a killed batch costs the running notebooks only.
A batch that was stopped goes on where it was, and what had failed in it stays failed; a batch that
has ended tries its failed runs again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fmtutor.bench.notebook_content import (
    check_declared,
    declared_parameters,
    fingerprint,
    read_notebook,
    source_digest,
    title_of,
)
from fmtutor.bench.notebook_work import NotebookWork, PlannedRun, RunRecord, Watch
from fmtutor.bench.parameter_grid import Grid, combinations, run_name
from fmtutor.bench.sweep import Done, Job, Runner, Serial, Task, sweep, tasks_of
from fmtutor.core.files import read_json, write_json

RESULTS_FILE = "results.json"
"""Records of all runs of the batch, in its order."""
BATCH_FILE = "batch.json"
"""Which batch the folder holds, and whether it has ended."""
RUNS_FOLDER = "finished"
"""One file for each finished run."""
CONFIG = {"of": "notebooks"}
DEFAULT_PROFILE = "quick"


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How a batch of notebooks runs."""

    profile: str = DEFAULT_PROFILE
    """Given to every notebook that has a parameter ``profile``."""
    parameters: Grid = field(default_factory=dict)
    """Further parameters with their values; every notebook must declare them."""
    timeout_s: float | None = None
    """Seconds that one cell may take; None is without limit."""
    force: bool = False
    """Run again what has a finished record."""


def run_notebooks(
    paths: Sequence[Path],
    config: BatchConfig,
    *,
    out: Path,
    runner: Runner | None = None,
    watch: Watch = lambda progress: None,
) -> Iterator[RunRecord]:
    """Run every notebook with every combination of parameters, and yield a record after each.

    Those that have run before come first. Close the iterator to stop.

    Args:
        paths: The notebooks; they are read only.
        config: Profile, parameters, limits.
        out: Gets ``NAME.ipynb`` (executed), ``finished/NAME.json`` and ``results.json``.
        runner: Where they run; None is here, one after the other.
        watch: Told before each cell, where they run here.

    Raises:
        ValueError: A notebook is not one, two have one name, a notebook does not declare a
            parameter, or another batch is using the folder.
    """
    runner = Serial() if runner is None else runner
    planned = plan(paths, config)
    work = NotebookWork(
        runs=planned,
        out=out.resolve(),
        timeout_s=config.timeout_s,
        watch=watch if isinstance(runner, Serial) else None,
    )
    with _held(out):
        yield from _batch(work, runner, force=config.force)


def plan(paths: Sequence[Path], config: BatchConfig) -> list[PlannedRun]:
    """Return the runs of a batch in their order; nothing is written.

    Raises:
        ValueError: As `run_notebooks`.
    """
    notebooks = named(paths)
    sources = {name: read_notebook(path) for name, path in notebooks.items()}
    check_declared(config.parameters, sources)
    runs = []
    for name, path in notebooks.items():
        source, folder = sources[name], path.resolve().parent
        declared = declared_parameters(source)
        for given in combinations(config.parameters):
            parameters = {"profile": config.profile, **given} if "profile" in declared else given
            shown = {k: v for k, v in parameters.items() if (k, v) != ("profile", DEFAULT_PROFILE)}
            runs.append(
                PlannedRun(
                    name=run_name(name, shown),
                    path=path.resolve(),
                    title=title_of(source, name),
                    parameters=parameters,
                    source=source_digest(source),
                    content=fingerprint(source, parameters, folder=folder),
                )
            )
    return runs


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Give each notebook a name: its stem, with its folder in front where stems repeat."""
    stems = Counter(path.stem for path in paths)
    names = [p.stem if stems[p.stem] == 1 else f"{p.resolve().parent.name}-{p.stem}" for p in paths]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(
            f"a batch holds each notebook once, got {twice} twice; run them in two batches."
        )
    return dict(zip(names, paths, strict=True))


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """Keep a second batch out of the folder; the system frees it when this process dies."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise ValueError(
            f"one batch at a time runs in a folder, another one is at work in {out}; wait for its "
            "end, or name another folder with --out."
        ) from error


def _batch(work: NotebookWork, runner: Runner, *, force: bool) -> Iterator[RunRecord]:
    folder = work.out / RUNS_FOLDER
    jobs = [
        Job(name=run.name, payload={"name": run.name, "content": run.content}) for run in work.runs
    ]
    tasks = {task.job.name: task for task in tasks_of(jobs, work, folder, CONFIG)}
    mark = _begin(work.out, list(tasks.values()), force=force)
    records: dict[str, RunRecord] = {}
    with closing(sweep(jobs, work, folder, config=CONFIG, runner=runner)) as outcomes:
        for done in outcomes:
            records[done.name] = _record(done, tasks[done.name], work.runs)
            rows = [asdict(records[name]) for name in tasks if name in records]
            write_json(work.out / RESULTS_FILE, rows)
            yield records[done.name]
    write_json(work.out / BATCH_FILE, {"batch": mark, "ended": True})


def _begin(out: Path, tasks: Sequence[Task], *, force: bool) -> str:
    """Forget what this batch is to run again, unless it only goes on after a stop."""
    marks = [task.fingerprint for task in tasks]
    mark = hashlib.sha256(f"{force} {marks}".encode()).hexdigest()[:16]
    path = out / BATCH_FILE
    goes_on = path.exists() and read_json(path) == {"batch": mark, "ended": False}
    for task in tasks:
        lost = not (out / f"{task.job.name}.ipynb").exists()
        if lost or (not goes_on and (force or _failed(task))):
            task.result.unlink(missing_ok=True)
    write_json(path, {"batch": mark, "ended": False})
    return mark


def _failed(task: Task) -> bool:
    return task.finished() and read_json(task.result)["state"] == "failed"


def _record(done: Done, task: Task, runs: Sequence[PlannedRun]) -> RunRecord:
    """Return the record that the work wrote; its own failure is a record too."""
    if task.finished():
        record = _read_record(read_json(task.result))
        if done.state != "kept":
            return record
        return replace(record, kept=True, state="failed" if record.error else "skipped")
    run = next(run for run in runs if run.name == done.name)
    return RunRecord(
        name=run.name,
        title=run.title,
        state="failed",
        error=done.error,
        traceback=task.error.read_text() if task.error.exists() else done.error,
        seconds=round(done.seconds, 2),
        parameters=run.parameters,
        fingerprint=task.fingerprint,
    )


def _read_record(values: Mapping[str, Any]) -> RunRecord:
    return RunRecord(**{**values, "cell_seconds": tuple(values["cell_seconds"])})
