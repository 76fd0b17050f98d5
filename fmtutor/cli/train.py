"""`fmtutor train`: train one named system with its committed recipe."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

if TYPE_CHECKING:
    from fmtutor.bench.rehearsal import Cut

Profile = Literal["quick", "gpu", "paper"]


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a named system; run it again after a stop and it goes on where it was."""

    system: tyro.conf.Positional[str]
    """Name of the recipe: a system such as multitalent, or organs, the shipped model; an unknown
    one lists them all."""
    profile: Profile = "quick"
    """Scale: quick (CPU, minutes), gpu (one GPU), paper (the published protocol on its data)."""
    out: Path | None = None
    """Folder for checkpoints and history; default runs/train/SYSTEM-PROFILE-SEED, and
    -rehearsal behind it where paper is cut by --steps, --width or --patch."""
    seed: int = 0
    """Seed of everything drawn: weights, cases, patches."""
    data: tuple[Path, ...] = ()
    """For paper: nnU-Net raw folders of the datasets that teach, as data_scripts converts them."""
    steps: int | None = None
    """Training steps, in place of the profile's."""
    width: int | None = None
    """For a rehearsal of paper: features of the network's first level."""
    patch: tuple[int, int, int] | None = None
    """For a rehearsal of paper: voxels of a patch."""
    start: Path | None = None
    """A finished training folder of the same network to begin from, for a longer training in parts;
    take another seed, or it sees the same patches again."""
    resume: Literal["auto", "never"] = "auto"
    """auto goes on from a checkpoint in the folder; never refuses a folder that has any file."""
    every: int = 20
    """Print a line every so many steps."""

    def run(self) -> int:
        """Check the request before anything heavy is imported, then train and print records."""
        folder = self.out or Path("runs") / "train" / self.folder_name()
        self.check(folder)

        from fmtutor.bench.recipes import ELSEWHERE, RECIPES
        from fmtutor.core.tables import lookup

        lookup({**RECIPES, **dict.fromkeys(ELSEWHERE)}, self.system, "recipe")

        count, last = 0, None
        published = self.profile == "paper" and self.system in RECIPES
        for record in self.on_datasets(folder) if published else self.on_patients(folder):
            if count % self.every == 0:
                print(described(record), flush=True)
            count, last = count + 1, record
        if last is not None and (count - 1) % self.every:
            print(described(last))
        print(
            f"done: {count} steps in this run; {folder}"
            if count
            else f"nothing left to train in {folder}"
        )
        return 0

    def on_patients(self, folder: Path) -> Iterator[Any]:
        """Train on the virtual cohort."""
        from fmtutor.bench.training import train

        begun = {} if self.start is None else {"start": self.start}
        return train(
            self.system, profile=self.profile, folder=folder, seed=self.seed, steps=self.steps,
            **begun,
        )  # fmt: skip

    def on_datasets(self, folder: Path) -> Iterator[Any]:
        """Train on published datasets."""
        from fmtutor.bench.paper_training import train_paper

        return train_paper(self.system, self.data, folder=folder, seed=self.seed, cut=self.cut())

    def folder_name(self) -> str:
        """Return the folder's name where none is given."""
        name = f"{self.system}-{self.profile}-{self.seed}"
        if self.profile != "paper":
            return name
        from fmtutor.bench.rehearsal import SUFFIX

        return f"{name}{SUFFIX if self.cut() else ''}"

    def cut(self) -> "Cut":
        """Return what a rehearsal of paper does less of."""
        from fmtutor.bench.rehearsal import Cut

        return Cut(steps=self.steps, width=self.width, patch=self.patch)

    def check(self, folder: Path) -> None:
        """Raise ValueError where an option cannot be meant."""
        if self.profile != "paper" and (self.data or self.width or self.patch):
            raise ValueError(
                f"--data, --width and --patch are for --profile paper; {self.profile} takes "
                "virtual patients, leave them out."
            )
        if self.profile == "paper" and self.start is not None:
            raise ValueError("--start is for quick and gpu; leave it out with --profile paper.")
        if self.steps is not None and self.steps < 1:
            raise ValueError(
                f"--steps must be at least 1, got {self.steps}; leave it out for the profile's."
            )
        if self.every < 1:
            raise ValueError(f"--every must be at least 1, got {self.every}.")
        if self.resume == "never" and folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"--resume never needs an empty folder, got {folder}; name another with --out."
            )


def described(record: object) -> str:
    """Write a training record as one line of ``name value`` pairs."""
    names = getattr(record, "__dataclass_fields__", None) or vars(record)
    pairs = ((name, getattr(record, name)) for name in names)
    return "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in pairs
    )
