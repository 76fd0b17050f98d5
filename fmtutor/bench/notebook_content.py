"""What a notebook is, before it runs: its title, its parameters, and what its outputs depend on."""

import ast
import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import fmtutor

COMPUTING = ("torch", "monai", "numpy", "scipy", "matplotlib")


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file.

    Raises:
        ValueError: It is none.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise ValueError(
            f"{path} must be a notebook (nbformat 4), got a file that is not: {reason}"
        ) from error
    return notebook


def title_of(notebook: NotebookNode, default: str = "") -> str:
    """Return the first heading of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    return line.lstrip("# ").strip()
    return default


def declared_parameters(notebook: NotebookNode) -> set[str]:
    """Return the names that the cell tagged ``parameters`` assigns."""
    found: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    found.add(node.id)
    return found


def check_declared(names: Iterable[str], sources: Mapping[str, NotebookNode]) -> None:
    """Raise ValueError for parameters that a notebook of the batch does not declare."""
    problems = []
    for name, notebook in sources.items():
        known = declared_parameters(notebook)
        if unknown := sorted(set(names) - known):
            has = ", ".join(sorted(known)) or "none"
            problems.append(f"{name} has no {', '.join(unknown)}, it has: {has}")
    if problems:
        raise ValueError(
            "a parameter must stand in the notebook's cell tagged `parameters`: "
            f"{'; '.join(problems)}. Correct its name, or run the other notebooks only."
        )


def source_digest(notebook: NotebookNode) -> str:
    """Return a hash of what a notebook says, its outputs aside."""
    cells = [
        (cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def fingerprint(notebook: NotebookNode, parameters: Mapping[str, Any], *, folder: Path) -> str:
    """Return 16 hex digits of everything that the outputs depend on, old outputs aside.

    Args:
        notebook: The notebook.
        parameters: What is injected into it.
        folder: The notebook's; result files are looked for in ``benchmarks`` beside it.
    """
    versions = {name: _version(name) for name in COMPUTING} | {"python": platform.python_version()}
    results = sorted((folder.parent / "benchmarks").glob("*/results/*.json"))
    parts = [
        source_digest(notebook),
        sorted((name, repr(value)) for name, value in parameters.items()),
        versions,
        _package_digest(),
        _digest(results, folder.parent),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


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
