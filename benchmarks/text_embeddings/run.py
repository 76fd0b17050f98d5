"""What does the text contribute to a text-driven head: to known, to added, to unseen classes?

    python benchmarks/text_embeddings/run.py            # 3 sorts of vectors x 3 seeds
    python benchmarks/text_embeddings/run.py --short    # a smoke run, under 3 minutes on 2 cores
    python benchmarks/text_embeddings/run.py --texts one_hot --seeds 3 4

Finished runs are kept, killed ones resume; the runs with MiniLM's vectors are those of
``benchmarks/partial_labels/run.py`` where they are there. Results: ``results/TEXT-SEED.json``; the
figures and tables of notebook 03 are drawn from them alone.
"""

import argparse
import tempfile
from pathlib import Path

from fmtutor.bench.text_ablation import RUN, TEXTS, run_text
from fmtutor.bench.text_results import summary, text_frame

HERE = Path(__file__).parent
SHORT = {"steps": 60, "few_steps": 20, "cases": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", nargs="+", default=list(RUN), choices=list(TEXTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path("runs"), help="checkpoints")
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    if options.short:
        with tempfile.TemporaryDirectory() as folder:
            run_all(["minilm", "one_hot"], [0], Path(folder), Path(folder) / "results", short=True)
        return
    run_all(options.texts, options.seeds, options.work, HERE / "results")


def run_all(
    texts: list[str], seeds: list[int], work: Path, results: Path, *, short: bool = False
) -> None:
    """Run what is missing and print the mean Dice of each question."""
    for seed in seeds:
        for text in texts:
            shared = work / "partial_labels" / f"clip_driven-{seed}"
            folder = shared if text == "minilm" else work / "text_embeddings" / f"{text}-{seed}"
            path = run_text(
                text, seed=seed, folder=folder, results=results, **(SHORT if short else {})
            )
            print(f"{text} seed {seed}: {path.name}", flush=True)
    table = summary(text_frame(results))
    for text, line in table.iterrows():
        for question, value in line.items():
            print(f"dice_{question} {text} {value:.4f}")


if __name__ == "__main__":
    main()
