"""What do annotations cost when a crowd clicks, what are they worth, and what to annotate next?

    python benchmarks/annotation/run.py            # all: half an hour on one core
    python benchmarks/annotation/run.py --short    # a taste of each, results not kept
    python benchmarks/annotation/run.py --only clicks context

crowd     people of three skills click on virtual patients; what they draw, how they agree, and what
          a small network learns from it: crowd.json, agreement.json, labels.json, training.json
volumes   which volumes to annotate next, scored on the same centre: volumes.json
clicks    where to click next: clicks.json
context   slices one after the other, each an example for the next: context.json

On one core without bf16 hardware, the other one busy: crowd 17 minutes (6 volumes clicked, 18
trainings), volumes 5 (21 trainings), clicks 4, context 2.
A part's files are written when it is done; a part whose files were made at the same size, with the
same weights, is not run again: stop it, and go on with the same command.

Annotated volumes are of the wide centre, beyond the 300 patients that the shipped networks learnt
from; what is trained here is scored on other patients of that centre and on the target's.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from fmtutor.bench import annotation_choice as choice
from fmtutor.bench import annotation_context as context
from fmtutor.bench import annotation_crowd as people
from fmtutor.bench import annotation_training as teaching
from fmtutor.bench.annotation_quality import majority, quality
from fmtutor.bench.in_context_scores import askable, held_out_bank
from fmtutor.bench.machine import machine
from fmtutor.core.configs import to_dict
from fmtutor.core.files import read_json, sha256_of, write_json
from fmtutor.data.cases import Case
from fmtutor.data.domains import TARGET, WIDE
from fmtutor.engine.session import Session
from fmtutor.hub.models import load_shipped, shipped

RESULTS = Path(__file__).parent / "results"
VOLUMES = ("early_prompt", "sam_med3d")
"""Interactive 3D models, the preferred first."""
PLANES = ("sam_med2d", "medsam", "sam")
"""Interactive 2D models, the preferred first."""
CONTEXT = "universeg"
FIRST = {name: people.FIRST_UNSEEN + more for name, more in
         (("annotated", 0), ("pool", 60), ("tests", 120))}  # fmt: skip
"""Patients of the wide centre from which each role is taken."""
SAME = "the same centre"
Answers = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything."""

    cases: int = 6
    """Volumes that are annotated, and that networks learn from."""
    clicks: int = 5
    """Budget of a person for a structure."""
    agree: int = 2
    """Of the volumes, how many are annotated by three people of each skill."""
    seeds: int = 3
    """Trainings of each label set, and starts of active learning."""
    tests: int = 3
    """Patients of each centre that networks are scored on."""
    steps: int = 200
    """Optimiser steps of a training on a label set."""
    pool: int = 14
    """Volumes to choose from."""
    rounds: int = 2
    """How often volumes are chosen."""
    round_steps: int = 100
    """Optimiser steps of a round of active learning."""
    clicked: int = 3
    """Patients on whom ways to choose the next click are compared."""
    images: int = 14
    """Slices of a data set."""
    tasks: int = 8
    """Data sets, each of one structure."""
    orders: int = 1
    """Orders in which the slices come."""


SHORT = Size(
    cases=2, clicks=2, agree=1, seeds=1, tests=1, steps=20, pool=5, rounds=1, round_steps=10,
    clicked=1, images=4, tasks=1,
)  # fmt: skip


def first_of(names: Sequence[str], asked: str | None) -> str:
    """Return the model asked for, or the first of these that is shipped."""
    found = [name for name in ([asked] if asked else names) if name in shipped()]
    if not found:
        raise SystemExit(f"needs one of {list(names)} among the shipped models, got none of them.")
    return found[0]


def tests_of(size: Size) -> dict[str, Sequence[Case]]:
    """Return the patients that networks are scored on."""
    return {
        SAME: people.patients(WIDE, FIRST["tests"], size.tests, whole=True),
        "another hospital": people.patients(TARGET, 0, size.tests, whole=True),
    }


def crowd(model: nn.Module, size: Size) -> Answers:
    """Let the crowd annotate, and train a network on what everybody made."""
    answers: Answers = {"crowd": [], "agreement": [], "labels": [], "training": []}
    training = teaching.Training(steps=size.steps)
    sets: dict[str, list[Case]] = {}
    cases = people.patients(WIDE, FIRST["annotated"], size.cases, whole=True)
    for number, case in enumerate(cases):
        many = {"expert": 3, "trained": 3, "novice": 3}
        who = many if number < size.agree else {"expert": 1, "novice": 3}
        masks = annotated(model, case, who, size.clicks, answers)
        for name, mine in masks.items():
            sets.setdefault(name, []).append(teaching.labelled(case, mine, training))
            answers["labels"] += [
                {"labels": name, "case": case.name, "structure": structure,
                 **quality(mask, masks["true"][structure], case.spacing_mm)}
                for structure, mask in mine.items()
            ]  # fmt: skip
        print(f"annotated {case.name}", flush=True)
    tests = tests_of(size)
    for seed in range(size.seeds):
        for name, mine in sets.items():
            network = teaching.trained_on(mine, training, seed=seed)
            answers["training"] += [
                {"labels": name, "seed": seed, "tests": where, **row}
                for where, test in tests.items()
                for row in teaching.scored(network, test, training)
            ]
        print(f"trained on all label sets, seed {seed}", flush=True)
    return answers


def annotated(
    model: nn.Module, case: Case, who: dict[str, int], clicks: int, answers: Answers
) -> dict[str, dict[str, Any]]:
    """Let people annotate a case, note how, and return each label set's masks by structure."""
    masks: dict[str, dict[str, Any]] = {name: {} for name in ("true", "expert", "novice", "vote")}
    crowd = people.crowd(lambda case: Session(model, case), case, people=who, clicks=clicks)
    for structure, found, truth in crowd:
        answers["crowd"] += people.annotation_rows(case, structure, found, truth, people.Costs())
        answers["agreement"] += people.agreement_rows(case, structure, found, truth)
        masks["true"][structure] = truth
        for skill in ("expert", "novice"):
            masks[skill][structure] = found[f"{skill}-0"].mask
        votes = [made.mask for name, made in found.items() if name.startswith("novice")]
        masks["vote"][structure] = majority(votes)
    for how in ("rough", "grown"):
        masks[how] = teaching.made_to_order(masks["novice"], masks["true"], case, how)
    return masks


def volumes(size: Size) -> Answers:
    """Compare choices of the next volumes."""
    pool = people.patients(WIDE, FIRST["pool"], size.pool, whole=False)
    training = teaching.Training(steps=size.round_steps)
    tests = {SAME: people.patients(WIDE, FIRST["tests"], size.tests, whole=True)}
    rows: list[dict[str, Any]] = []
    for seed in range(size.seeds):
        rows += choice.growing_sets(pool, tests, training, seed=seed, rounds=size.rounds)
    return {"volumes": rows}


def clicks(model: nn.Module, size: Size) -> Answers:
    """Compare choices of the next click."""
    cases = people.patients(TARGET, 20, size.clicked, whole=True)
    return {"clicks": choice.click_rows(
        lambda case: Session(model, case), cases, people.STRUCTURES, clicks=size.clicks + 1
    )}  # fmt: skip


def growing(model: nn.Module, size: Size) -> Answers:
    """Annotate slices of structures that no network was trained on, one patient after the other."""
    bank = held_out_bank(patients=size.images)
    tasks = [task for task in askable(bank) if task.axis == "axial"][: size.tasks]
    return {"context": context.context_rows(
        load_shipped(CONTEXT)[0], model, bank, tasks, most=size.images, seeds=range(size.orders)
    )}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Part:
    """One question: what answers it, and all that the answer depends on."""

    compute: Callable[..., Answers]
    """Takes the first of the models, if there are any, and the size."""
    files: tuple[str, ...]
    """Results it writes."""
    size: tuple[str, ...]
    """Fields of `Size` that it reads."""
    models: tuple[tuple[str, ...], ...] = ()
    """For each network, the names that will do, the preferred first."""
    trains: bool = False
    """Whether it trains the small network."""


PARTS = {
    "crowd": Part(
        compute=crowd, files=("crowd", "agreement", "labels", "training"), models=(VOLUMES,),
        size=("cases", "clicks", "agree", "seeds", "tests", "steps"), trains=True,
    ),
    "volumes": Part(
        compute=volumes, files=("volumes",), trains=True,
        size=("seeds", "tests", "pool", "rounds", "round_steps"),
    ),
    "clicks": Part(
        compute=clicks, files=("clicks",), models=(VOLUMES,), size=("clicks", "clicked")
    ),
    "context": Part(
        compute=growing, files=("context",), models=(PLANES, (CONTEXT,)),
        size=("images", "tasks", "orders"),
    ),
}  # fmt: skip


def main() -> None:
    """Parse the command line, answer, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a taste of each, not kept")
    parser.add_argument("--only", nargs="+", default=None, help="questions; default all")
    parser.add_argument("--model", help=f"interactive 3D model; default the first of {VOLUMES}")
    parser.add_argument("--plane", help=f"interactive 2D model; default the first of {PLANES}")
    parser.add_argument("--out", type=Path, help="folder of the results, also of short ones")
    options = parser.parse_args()
    chosen = options.only or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"no question {unknown}; there are {', '.join(PARTS)}")
    asked = {VOLUMES: options.model, PLANES: options.plane}
    with tempfile.TemporaryDirectory() as kept:
        folder = options.out or (Path(kept) if options.short else RESULTS)
        for name in chosen:
            models = [first_of(names, asked.get(names)) for names in PARTS[name].models]
            answered(name, models, SHORT if options.short else Size(), folder)


def answered(name: str, models: Sequence[str], size: Size, folder: Path) -> None:
    """Answer one question, and write each of its files with everything that it depends on.

    Files that depend on the same are left as they are.
    """
    part = PARTS[name]
    stamp = {
        "question": name, "size": {key: getattr(size, key) for key in part.size},
        "costs": to_dict(people.Costs()),
        "network": to_dict(teaching.Training()) if part.trains else None,
        "models": {model: sha256_of(shipped()[model]) for model in models},
    }  # fmt: skip
    if all(made_with(folder / f"{file}.json", stamp) for file in part.files):
        print(f"{name}: there already, made with the same; delete its files to run it again")
        return
    began = time.perf_counter()
    found = part.compute(*(load_shipped(model)[0] for model in models[:1]), size)
    seconds = round(time.perf_counter() - began, 1)
    for file, rows in found.items():
        about = {**stamp, "seconds": seconds, "machine": machine()}
        write_json(folder / f"{file}.json", {**about, "rows": rows})
        report(file, pd.DataFrame(rows))
    print(f"{name}: {seconds} s", flush=True)


def made_with(path: Path, stamp: dict[str, Any]) -> bool:
    """Return whether a result file is there and was made with just this."""
    if not path.exists():
        return False
    stored = read_json(path)
    return {key: stored.get(key) for key in stamp} == json.loads(json.dumps(stamp))


def report(file: str, frame: pd.DataFrame) -> None:
    """Print means as ratios."""
    keys = [k for k in ("tests", "labels", "skill", "choice", "start", "round") if k in frame]
    value = "clicks" if file == "context" else "dice"
    if file == "clicks":
        frame = frame.assign(dice=frame["dice"].map(lambda curve: curve[-1]))
    for key, mean in frame.groupby(keys)[value].mean().items():
        label = "_".join(map(str, key if isinstance(key, tuple) else (key,))).replace(" ", "_")
        print(f"ratio {file}_{label} {mean:.3f}")


if __name__ == "__main__":
    main()
