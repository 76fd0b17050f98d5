"""Executing one notebook: papermill on this very interpreter, with time and memory measured.

The kernel is always ``sys.executable``: no kernel specification of the user or the system is
looked up, so a notebook cannot run in another environment than the command that runs it.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

import fmtutor

ENGINE = "fmtutor"
SAMPLE_SECONDS = 0.1
Watch = Callable[[int, int], None]
"""Called before each cell with its number (from 0) and the number of cells."""


@dataclass(kw_only=True)
class Execution:
    """One notebook as it ran, whether to its end or not."""

    notebook: nbformat.NotebookNode
    """The notebook with the outputs there are."""
    seconds: float = 0.0
    """Wall time, start of the kernel included."""
    peak_bytes: int = 0
    """Largest resident memory of the kernel and its children together."""
    error: str = ""
    """What stopped it, in one line; empty when it ran to its end."""
    cells: list[float] = field(default_factory=list)
    """Seconds of each code cell."""


class OwnInterpreter(KernelSpecManager):
    """Knows one kernel, whatever name is asked for: the interpreter that is running."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the specification of this interpreter's kernel."""
        argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
        argv += ["-f", "{connection_file}", "--log-level=CRITICAL"]
        return KernelSpec(argv=argv, display_name="Python 3 (ipykernel)", language="python")


class StoppableClient(PapermillNotebookClient):
    """papermill's client, which ends the kernel at once when the user stops the batch.

    A kernel that computes does not hear a polite request, and would keep the user waiting.
    """

    def papermill_execute_cells(self) -> None:
        """Execute the cells."""
        try:
            super().papermill_execute_cells()
        except KeyboardInterrupt:
            self.shutdown_kernel = "immediate"
            raise


class MeasuredEngine(Engine):
    """papermill's engine with our kernel, a memory meter, and a call before each cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute; `options` holds `execution`, `watch`, `timeout_s` and `folder` of `execute`."""
        execution, watch = options["execution"], options["watch"]
        execution.notebook = nb_man.nb
        count = len(nb_man.nb.cells)
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=OwnInterpreter())
        client = StoppableClient(
            nb_man,
            km=manager,
            timeout=options["timeout_s"],
            startup_timeout=120,
            kernel_name="python3",
            store_widget_state=False,
            on_cell_start=lambda cell, cell_index: watch(cell_index, count),
            resources={"metadata": {"path": str(options["folder"])}},
        )
        client.owns_km = True  # so that nbclient ends the kernel, as it would its own
        meter = _MemoryMeter(manager)
        with tempfile.TemporaryDirectory(prefix="fmtutor-ipython-") as profile:
            meter.start()
            try:
                client.execute(env=_environment(Path(profile)))
            finally:
                execution.peak_bytes = meter.stop()


papermill_engines.register(ENGINE, MeasuredEngine)


def execute(
    path: Path,
    *,
    parameters: Mapping[str, Any],
    timeout_s: float | None = None,
    watch: Watch = lambda number, count: None,
) -> Execution:
    """Run a notebook from its own folder.

    Args:
        path: The notebook; it is read only.
        parameters: Values injected after the cell tagged ``parameters``; none leaves it as it is.
        timeout_s: Seconds one cell may take; None is without limit.
        watch: Told about each cell before it runs.

    Returns:
        The execution; a failing cell, a cell over time and a dead kernel are in its ``error``.
    """
    execution = Execution(notebook=nbformat.v4.new_notebook())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fmtutor-run-") as scratch:
        try:
            papermill.execute_notebook(
                str(path),
                str(Path(scratch) / path.name),
                dict(parameters),
                engine_name=ENGINE,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                execution=execution,
                watch=watch,
                timeout_s=timeout_s,
                folder=path.resolve().parent,
            )
        except PapermillExecutionError as error:
            execution.error = f"{error.ename}: {error.evalue}".strip()
        except (
            RuntimeError,
            TimeoutError,
            OSError,
        ) as error:  # nbclient: dead kernel, cell over time
            execution.error = _first_line(error)
    execution.seconds = time.perf_counter() - start
    execution.cells = [
        _duration(cell) for cell in execution.notebook.cells if cell.cell_type == "code"
    ]
    return execution


class _MemoryMeter:
    """Samples the resident memory of a kernel's process tree in a thread."""

    def __init__(self, manager: AsyncKernelManager) -> None:
        self._manager = manager
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def start(self) -> None:
        """Begin; the kernel need not be there yet."""
        self._thread.start()

    def stop(self) -> int:
        """End, and return the largest sum seen, in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak

    def _measure(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            number = getattr(self._manager.provisioner, "pid", None)
            if number:
                self._peak = max(self._peak, _resident_bytes(number))


def _resident_bytes(number: int) -> int:
    """Sum the resident memory of a process and its descendants; 0 when it is gone."""
    try:
        parent = psutil.Process(number)
        tree = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in tree:
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it ended between the listing and the look
            continue
    return total


def _environment(profile: Path) -> dict[str, str]:
    """Return the kernel's environment: no start-up files of the user, and this package first."""
    root = Path(fmtutor.__file__).resolve().parents[1]
    own = [] if root.name in {"site-packages", "dist-packages"} else [str(root)]
    paths = [*own, *filter(None, [os.environ.get("PYTHONPATH")])]
    changes = {
        "IPYTHONDIR": str(profile),
        "FMTUTOR_INTERACTIVE": "0",
        # A backend set for batch jobs (Agg) would leave notebooks without figures.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    return {**os.environ, **changes}


def _duration(cell: nbformat.NotebookNode) -> float:
    seconds = cell.metadata.get("papermill", {}).get("duration")
    return round(float(seconds), 3) if seconds is not None else 0.0


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
