"""A batch of notebooks: one after the other, resumable, the failed one reported and the rest run.

A notebook is skipped when a finished record of the same fingerprint is there: its source, its
parameters, the package with its data files, the result files it redraws, and the versions that
compute. Files are written whole or not at all, so a killed batch costs the running notebook only.
"""

import ast
import functools
import hashlib
import importlib.metadata
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

import fmtutor
from fmtutor.bench.notebook_cleaning import cleaned, fitted, machine_paths, without_machine_paths
from fmtutor.bench.notebook_kernel import Execution, execute
from fmtutor.core.files import atomic_path, read_json, write_json

State = Literal["done", "failed", "skipped"]
COMPUTING = ("torch", "monai", "numpy", "scipy", "matplotlib")
RESULTS_FILE = "results.json"


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How a batch of notebooks runs."""

    profile: str = "quick"
    """Given to every notebook that has a parameter ``profile``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters, given to each notebook that declares them."""
    timeout_s: float | None = None
    """Seconds that one cell may take; None is without limit."""
    force: bool = False
    """Run again what has a finished record."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What became of one notebook."""

    name: str
    """Stem of its files in the output folder."""
    title: str
    """Its first heading."""
    state: State
    """done, failed, or skipped (an equal run was there; its numbers are repeated)."""
    error: str
    """What stopped it, in one line; empty when it ran to its end."""
    seconds: float
    """Wall time, start of the kernel included."""
    peak_mb: float
    """Largest resident memory of the kernel and its children, 10^6 bytes."""
    cell_seconds: tuple[float, ...]
    """Seconds of each code cell, in order."""
    parameters: Mapping[str, Any]
    """What was injected."""
    fingerprint: str
    """Of everything that its outputs depend on."""
    finished: str
    """When it ended, UTC."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the batch is."""

    name: str
    """The notebook that runs."""
    index: int
    """Its number, from 0."""
    total: int
    """Notebooks in the batch."""
    cell: int
    """The cell that starts, from 0."""
    cells: int
    """Cells of this notebook."""


def run_notebooks(
    paths: Sequence[Path],
    config: BatchConfig,
    *,
    out: Path,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Iterator[RunRecord]:
    """Run notebooks in order, and yield a record after each.

    Args:
        paths: The notebooks; they are read only.
        config: Profile, parameters, limits.
        out: Gets ``NAME.ipynb`` (executed), ``records/NAME.json`` and ``results.json``.
        watch: Told before each cell.

    Raises:
        ValueError: A notebook is not one, two have one name, or no notebook declares a parameter.
    """
    sources = {name: _read(path) for name, path in named(paths).items()}
    _check_parameters(config.parameters, sources)
    records: dict[str, RunRecord] = {}
    for index, (name, path) in enumerate(named(paths).items()):
        parameters = _injected(sources[name], config)
        mark = fingerprint(sources[name], parameters, folder=path.resolve().parent)
        record = None if config.force else _finished_record(out, name, mark)
        if record is None:
            seen = functools.partial(_tell, watch, name, index, len(sources))
            execution = execute(path, parameters=parameters, timeout_s=config.timeout_s, watch=seen)
            record = _record(name, execution, parameters=parameters, mark=mark)
            _write_notebook(
                out / f"{name}.ipynb", without_machine_paths(cleaned(execution.notebook))
            )
            write_json(out / "records" / f"{name}.json", asdict(record))
        records[name] = record
        write_json(out / RESULTS_FILE, [asdict(each) for each in records.values()])
        yield record


def refresh_notebooks(
    paths: Sequence[Path],
    *,
    timeout_s: float | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Iterator[RunRecord]:
    """Execute committed notebooks with their own parameters and write them back clean.

    A notebook that fails, shows a path of this machine or is too large keeps its old file.
    """
    sources = {name: _read(path) for name, path in named(paths).items()}
    for index, (name, path) in enumerate(named(paths).items()):
        seen = functools.partial(_tell, watch, name, index, len(sources))
        execution = execute(path, parameters={}, timeout_s=timeout_s, watch=seen)
        clean = cleaned(execution.notebook)
        if not execution.error and (shown := machine_paths(clean)):
            execution.error = (
                f"a committed notebook shows no machine path, got {'; '.join(shown[:3])}."
            )
        if not execution.error:
            try:
                _write_notebook(path, fitted(clean))
            except ValueError as error:
                execution.error = str(error)
        yield _record(name, execution, parameters={}, mark="")


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Give each notebook a name: its stem, with its folder in front where stems repeat."""
    stems = Counter(path.stem for path in paths)
    names = [p.stem if stems[p.stem] == 1 else f"{p.resolve().parent.name}-{p.stem}" for p in paths]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(
            f"a batch holds each notebook once, got {twice} twice; run them in two batches."
        )
    return dict(zip(names, paths, strict=True))


def declared_parameters(notebook: NotebookNode) -> set[str]:
    """Return the names that the cell tagged ``parameters`` assigns."""
    found: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found.add(node.id)
    return found


def fingerprint(notebook: NotebookNode, parameters: Mapping[str, Any], *, folder: Path) -> str:
    """Return 16 hex digits of everything that the outputs depend on, old outputs aside."""
    cells = [
        (cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells
    ]
    versions = {name: _version(name) for name in COMPUTING} | {"python": platform.python_version()}
    results = sorted((folder.parent / "benchmarks").glob("*/results/*.json"))
    parts = [cells, dict(parameters), versions, _package_digest(), _digest(results, folder.parent)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def title_of(notebook: NotebookNode, default: str = "") -> str:
    """Return the first heading of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    return line.lstrip("# ").strip()
    return default


def _read(path: Path) -> NotebookNode:
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise ValueError(
            f"{path} must be a notebook (nbformat 4), got a file that is not: {reason}"
        ) from error
    return notebook


def _check_parameters(parameters: Mapping[str, Any], sources: Mapping[str, NotebookNode]) -> None:
    known = set().union(*(declared_parameters(notebook) for notebook in sources.values()))
    if unknown := sorted(set(parameters) - known):
        raise ValueError(
            f"a parameter must stand in a notebook's cell tagged `parameters`, got {unknown}; "
            f"these notebooks have: {sorted(known) or 'none'}."
        )


def _injected(notebook: NotebookNode, config: BatchConfig) -> dict[str, Any]:
    wanted = {"profile": config.profile, **config.parameters}
    declared = declared_parameters(notebook)
    return {name: value for name, value in wanted.items() if name in declared}


def _finished_record(out: Path, name: str, mark: str) -> RunRecord | None:
    """Return the record of an equal run that ended well, marked as skipped."""
    path = out / "records" / f"{name}.json"
    if not (path.exists() and (out / f"{name}.ipynb").exists()):
        return None
    values = read_json(path)
    if values.get("fingerprint") != mark or values.get("state") != "done":
        return None
    return RunRecord(
        **{**values, "state": "skipped", "cell_seconds": tuple(values["cell_seconds"])}
    )


def _record(
    name: str, execution: Execution, *, parameters: Mapping[str, Any], mark: str
) -> RunRecord:
    return RunRecord(
        name=name,
        title=title_of(execution.notebook, name),
        state="failed" if execution.error else "done",
        error=execution.error,
        seconds=round(execution.seconds, 2),
        peak_mb=round(execution.peak_bytes / 1e6, 1),
        cell_seconds=tuple(execution.cells),
        parameters=dict(parameters),
        fingerprint=mark,
        finished=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _write_notebook(path: Path, notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    with atomic_path(path) as part:
        nbformat.write(notebook, part)


def _tell(
    watch: Callable[[Progress], None], name: str, index: int, total: int, cell: int, cells: int
) -> None:
    watch(Progress(name=name, index=index, total=total, cell=cell, cells=cells))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@functools.cache
def _package_digest() -> str:
    """Hash the package's files: code, tables, weights."""
    root = Path(fmtutor.__file__).parent
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return _digest(files, root)


def _digest(files: Sequence[Path], root: Path) -> str:
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(root).as_posix()}\0".encode())
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
