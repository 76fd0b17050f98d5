"""Scores of several answers, drawn from the result file of ``benchmarks/in_context_scores`` alone.

A patient's value is the mean over its slices, and intervals are bootstrapped over patients.
Source of the scores: `fmtutor.engine.uncertainty`. Taught in: 08
"""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fmtutor.core.colours import BLACK, BLUE, GREEN, GREY, ORANGE
from fmtutor.core.files import read_json

COLOURS = {"tyche": GREEN, "tyche_is": ORANGE, "universeg": BLUE}
TITLES = {"tyche": "Tyche", "tyche_is": "Tyche-IS", "universeg": "UniverSeg"}
"""Systems of the result file, in the order in which they are drawn."""
SCORES = {
    "best": "best candidate Dice ↑",
    "mean": "mean Dice ↑",
    "matched_iou": "matched IoU ↑",
    "ged": "GED² ↓",
    "diversity": "diversity",
}
"""Columns of the result file, in words; an arrow says which way is better."""
SUPPORTS = ("mixed", "with", "without")
COLUMNS = ("organ", "case", "system", "support_kind", "candidates", *SCORES)
"""What is read of a row."""
COMMAND = "python benchmarks/in_context_scores/run.py"


def result_frames(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows and the reliability of a result file; both empty where it is not there yet.

    Args:
        path: ambiguity.json as ``benchmarks/in_context_scores`` writes it.
    """
    found = read_json(path) if path.exists() else {"rows": [], "reliability": []}
    bins = ("system", "confidence", "frequency", "count")
    rows = pd.DataFrame(found["rows"], columns=None if found["rows"] else list(COLUMNS))
    reliability = found["reliability"]
    return rows, pd.DataFrame(reliability, columns=None if reliability else list(bins))


def plot_scores(rows: pd.DataFrame, *, seed: int = 0) -> Figure:
    """Draw the scores of a result file: a bar is the mean over patients, a line its 95 % interval.

    Args:
        rows: Of `result_frames`; empty draws what to run.
        seed: Of the bootstrap over patients.
    """
    if rows.empty:
        return _absent()
    figure, panels = plt.subplots(1, len(SCORES), figsize=(12.5, 2.8), layout="constrained")
    systems = [name for name in TITLES if name in set(rows["system"])]
    for axes, (column, title) in zip(panels, SCORES.items(), strict=True):
        for place, system in enumerate(systems):
            for at, kind in enumerate(SUPPORTS):
                chosen = rows[(rows["system"] == system) & (rows["support_kind"] == kind)]
                middle, low, high = over_patients(chosen, column, seed=seed)
                x = at + (place - (len(systems) - 1) / 2) * 0.27
                axes.bar(x, middle, 0.25, color=COLOURS[system],
                         label=TITLES[system] if at == 0 else None)  # fmt: skip
                axes.plot([x, x], [low, high], color="black", linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.set_xticks(range(len(SUPPORTS)), SUPPORTS, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_xlabel("what the support shows")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=3, loc="outside lower center")
    return figure


def over_patients(rows: pd.DataFrame, column: str, *, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of a column over patients and its bootstrapped 95 % interval.

    A patient's value is the mean of its slices; where there is no value all three are NaN.
    """
    values = rows.dropna(subset=[column]).groupby("case")[column].mean().to_numpy(float)
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    draws = np.random.default_rng(seed).choice(values, (1000, len(values))).mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def score_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the means over patients, a row for each organ, system and kind of support."""
    table: dict[Any, dict[str, float]] = {}
    for organ in rows["organ"].unique():
        for system in (name for name in TITLES if name in set(rows["system"])):
            for kind in SUPPORTS:
                chosen = rows.query(
                    "organ == @organ and system == @system and support_kind == @kind"
                )
                means = {column: over_patients(chosen, column)[0] for column in SCORES}
                table[organ, TITLES[system], kind] = means
    if not table:
        return pd.DataFrame(columns=list(SCORES))
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["organ", "system", "support"])
    return frame


def gains(rows: pd.DataFrame, *, seed: int = 0) -> list[str]:
    """Return a sentence for each system of candidates, organ and support: best less mean Dice."""
    if rows.empty:
        return [f"no result file yet: {COMMAND}"]
    sentences = []
    several = rows[rows["candidates"] > 1].assign(gain=rows["best"] - rows["mean"])
    for organ in several["organ"].unique():
        for kind in SUPPORTS:
            for system in (name for name in TITLES if name in set(several["system"])):
                chosen = several.query(
                    "organ == @organ and system == @system and support_kind == @kind"
                )
                gain, low, high = over_patients(chosen, "gain", seed=seed)
                spread = over_patients(chosen, "diversity", seed=seed)[0]
                sentences.append(
                    f"{organ}, {kind}: {TITLES[system]} best less mean {gain:+.3f} "
                    f"({low:+.3f} to {high:+.3f}, {chosen['case'].nunique()} patients), "
                    f"diversity {spread:.2f}"
                )
    return sentences


def plot_reliability(rows: pd.DataFrame) -> Figure:
    """Draw frequency over confidence; the area of a dot grows with its pixels."""
    if rows.empty:
        return _absent()
    figure, axes = plt.subplots(figsize=(4.4, 3.9), layout="constrained")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="dashed", linewidth=1)
    for system, part in rows.dropna().groupby("system", sort=False):
        size = 6 + 70 * np.sqrt(part["count"] / part["count"].max())
        colour = COLOURS.get(str(system), BLACK)
        axes.plot(part["confidence"], part["frequency"], color=colour, linewidth=1.4)
        axes.scatter(part["confidence"], part["frequency"], s=size, color=colour,
                     label=TITLES.get(str(system), str(system)))  # fmt: skip
    axes.set(xlabel="mean probability of foreground", ylabel="how often it is foreground")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _absent() -> Figure:
    figure, axes = plt.subplots(figsize=(6, 0.7), layout="constrained")
    axes.axis("off")
    axes.text(0.5, 0.5, f"no result file yet: {COMMAND}", ha="center", va="center")
    return figure
