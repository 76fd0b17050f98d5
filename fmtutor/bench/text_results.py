"""Tables and figures of the text ablation, drawn from its committed result files alone.

A score counts where the reference has at least 10 ml of the structure. A patient's value is the
mean over structures; intervals are bootstrapped over patients, after seeds are averaged.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from fmtutor.bench.comparison import HEADLINE_ML
from fmtutor.bench.text_ablation import TEXTS
from fmtutor.core.files import read_json
from fmtutor.engine.metrics import bootstrap_mean

QUESTIONS = ("known", "extension", "known_after", "zero_shot")
"""Parts of a result, in the order of `fmtutor.bench.text_ablation`."""
TITLES = {
    "known": "known structures",
    "extension": "added from a few cases",
    "known_after": "known, after the addition",
    "zero_shot": "never trained, by name",
}
COLOURS = {
    "minilm": "#1b7837",
    "minilm_centred": "#5aae61",
    "one_hot": "#7f7f7f",
    "random": "#e08214",
}


def text_frame(results: Path) -> pd.DataFrame:
    """Return all results of a folder as one frame: a row per text, seed, question, case, structure.

    Raises:
        ValueError: The folder has no result.
    """
    frames = []
    for path in sorted(results.glob("*-*.json")):
        result = read_json(path)
        for question in QUESTIONS:
            rows = pd.DataFrame(result[question])
            seed = result["recipe"]["seed"]
            frames.append(rows.assign(text=result["name"], seed=seed, question=question))
    if not frames:
        raise ValueError(
            f"no result in {results}; make them with benchmarks/text_embeddings/run.py."
        )
    frame = pd.concat(frames, ignore_index=True)
    for column in ("dice", "reference_ml", "predicted_ml"):
        frame[column] = pd.to_numeric(frame[column])
    return frame


def headline(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the scores of "target" or "real" whose reference has at least 10 ml."""
    large = frame["reference_ml"] >= HEADLINE_ML
    return frame[(frame["where"] == where) & large & frame["dice"].notna()]


def present(frame: pd.DataFrame) -> list[str]:
    """Return the sorts of vectors that have results, in the order of `TEXTS`."""
    return [name for name in TEXTS if name in set(frame["text"])]


def summary(frame: pd.DataFrame, where: str = "target") -> pd.DataFrame:
    """Return mean Dice, a row per sort of vectors and a column per question."""
    own = headline(frame, where)
    table = own.pivot_table(index="text", columns="question", values="dice", aggfunc="mean")
    columns = [question for question in QUESTIONS if question in table]
    return table.loc[present(own), columns]


def intervals(frame: pd.DataFrame, question: str, where: str = "target") -> pd.DataFrame:
    """Return mean Dice of a question with its bootstrap interval over patients, per text."""
    own = headline(frame, where)
    own = own[own["question"] == question]
    rows = []
    for text in present(own):
        part = own[own["text"] == text]
        patients = part.groupby(["case", "region"])["dice"].mean().groupby("case").mean()
        interval = bootstrap_mean(patients, 0)
        rows.append({
            "text": text, "dice": interval.mean, "low": interval.low, "high": interval.high,
            "patients": interval.count, "seeds": part["seed"].nunique(),
            "structures": part["region"].nunique(),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("text")


def answers(frame: pd.DataFrame, where: str = "target") -> pd.DataFrame:
    """Return what zero-shot masks really are: per text and structure asked for, mean Dice with it,
    the trained class whose mask it is most often like, and the mean Dice with that mask.
    """
    own = headline(frame, where)
    own = own[own["question"] == "zero_shot"]
    rows = []
    for (text, region), group in own.groupby(["text", "region"]):
        alike = group["answers_like"].dropna()
        other = alike.mode().iloc[0] if len(alike) else None
        same = group[group["answers_like"] == other]
        rows.append({
            "text": text, "asked for": region, "dice": group["dice"].mean(),
            "answers like": other, "dice with it": pd.to_numeric(same["dice_with_it"]).mean(),
            "empty": float((group["predicted_ml"] == 0).mean()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def plot_questions(frame: pd.DataFrame, places: Sequence[str] = ("target", "real")) -> Figure:
    """Draw mean Dice per question and sort of vectors: bar, patients' interval, dot per seed."""
    figure, panels = plt.subplots(
        1, len(places), figsize=(5.4 * len(places), 3.3), layout="constrained", sharey=True
    )
    for axes, where in zip(panels, places, strict=True):
        own = headline(frame, where)
        texts = present(own)
        for row, question in enumerate(QUESTIONS):
            part = own[own["question"] == question]
            if part.empty:
                continue
            table = intervals(frame, question, where)
            for number, text in enumerate(table.index):
                y = row + (number - (len(texts) - 1) / 2) * 0.19
                line, colour = table.loc[text], COLOURS[text]
                axes.barh(y, line["dice"], height=0.17, color=colour, alpha=0.4,
                          label=text.replace("_", " ") if row == 0 else None)  # fmt: skip
                axes.plot([line["low"], line["high"]], [y, y], color=colour, linewidth=2)
                seeds = part[part["text"] == text].groupby("seed")["dice"].mean()
                axes.plot(seeds, [y] * len(seeds), ".", color="black", markersize=4)
        axes.set_yticks(range(len(QUESTIONS)), [TITLES[name] for name in QUESTIONS])
        axes.set(xlim=(0, 1), xlabel="mean Dice")
        axes.set_title({"target": "unseen centre", "real": "real CT series"}[where], fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
    panels[0].invert_yaxis()
    panels[-1].legend(frameon=False, fontsize=9)
    return figure
