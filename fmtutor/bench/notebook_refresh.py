"""Regenerating the committed notebooks: executed as they stand, written back clean or not."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from fmtutor.bench.notebook_cleaning import cleaned, fitted, machine_paths
from fmtutor.bench.notebook_content import read_notebook
from fmtutor.bench.notebook_kernel import execute
from fmtutor.bench.notebook_runs import named
from fmtutor.bench.notebook_work import Progress, RunRecord, Watch, recorded, write_notebook


def refresh_notebooks(
    paths: Sequence[Path],
    *,
    timeout_s: float | None = None,
    watch: Watch = lambda progress: None,
) -> Iterator[RunRecord]:
    """Execute committed notebooks with their own parameters and write them back clean.

    A notebook that fails, shows a path of this machine or is too large keeps its old file.

    Args:
        paths: The notebooks, which are replaced.
        timeout_s: Seconds that one cell may take; None is without limit.
        watch: Told before each cell.
    """
    notebooks = named(paths)
    for path in paths:
        read_notebook(path)
    for index, (name, path) in enumerate(notebooks.items()):
        seen = functools.partial(_tell, watch, name, index, len(notebooks))
        execution = execute(path, parameters={}, timeout_s=timeout_s, watch=seen)
        clean = cleaned(execution.notebook)
        if not execution.error and (shown := machine_paths(clean)):
            execution.error = (
                f"a committed notebook shows no machine path, got {'; '.join(shown[:3])}."
            )
        if not execution.error:
            try:
                write_notebook(path, fitted(clean))
            except ValueError as error:
                execution.error = str(error)
        yield recorded(name, execution, parameters={})


def _tell(watch: Watch, name: str, index: int, total: int, cell: int, cells: int) -> None:
    watch(Progress(name=name, index=index, total=total, cell=cell, cells=cells))
