"""One run of a batch: a notebook with its parameters, executed and written, here or on a worker."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from fmtutor.bench.notebook_cleaning import cleaned, without_machine_paths
from fmtutor.bench.notebook_content import read_notebook, source_digest, title_of
from fmtutor.bench.notebook_kernel import Execution, execute
from fmtutor.core.files import atomic_path

State = Literal["done", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """A notebook that is to run with these parameters."""

    name: str
    """Stem of its files in the output folder."""
    path: Path
    """The notebook; it is read only."""
    title: str
    """Its first heading."""
    parameters: Mapping[str, Any]
    """What is injected."""
    source: str
    """Hash of its cells when the batch began."""
    content: str
    """Fingerprint of everything that its outputs depend on."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What became of one run."""

    name: str
    """Stem of its files in the output folder."""
    title: str
    """The notebook's first heading."""
    state: State
    """done, failed, or skipped (an equal run was there; its numbers are repeated)."""
    error: str = ""
    """What stopped it, in one line; empty when it ran to its end."""
    traceback: str = ""
    """Why there is no executed notebook; empty where there is one."""
    kept: bool = False
    """It ran before the batch was stopped, not now."""
    seconds: float = 0.0
    """Wall time, start of the kernel included."""
    peak_mb: float = 0.0
    """Largest resident memory of the kernel and its children, 10^6 bytes."""
    cell_seconds: tuple[float, ...] = ()
    """Seconds of each code cell, in order."""
    parameters: Mapping[str, Any]
    """What was injected."""
    fingerprint: str = ""
    """Of everything that its outputs depend on."""
    finished: str = ""
    """When it ended, UTC."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the batch is."""

    name: str
    """The run."""
    index: int
    """Its number, from 0."""
    total: int
    """Runs of the batch."""
    cell: int
    """The cell that starts, from 0."""
    cells: int
    """Cells of this notebook."""


Watch = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class NotebookWork:
    """From the name of a planned run to its record: what a sweep sends to its workers."""

    runs: Sequence[PlannedRun]
    """The whole batch."""
    out: Path
    """Gets the executed notebooks; absolute, and seen by every worker."""
    timeout_s: float | None
    """Seconds that one cell may take; None is without limit."""
    watch: Watch | None = None
    """Told before each cell; only where the work is done in this process."""

    def __call__(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Execute the notebook, write it, and return its record as plain values.

        The notebook is written before its record: a process killed in between runs it again.

        Raises:
            ValueError: The notebook was edited after the batch began.
        """
        index, run = next(
            (index, run) for index, run in enumerate(self.runs) if run.name == payload["name"]
        )
        if source_digest(read_notebook(run.path)) != run.source:
            raise ValueError(
                f"a notebook stays as it is while its batch runs, {run.path.name} was edited; run "
                "the same command again."
            )
        seen = functools.partial(self._tell, run.name, index)
        execution = execute(
            run.path, parameters=run.parameters, timeout_s=self.timeout_s, watch=seen
        )
        write_notebook(
            self.out / f"{run.name}.ipynb", without_machine_paths(cleaned(execution.notebook))
        )
        return asdict(recorded(run.name, execution, parameters=run.parameters))

    def _tell(self, name: str, index: int, cell: int, cells: int) -> None:
        if self.watch is not None:
            self.watch(
                Progress(name=name, index=index, total=len(self.runs), cell=cell, cells=cells)
            )


def recorded(name: str, execution: Execution, *, parameters: Mapping[str, Any]) -> RunRecord:
    """Return the record of an execution."""
    return RunRecord(
        name=name,
        title=title_of(execution.notebook, name),
        state="failed" if execution.error else "done",
        error=execution.error,
        seconds=round(execution.seconds, 2),
        peak_mb=round(execution.peak_bytes / 1e6, 1),
        cell_seconds=tuple(execution.cells),
        parameters=dict(parameters),
        finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def write_notebook(path: Path, notebook: NotebookNode) -> None:
    """Write a valid notebook, whole or not at all."""
    nbformat.validate(notebook)
    with atomic_path(path) as part:
        nbformat.write(notebook, part)
