"""`fmtutor table`: run a table of the talk over many workers, and print it beside the talk's."""

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fmtutor.cli.places import runner_at

if TYPE_CHECKING:
    from fmtutor.bench.few_shot_bases import Bases
    from fmtutor.bench.few_shot_estimate import Estimate
    from fmtutor.bench.few_shot_grid import Cell, Setting
    from fmtutor.bench.rehearsal import Cut
    from fmtutor.bench.sweep import Done, Runner

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
PUBLISHED_DATA = {"totalsegmentator-v1": "TotalSegmentator v1", "flare22": "the converted FLARE22"}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Run the cells of a table, print it; run it again after a stop and it goes on where it was."""

    name: tyro.conf.Positional[str]
    """fseft-known (known organs, other scanner), fseft-novel (organs the base never saw) or
    fseft-flare22 (known organs, all at once)."""
    profile: Literal["quick", "gpu", "paper"] = "quick"
    """Scale: quick (CPU), gpu (one GPU), paper (the published protocol on its data)."""
    data: Path | None = None
    """Folder of TotalSegmentator v1, or of the converted FLARE22, for paper."""
    weights: Path | None = None
    """Folder of the published checkpoints that paper begins from, under their authors' names."""
    bases: Path = Path("runs/train")
    """Where paper begins from without --weights: the folder in which `fmtutor train few_shot_unet
    --profile paper` and few_shot_swin left their trainings (a rehearsal: those of a rehearsal)."""
    out: Path | None = None
    """Folder of the results; default runs/tables/NAME-PROFILE, and -rehearsal behind it for one. Or
    a collected file, to render."""
    scheduler: str = "local"
    """local (processes here), serial (this process), slurm, or the address of a Dask scheduler."""
    workers: int = 0
    """Cells at one time; 0 is one for each core, or --workers-per-gpu for each GPU."""
    workers_per_gpu: int = 1
    """Cells that share a GPU, where --workers is 0: as many as the printed GPU memory allows."""
    rows: tuple[str, ...] = ()
    """Labels of rows, such as LoRA "Linear Probe"; none means all."""
    seeds: tuple[int, ...] = ()
    """Seeds; none means all."""
    kinds: tuple[str, ...] = ()
    """Backbones, swin or unet; none means all."""
    structures: tuple[str, ...] = ()
    """Organs, such as spleen; none means all."""
    steps: int | None = None
    """For a rehearsal: optimiser steps of a cell, in place of the profile's."""
    patch: tuple[int, int, int] | None = None
    """For a rehearsal: voxels of a patch, in place of the profile's."""
    limit: int | None = None
    """Cells to run at most this time; 0 prints the estimate and what there is."""
    render_only: Flag = False
    """Run nothing; print the table of what is there."""
    resume_from: Path | None = None
    """A collected file whose cells count as finished, such as the committed one."""
    collect: Path | None = None
    """Run nothing; write all results of the folder into this one file."""

    def run(self) -> int:
        """Check, estimate, run, print; exit status 1 if a cell failed."""
        from fmtutor.bench.few_shot_sweep import check_name, check_results, chosen_cells
        from fmtutor.bench.rehearsal import SUFFIX

        check_name(self.name)
        name = f"{self.name}-{self.profile}{SUFFIX if self.cut() else ''}"
        folder = self.out or Path("runs/tables") / name
        cells = chosen_cells(
            self.name, self.profile, rows=self.rows, seeds=self.seeds, kinds=self.kinds,
            structures=self.structures,
        )  # fmt: skip
        if self.collect is not None:
            from fmtutor.bench.few_shot_results import collect

            print(f"{self.collect}: {collect(folder, self.collect)} cells")
            return 0
        if self.render_only:
            check_results(folder, self.name, self.profile)
            self.render(folder, cells)
            return 0
        self.check(cells)
        failed = self.sweep(folder, cells)
        self.render(folder, cells)
        return int(failed)

    def check(self, cells: "Sequence[Cell]") -> None:
        """Raise an error where an option cannot be meant, or where what cells need is not there."""
        if self.workers < 0 or self.workers_per_gpu < 1 or (self.limit or 0) < 0:
            raise ValueError(
                "--workers and --limit must be 0 or more and --workers-per-gpu 1 or more, got "
                f"{self.workers}, {self.limit} and {self.workers_per_gpu}."
            )
        setting = self.setting()
        if setting.data == "virtual":
            self.check_virtual()
            return
        published = PUBLISHED_DATA[setting.data]
        if self.data is None:
            raise ValueError(
                f"--profile {self.profile} runs the published protocol on {published}; name its "
                "folder with --data."
            )
        if not self.data.is_dir():
            raise ValueError(f"--data must be the folder of {published}, got {self.data}.")
        from fmtutor.bench.few_shot_published import PublishedData

        if (origin := self.origin()) is not None:
            origin.check(cells)
        PublishedData(setting, self.data).check(cells)

    def check_virtual(self) -> None:
        """Raise ValueError for options of the published data."""
        if self.data is not None:
            raise ValueError(
                f"--data is for --profile paper; {self.profile} takes virtual patients, leave it "
                "out."
            )
        if self.weights is not None:
            raise ValueError(
                f"--profile {self.profile} begins from the shipped bases; leave --weights out."
            )

    def cut(self) -> "Cut":
        """Return what a rehearsal does less of."""
        from fmtutor.bench.rehearsal import Cut

        return Cut(steps=self.steps, patch=self.patch)

    def setting(self) -> "Setting":
        """Return what all cells share."""
        from fmtutor.bench.few_shot_grid import setting_of

        return self.cut().setting(setting_of(self.name, self.profile))

    def origin(self) -> "Bases | None":
        """Return where bases come from; None is what is shipped."""
        from fmtutor.bench.published_bases import PublishedBases
        from fmtutor.bench.trained_bases import TrainedBases

        if self.setting().data == "virtual":
            return None
        if self.weights is not None:
            return PublishedBases(self.weights.resolve())
        return TrainedBases(self.bases.resolve(), rehearsal=bool(self.cut()))

    def sweep(self, folder: Path, cells: "Sequence[Cell]") -> bool:
        """Print the estimate, run what is not finished, return whether a cell failed."""
        from fmtutor.bench.few_shot_sweep import config_of, jobs_of, work_of
        from fmtutor.bench.sweep import Task, claim, sweep, tasks_of

        setting, config = self.setting(), config_of(self.name, self.profile, self.cut())
        workers, runner = self.runner()
        claim(folder, config)
        if self.resume_from is not None:
            from fmtutor.bench.few_shot_results import restore

            print(f"{restore(self.resume_from, folder)} cells from {self.resume_from}", flush=True)
        origin = self.origin()
        work = work_of(setting, None if self.data is None else self.data.resolve(), origin)
        tasks = tasks_of(jobs_of(cells, origin), work, folder, config)
        waiting: list[Task] = [task for task in tasks if not task.finished()]
        todo = waiting[: self.limit]
        guess = self.estimated(folder, cells, workers)
        print("\n".join([*guess.described(), f"results: {folder}"]), flush=True)
        if len(todo) < len(waiting):
            print(f"--limit: {len(todo)} of them in this run", flush=True)
        jobs = [task.job for task in todo]
        with closing(sweep(jobs, work, folder, config=config, runner=runner)) as outcomes:
            return followed(outcomes, len(jobs), workers, folder)

    def estimated(self, folder: Path, cells: "Sequence[Cell]", workers: int) -> "Estimate":
        """Return what is left to do and what that takes."""
        from fmtutor.bench.few_shot_estimate import estimate
        from fmtutor.bench.few_shot_results import read_results

        results = read_results(folder)
        return estimate(cells, results, self.setting(), profile=self.profile, workers=workers)

    def runner(self) -> "tuple[int, Runner]":
        """Return how many workers to expect, and where they are.

        Raises:
            ValueError: The scheduler is none that is known, or needs what is not installed.
        """
        from fmtutor.bench.sweep import Serial
        from fmtutor.bench.sweep_runners import visible_gpus

        if self.scheduler == "serial":
            return 1, Serial()
        gpus = visible_gpus()
        each = len(gpus) * self.workers_per_gpu or os.cpu_count() or 1
        workers = self.workers or (each if self.scheduler == "local" else 1)
        gpus_per_job = int(self.profile != "quick")
        return workers, runner_at(
            self.scheduler, workers=workers, gpus=gpus, gpus_per_job=gpus_per_job
        )

    def render(self, folder: Path, cells: "Sequence[Cell]") -> None:
        """Print the table of all finished cells; a folder gets it as table.md too."""
        from fmtutor.bench.few_shot_results import read_config, read_results
        from fmtutor.bench.few_shot_table import report
        from fmtutor.bench.rehearsal import told
        from fmtutor.core.files import write_text

        results: list[dict[str, Any]] = read_results(folder)
        text = report(results, cells)
        if cut := told(read_config(folder), self.name, self.profile):
            text = f"{cut}\n\n{text}"
        if bases := sorted({result["base"] for result in results if self.profile == "paper"}):
            text = f"{text}\n\nThe cells began from {', '.join(bases)}."
        print(f"\n{text}")
        if folder.is_dir():
            write_text(folder / "table.md", text + "\n")


def followed(outcomes: "Iterable[Done]", count: int, workers: int, folder: Path) -> bool:
    """Print a line for each cell that ends, then the failures; return whether there is one."""
    from fmtutor.bench.few_shot_estimate import duration

    failed: list[Done] = []
    seconds = 0.0
    for number, done in enumerate(outcomes, start=1):
        seconds += done.seconds
        left = duration(seconds / number * (count - number) / workers)
        print(
            f"[{number:3d}/{count}] {done.state:6s} {done.name}  {done.seconds:.0f} s"
            + (f", about {left} left" if number < count else ""),
            flush=True,
        )
        if done.state == "failed":
            failed.append(done)
    for done in failed:
        print(f"failed: {done.name}: {done.error}")
    if failed:
        print(f"tracebacks: {folder}/NAME.error.txt; the same command tries these again")
    return bool(failed)
