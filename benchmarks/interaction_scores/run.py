"""How good are the shipped promptable networks after 0, 1, 2 ... clicks, and beside what?

    python benchmarks/interaction_scores/run.py            # all: some 12 minutes on one quiet core
    python benchmarks/interaction_scores/run.py --short    # a taste of each, results not kept
    python benchmarks/interaction_scores/run.py --only curves3d points

Parts: ``curves3d`` (`fmtutor.bench.interactive_scores`), ``points`` and ``prompts``
(`fmtutor.bench.interactive_tables`); each is a file results/PART.json. A part that was stopped goes
on where it was: answered questions wait in results/.PART.part.jsonl. (``adaptation.json`` beside
them is written by `fmtutor.bench.interactive_adaptation`.)
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fmtutor.bench.interactive_kept import answered
from fmtutor.bench.interactive_questions import TARGET, Extent, Question, questions
from fmtutor.bench.interactive_results import curve_table, point_table, prompt_table
from fmtutor.bench.interactive_scores import SYSTEMS_3D, Clicking, curve_rows, fair_radius_mm
from fmtutor.bench.interactive_tables import (
    automatic_masks,
    centre_curve,
    point_rows,
    prompt_rows,
)
from fmtutor.bench.machine import machine
from fmtutor.core.configs import to_dict
from fmtutor.core.files import read_json, sha256_of, write_json
from fmtutor.data.cases import Case
from fmtutor.hub.models import card_of, load_shipped, shipped

RESULTS = Path(__file__).parent / "results"
SYSTEMS_2D = ("sam_base", "sam_med2d")
AUTOMATIC = ("organs",)
"""Networks of fixed classes that learnt from the same centre ("wide") as the promptable ones."""
TABLE_STRUCTURES = (
    "liver", "spleen", "aorta", "stomach", "kidney_left", "vertebrae", "gluteus_maximus_left",
    "iliopsoas_left", "autochthon_left", "hip_left", "sacrum", "heart",
)  # fmt: skip
"""Of the two tables: a 2D system costs a click on every slice."""
TABLE_VOLUMES = (TARGET, "abdomen_ct_dicom")
PARTS = ("curves3d", "points", "prompts")


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """Networks and how much they are asked."""

    short: bool = False
    """A taste: the liver and a hip of the target centre, three clicks."""
    patients: int = 8
    """Of the target centre."""
    per_structure: int = 1
    """Patients asked for each structure; 1 keeps a full run at 12 minutes on a core."""
    draws: int = 1
    """Of the random simulator, on the target centre; 3 adds some 5 minutes."""
    folder: Path = RESULTS
    """Where results go, and where the tables find the curves of clicks."""

    @cached_property
    def flat(self) -> dict[str, nn.Module]:
        """2D networks that are shipped."""
        return _loaded(SYSTEMS_2D)

    @cached_property
    def volumes(self) -> dict[str, nn.Module]:
        """3D networks that are shipped."""
        return _loaded(SYSTEMS_3D)

    @cached_property
    def clicking(self) -> Clicking:
        """How curves are clicked, the balls' radius chosen on a patient of training."""
        radius = Clicking().radius_mm if self.short else fair_radius_mm()
        return Clicking(clicks=3 if self.short else 10, draws=self.draws, radius_mm=radius)

    def extent(self, *, tables: bool = False) -> Extent:
        """Return what is asked of curves, or of the two tables."""
        if self.short:
            return Extent(patients=2, volumes=(TARGET,), structures=("liver", "hip_left"))
        if tables:
            return Extent(
                patients=self.patients, structures=TABLE_STRUCTURES, volumes=TABLE_VOLUMES
            )
        return Extent(patients=self.patients, per_structure=self.per_structure)

    def answer(self, part: str) -> Callable[[Question], list[dict[str, Any]]]:
        """Return the function that answers one question of a part."""
        if part == "curves3d":
            return lambda q: curve_rows(self.volumes, q, self.clicking)
        if part == "points":
            return lambda q: point_rows(self.flat, self.volumes, q, curves=self.curve)
        return lambda q: prompt_rows(
            self.flat, self.volumes, q, self.automatic(q), curves=self.curve
        )

    def automatic(self, question: Question) -> dict[str, np.ndarray | None]:
        """Return what networks of fixed classes say; a case is asked once for all structures."""
        masks = self._automatic_of(question.case)
        return {name: by_name[question.structure] for name, by_name in masks.items()}

    def curve(self, name: str, model: nn.Module, question: Question) -> Mapping[str, Any]:
        """Return a curve of ten clicks by "centre": of curves3d.json if its weights are these."""
        found = self._curves.get((name, question.key))
        return found or centre_curve(name, model, question)

    @cached_property
    def _curves(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        path = self.folder / "curves3d.json"
        result = read_json(path) if path.exists() and not self.short else {}
        if result.get("weights") != self.weights("curves3d"):
            return {}
        return {
            (row["system"], f"{row['volume']}/{row['case']}/{row['structure']}"): row
            for row in result["rows"]
            if row["simulator"] == "centre" and not row["oracle"] and row["system"] in SYSTEMS_3D
        }

    def _automatic_of(self, case: Case) -> dict[str, dict[str, np.ndarray | None]]:
        last = self.__dict__.setdefault("_last", {})
        if case.name not in last:
            last.clear()
            networks = {n: load_shipped(n)[:2] for n in AUTOMATIC if n in shipped()}
            last[case.name] = automatic_masks(networks, case, TABLE_STRUCTURES)
        return last[case.name]

    def weights(self, part: str) -> dict[str, str]:
        """Return the sha256 of the networks of a part, by name."""
        names = (*SYSTEMS_3D, *(() if part == "curves3d" else (*SYSTEMS_2D, *AUTOMATIC)))
        files = shipped()
        return {name: sha256_of(files[name]) for name in names if name in files}

    def stamp(self, part: str) -> dict[str, Any]:
        """Return all that a part's rows depend on."""
        extent = to_dict(self.extent(tables=part != "curves3d"))
        stamp = {"part": part, "extent": extent, "weights": self.weights(part)}
        return stamp | ({"clicking": to_dict(self.clicking)} if part == "curves3d" else {})


def _loaded(names: tuple[str, ...]) -> dict[str, nn.Module]:
    return {name: load_shipped(name)[0] for name in names if name in shipped()}


def write_part(part: str, scoring: Scoring, folder: Path) -> None:
    """Compute a part, going on where it was stopped, and write it with all it depends on."""
    stamp = scoring.stamp(part)
    asked: Iterator[Question] = questions(scoring.extent(tables=part != "curves3d"))
    kept = folder / f".{part}.part.jsonl"
    began = time.perf_counter()
    rows = answered(asked, scoring.answer(part), kept, stamp)
    result = {"rows": rows, **stamp, "seconds": round(time.perf_counter() - began, 1)}
    if part == "prompts":
        result["automatic"] = {n: card_of(n)["recipe"]["system"] for n in AUTOMATIC}
    write_json(folder / f"{part}.json", {**result, "machine": machine()})
    kept.unlink(missing_ok=True)
    print(f"{part}: {len(rows)} rows, {result['seconds']} s", flush=True)


def report(part: str, folder: Path) -> None:
    """Print a part's table and its ratios."""
    tables = {"curves3d": curve_table, "points": point_table, "prompts": prompt_table}
    table = tables[part](folder)
    print(table.round(3).to_string())
    ten = [name for name in table if name == "dice_10"]
    values = list(table) if part == "prompts" else ten or list(table)[:1]
    for value in values:
        for key, number in table[value].dropna().items():
            print(f"ratio {label_of(part, key, value)} {number:.3f}")


def label_of(part: str, key: tuple[Any, ...], value: str) -> str:
    """Return the name of a ratio: part, what the table's line is known by, and its column."""
    words = {True: "seen", False: "unseen"}
    said = [words[bool(k)] if isinstance(k, (bool, np.bool_)) else str(k) for k in key]
    if part == "curves3d":  # volume, seen, system, simulator, oracle
        said[-1] = "oracle" if key[-1] else "no_oracle"
    return "_".join([part, *said, value]).replace(" ", "_")


def main() -> None:
    """Parse the command line, and score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a taste of each, not kept")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="default all")
    parser.add_argument("--patients", type=int, default=Scoring.patients)
    parser.add_argument("--per-structure", type=int, default=Scoring.per_structure)
    parser.add_argument("--draws", type=int, default=Scoring.draws)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not any(name in shipped() for name in SYSTEMS_3D):
        parser.error(f"none of {', '.join(SYSTEMS_3D)} is shipped; train and ship one first.")
    scoring = Scoring(
        short=options.short, patients=options.patients, per_structure=options.per_structure,
        draws=options.draws,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing) if options.short else scoring.folder
        folder.mkdir(exist_ok=True)
        for part in options.only:
            write_part(part, scoring, folder)
            report(part, folder)


if __name__ == "__main__":
    main()
