"""`fmtutor weights`: what is shipped and what can be loaded, and files of the published ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, kw_only=True)
class Listing:
    """List shipped and published weights: licence, whether a file is needed, and from where."""

    def run(self) -> int:
        """Print a line for each."""
        from fmtutor.hub.layouts import PUBLISHED
        from fmtutor.hub.models import card_of, shipped

        rows = [
            (name, "shipped", card_of(name)["licence"], "comes with fmtutor") for name in shipped()
        ]
        rows += [
            (name, "needs its file", entry.licence, f"{entry.file} from {entry.source}")
            for name, entry in PUBLISHED.items()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for *cells, last in rows:
            padded = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            print(f"{padded}  {last}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Check:
    """Compare a file with a published checkpoint, tensor by tensor; status 1 if they differ."""

    name: tyro.conf.Positional[str]
    """A published name, such as suprem-swin; `fmtutor weights list` has them all."""
    path: tyro.conf.Positional[Path]
    """The file as its authors publish it."""

    def run(self) -> int:
        """Print the full report."""
        from fmtutor.hub import check

        report = check(self.name, self.path)
        print(report.text())
        return 0 if report.ok else 1


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Write a published checkpoint as safetensors, with a card beside it, for faster loading."""

    name: tyro.conf.Positional[str]
    """A published name."""
    path: tyro.conf.Positional[Path]
    """The file as its authors publish it."""
    out: tyro.conf.Positional[Path]
    """The new .safetensors file."""
    dtype: Literal["fp32", "fp16"] = "fp32"
    """fp32 is exact; fp16 halves the file and rounds to 11 significant bits."""

    def run(self) -> int:
        """Convert, and say what became of it under which licence."""
        from fmtutor.hub.convert import convert

        card = convert(self.name, self.path, self.out, dtype=self.dtype)
        print(
            f"{self.out}: {card['tensors']} tensors, {card['parameters']:,} parameters, "
            f"{card['dtype']}, {self.out.stat().st_size / 1e6:.1f} MB"
        )
        print(f"licence of the original: {card['licence']} ({card['source']})")
        return 0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """List weights, check the file of a published checkpoint, or convert it."""

    action: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Listing, tyro.conf.subcommand(name="list")]
        | Annotated[Check, tyro.conf.subcommand(name="check")]
        | Annotated[Convert, tyro.conf.subcommand(name="convert")]
    ]
    """What to do."""

    def run(self) -> int:
        """Do it."""
        return self.action.run()
