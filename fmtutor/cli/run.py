"""`fmtutor run`: execute notebooks, and leave them, their numbers and an HTML report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fmtutor.cli.display import Display
from fmtutor.cli.notebook_files import notebook_files
from fmtutor.cli.places import runner_at

if TYPE_CHECKING:
    from fmtutor.bench.notebook_work import RunRecord
    from fmtutor.bench.sweep import Runner

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
CELL_LIMIT_S = {"quick": 600.0, "gpu": 6 * 3600.0, "paper": 0.0}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Execute notebooks; one that fails is reported and the rest run.

    What has not changed is not run again, and a batch that was stopped goes on where it was.
    """

    notebooks: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Notebooks or folders of them; none means notebooks/NN_*.ipynb here."""
    profile: Literal["quick", "gpu", "paper"] = "quick"
    """Scale: quick (CPU, minutes), gpu (one GPU), paper (the published protocol on its data)."""
    parameters: Annotated[
        tuple[str, ...],
        tyro.conf.UseAppendAction,
        tyro.conf.arg(name="parameter", aliases=["-p"], metavar="NAME=VALUE"),
    ] = ()
    """Set a name of the notebooks' cell tagged `parameters`: seed=1, or several values, seed=0..4
    or backbone=unet,swin; with more than one name, every combination runs."""
    workers: int = 0
    """Notebooks at one time, on Dask workers; 0 is one after the other, in this process."""
    scheduler: str | None = None
    """Where the workers are: local (the default), serial (none: in this process), slurm, or a
    scheduler such as tcp://host:8786."""
    out: Path = Path("runs")
    """Folder of the executed notebooks, figures, results.json and index.html."""
    timeout: float | None = None
    """Seconds one cell may take, 0 without limit; default 600 (quick), 6 h (gpu), none (paper)."""
    force: Flag = False
    """Run again what has a finished, equal run in the folder."""
    in_place: Flag = False
    """Regenerate the committed notebooks: quick profile, outputs written back clean."""

    def run(self) -> int:
        """Run, print a line a notebook, write the report; exit status 1 if one failed."""
        with Display() as display:
            display.step("reading the notebooks")
            if not self.in_place:
                return self.batch(display)
            from fmtutor.bench.notebook_refresh import refresh_notebooks

            self.check_in_place()
            paths, limit = self.files(), self.limit()
            return display.follow(refresh_notebooks(paths, timeout_s=limit, watch=display.cell))

    def batch(self, display: Display) -> int:
        """Run a batch, and write the report of what there is, after a stop too."""
        from fmtutor.bench.notebook_runs import BatchConfig, plan, run_notebooks
        from fmtutor.bench.parameter_grid import parsed
        from fmtutor.bench.report import write_report

        paths, runner = self.files(), self.runner()
        config = BatchConfig(
            profile=self.profile,
            parameters=parsed(self.parameters),
            timeout_s=self.limit(),
            force=self.force,
        )
        total = len(plan(paths, config)) if runner else None
        records: list[RunRecord] = []
        try:
            batch = run_notebooks(paths, config, out=self.out, runner=runner, watch=display.cell)
            return display.follow(batch, into=records, total=total)
        finally:
            if records:
                display.step("writing the report")
                display.say(f"report: {write_report(records, self.out)}")

    def files(self) -> list[Path]:
        """Return the notebooks to run."""
        return notebook_files(self.notebooks or (Path("notebooks"),), pattern="[0-9][0-9]_*.ipynb")

    def runner(self) -> "Runner | None":
        """Return where the notebooks run; None is one after the other in this process.

        Raises:
            ValueError: The options name no place, or need what is not installed.
        """
        if self.workers < 0:
            raise ValueError(f"--workers must be 0 (no workers) or more, got {self.workers}.")
        if self.scheduler == "serial" or (self.scheduler is None and self.workers == 0):
            return None
        from fmtutor.bench.sweep_runners import visible_gpus

        if self.workers and "://" in (self.scheduler or ""):
            raise ValueError(
                f"a running scheduler has its own workers, got --workers {self.workers}; leave it "
                "out."
            )
        gpu = self.profile != "quick"
        return runner_at(
            self.scheduler or "local", workers=self.workers or 1, gpus_per_job=int(gpu),
            gpus=visible_gpus() if gpu else (),
        )  # fmt: skip

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
        if self.workers or self.scheduler is not None:
            raise ValueError(
                "--in-place measures one notebook at a time; leave out --workers and --scheduler."
            )
