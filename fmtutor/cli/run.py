"""`fmtutor run`: execute notebooks, and leave them, their numbers and an HTML report."""

import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from fmtutor.bench.notebook_runs import Progress, RunRecord

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
CELL_LIMIT_S = {"quick": 600.0, "gpu": 6 * 3600.0, "paper": 0.0}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Execute notebooks in order; one that fails is reported and the rest run."""

    notebooks: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Notebooks or folders of them; none means notebooks/NN_*.ipynb here."""
    profile: Literal["quick", "gpu", "paper"] = "quick"
    """Scale: quick (CPU, minutes), gpu (one GPU), paper (the published protocol on its data)."""
    parameters: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(name="parameter", aliases=["-p"], metavar="NAME=VALUE"),
    ] = ()
    """Set a name of the notebooks' cell tagged `parameters`."""
    out: Path = Path("runs")
    """Folder of the executed notebooks, results.json and index.html."""
    timeout: float | None = None
    """Seconds one cell may take, 0 without limit; default 600 (quick), 6 h (gpu), none (paper)."""
    force: Flag = False
    """Run again what has a finished, equal run in the folder."""
    in_place: Flag = False
    """Regenerate the committed notebooks: quick profile, outputs written back clean."""

    def run(self) -> int:
        """Run, print a line a notebook, write the report; exit status 1 if one failed."""
        from fmtutor.bench.notebook_runs import BatchConfig, refresh_notebooks, run_notebooks
        from fmtutor.bench.report import write_report

        paths, limit = found(self.notebooks), self.limit()
        with Display() as display:
            if self.in_place:
                self.check_in_place()
                return display.follow(refresh_notebooks(paths, timeout_s=limit, watch=display.cell))
            config = BatchConfig(
                profile=self.profile,
                parameters=parsed(self.parameters),
                timeout_s=limit,
                force=self.force,
            )
            records: list[RunRecord] = []
            try:
                batch = run_notebooks(paths, config, out=self.out, watch=display.cell)
                return display.follow(batch, into=records)
            finally:
                if records:
                    display.say(f"report: {write_report(records, self.out)}")

    def limit(self) -> float | None:
        """Return the seconds that one cell may take; None is without limit."""
        limit = CELL_LIMIT_S[self.profile] if self.timeout is None else self.timeout
        if limit < 0:
            raise ValueError(f"--timeout must be 0 (no limit) or more seconds, got {limit}.")
        return limit or None

    def check_in_place(self) -> None:
        """Raise ValueError for options that would change what is committed."""
        if self.profile != "quick" or self.parameters:
            raise ValueError(
                "--in-place runs the notebooks as they stand; leave out --profile and -p."
            )


class Display:
    """Progress on the terminal: a line that moves where there is one, plain lines elsewhere."""

    def __init__(self) -> None:
        self._moving = sys.stdout.isatty()
        self._started = ""

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *error: object) -> None:
        self._wipe()

    def cell(self, progress: "Progress") -> None:
        """Show the cell that starts."""
        head = f"[{progress.index + 1:2d}/{progress.total}] {progress.name}"
        if self._moving:
            print(f"\r\x1b[2K{head}  cell {progress.cell + 1}/{progress.cells}", end="", flush=True)
        elif self._started != progress.name:
            print(f"{head} ...", flush=True)
        self._started = progress.name

    def follow(self, records: Iterable["RunRecord"], into: "list[RunRecord] | None" = None) -> int:
        """Print a line for each record, then the sum; return 1 if one failed."""
        all_records = [] if into is None else into
        for record in records:
            all_records.append(record)
            numbers = f"{record.seconds:7.1f} s {record.peak_mb:7.0f} MB"
            self.say(f"{record.state:8s} {record.name:36s} {numbers}")
            if record.error:
                self.say(f"         {record.error}")
        failed = [record.name for record in all_records if record.state == "failed"]
        total = sum(record.seconds for record in all_records if record.state != "skipped")
        self.say(
            f"{len(all_records) - len(failed)} of {len(all_records)} notebooks ran, {total:.0f} s"
        )
        if failed:
            self.say(f"failed: {', '.join(failed)}")
        return int(bool(failed))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._wipe()
        print(line, flush=True)

    def _wipe(self) -> None:
        if self._moving:
            print("\r\x1b[2K", end="")


def found(paths: tuple[Path, ...]) -> list[Path]:
    """Return the notebooks meant by files and folders, folders in the order of their numbers.

    Raises:
        ValueError: There is none, or a path is not a notebook.
    """
    notebooks: list[Path] = []
    for path in paths or (Path("notebooks"),):
        if path.is_dir():
            notebooks += sorted(path.glob("[0-9][0-9]_*.ipynb"))
        elif path.suffix == ".ipynb" and path.is_file():
            notebooks.append(path)
        else:
            raise ValueError(
                f"a notebook must be an .ipynb file or a folder of NN_*.ipynb, got {path}."
            )
    if not notebooks:
        names = ", ".join(map(str, paths)) or "notebooks"
        raise ValueError(
            f"there must be a notebook NN_*.ipynb to run, found none in {names}; name files."
        )
    return notebooks


def parsed(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name=value`` pairs: Python literals, true and false; anything else is text."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(
                f"a parameter is written name=value, got {pair!r}; for example -p seed=1."
            )
        try:
            values[name] = ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
        except (ValueError, SyntaxError):
            values[name] = text
    return values
