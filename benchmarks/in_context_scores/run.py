"""How good are the shipped in-context networks, on structures that they never saw?

    python benchmarks/in_context_scores/run.py            # all questions: half an hour on two cores
    python benchmarks/in_context_scores/run.py --short    # a taste of each, results not kept
    python benchmarks/in_context_scores/run.py --only support_size exchange

Every question is a function of `fmtutor.bench.in_context_scores`, `in_context_ambiguity` or
`in_context_real`, and a file results/QUESTION.json.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from fmtutor.bench import in_context_scores as scores
from fmtutor.bench.in_context_ambiguity import ambiguity
from fmtutor.bench.in_context_real import real_rows
from fmtutor.bench.machine import machine
from fmtutor.core.files import sha256_of, write_json
from fmtutor.hub.models import card_of, load_shipped, shipped

RESULTS = Path(__file__).parent / "results"
MODELS = ("universeg", "tyche")
Answer = dict[str, Any]


def questions(short: bool) -> dict[str, Callable[[], Answer]]:
    """Return the questions by name, each a function that computes its answer."""
    single, draws = load_shipped("universeg")[0], 1 if short else 3
    both = {name: load_shipped(name)[0] for name in MODELS if name in shipped()}
    bank = scores.held_out_bank(patients=7 if short else 14)

    def ambiguous() -> Answer:
        rows, reliable = ambiguity(both, patients=24, draws=1, most=4 if short else None)
        return {"rows": rows, "reliability": reliable}

    return {
        "support_size": lambda: {"rows": scores.support_size(both, bank, draws=draws)},
        "exchange": lambda: {"rows": scores.exchange(both, bank, draws=draws)},
        "ensemble": lambda: {"rows": scores.ensembles(single, bank, draws=draws)},
        "selection": lambda: {"rows": scores.selection(single, bank, draws=draws)},
        "specific": lambda: {"rows": scores.specific({"universeg": single}, bank, draws=draws)},
        "resolution": lambda: {"rows": scores.resolution(single, patients=8, draws=1)},
        "ambiguity": ambiguous,
        "real": lambda: {"rows": real_scores()},
    }


def real_scores() -> list[dict[str, Any]]:
    """Return the scores on real volumes that the cards hold, and those of the nearest copy.

    A card was scored by the same function, on the same stored weights, when they were shipped.
    """
    cards = {name: card_of(name)["scores"] for name in MODELS if name in shipped()}
    rows = [{"system": name, **row} for name, scored in cards.items() for row in scored]
    return rows + real_rows({})


def answered(name: str, compute: Callable[[], Answer], folder: Path) -> None:
    """Compute one answer and write it with everything that it depends on."""
    began = time.perf_counter()
    answer = compute()
    answer["seconds"] = round(time.perf_counter() - began, 1)
    files = shipped()
    answer["weights"] = {name: sha256_of(files[name]) for name in MODELS if name in files}
    answer["machine"] = machine()
    write_json(folder / f"{name}.json", answer)
    print(f"{name}: {len(answer['rows'])} rows, {answer['seconds']} s", flush=True)


def report(name: str, folder: Path) -> None:
    """Print the mean of the answer's Dice."""
    frame = pd.read_json(folder / f"{name}.json", typ="series")["rows"]
    rows = pd.DataFrame(frame)
    keys = [k for k in ("system", "how", "support_kind", "way", "support", "members", "size")
            if k in rows]  # fmt: skip
    values = [v for v in ("dice", "own", "exchanged", "best", "mean", "diversity", "ged")
              if v in rows]  # fmt: skip
    print(rows.groupby(keys)[values].mean().round(3).to_string())
    for key, value in rows.groupby(keys)[values[0]].mean().items():
        label = "_".join(map(str, key if isinstance(key, tuple) else (key,)))
        print(f"ratio {name}_{label} {value:.3f}")


def main() -> None:
    """Parse the command line, and answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a taste of each, not kept")
    parser.add_argument("--only", nargs="+", default=None, help="questions; default all")
    options = parser.parse_args()
    asked = questions(options.short)
    chosen = options.only or list(asked)
    if unknown := [name for name in chosen if name not in asked]:
        parser.error(f"no question {unknown}; there are {', '.join(asked)}")
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept) if options.short else RESULTS
        for name in chosen:
            answered(name, asked[name], folder)
            report(name, folder)


if __name__ == "__main__":
    main()
