"""Scores of annotation and active choice as tables and sentences, from committed files alone.

Files are those of benchmarks/annotation. A file that is not there gives an empty table, and a
sentence that says so. Means and intervals are taken over what may be counted: annotated volumes,
seeds of a training, orders of a data set.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fmtutor.bench.annotation_context import AIM
from fmtutor.bench.result_rows import rows_frame
from fmtutor.core.files import read_json
from fmtutor.engine.metrics import Interval, bootstrap_mean

COLUMNS: dict[str, tuple[str, ...]] = {
    "crowd": ("case", "structure", "person", "skill", "clicks", "seconds", "outlined_s",
              "break_even_s", "by_click", "dice", "volume_ratio", "bias_mm"),
    "agreement": ("case", "structure", "skill", "people", "pairwise_dice", "dice", "bias_mm",
                  "shared_mm", "individual_mm"),
    "training": ("labels", "seed", "tests", "case", "structure", "dice", "volume_ratio", "bias_mm"),
    "labels": ("labels", "case", "structure", "dice", "volume_ratio", "bias_mm"),
    "volumes": ("choice", "seed", "round", "volumes", "tests", "case", "structure", "dice"),
    "clicks": ("case", "structure", "choice", "dice"),
    "context": ("structure", "axis", "seed", "start", "image", "clicks", "before", "dice"),
}  # fmt: skip
"""Result file to the columns that are read of it."""
COMMAND = "python benchmarks/annotation/run.py"
"""What makes the files."""
PARTS = {
    "crowd": "crowd", "agreement": "crowd", "labels": "crowd", "training": "crowd",
    "volumes": "volumes", "clicks": "clicks", "context": "context",
}  # fmt: skip
"""Result file to the part of the run that makes it."""
COUNTED = {
    "case": ("cases", "case"), "structure": ("structures", "structure"),
    "labels": ("label sets", "label set"), "seed": ("seeds", "seed"),
}  # fmt: skip
"""Column of which different values are counted, to its name for several and for one."""
LABELS = {
    "true": "true masks",
    "expert": "an expert's clicks",
    "novice": "a novice's clicks",
    "vote": "vote of three novices",
    "rough": "rough, Dice of novice",
    "grown": "grown, Dice of novice",
}
"""Label set to its name in figures."""
SKILLS = ("expert", "trained", "novice")


def results_frame(folder: Path, name: str) -> pd.DataFrame:
    """Return the rows of a result file; an empty table with its columns where there is none.

    Args:
        folder: The ``results`` of benchmarks/annotation.
        name: A key of `COLUMNS`.

    Raises:
        ValueError: There is no such question, or the file lacks a column.
    """
    return rows_frame(folder, name, COLUMNS, what="result of annotation", command=COMMAND)


def missing(name: str) -> str:
    """Return the sentence about a result file that is not there."""
    return f"No result {name}.json yet; it is made by: {COMMAND} --only {PARTS[name]}"


def made_by(folder: Path, name: str) -> str:
    """Return in words what a result file holds and was made with; says so where there is none."""
    path = folder / f"{name}.json"
    if not path.exists():
        return missing(name)
    values, frame = read_json(path), results_frame(folder, name)
    counts = {column: frame[column].nunique() for column in COUNTED if column in frame}
    held = ", ".join(f"{count} {COUNTED[what][count == 1]}" for what, count in counts.items())
    weights = " and ".join(values.get("models", {})) or "no shipped network"
    return f"{held}; {weights}; made by: {COMMAND} --only {PARTS[name]}"


def crowd_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return means of masks for each skill: Dice, border, volume, clicks, minutes, share saved."""
    if frame.empty:
        return pd.DataFrame()
    groups = frame.groupby("skill", sort=False)
    table = groups[["dice", "bias_mm", "volume_ratio", "clicks"]].mean()
    table["minutes"] = groups["seconds"].mean() / 60
    table["outlined, minutes"] = groups["outlined_s"].mean() / 60
    table["saved"] = 1 - groups["seconds"].sum() / groups["outlined_s"].sum()
    table["break-even s a click"] = groups["break_even_s"].median()
    return table


def agreement_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each skill, agreement with each other and with the truth, and the border's parts.

    Parts in mm are root mean squares over structures, as they add up in squares.
    """
    if frame.empty:
        return pd.DataFrame()
    groups = frame.groupby("skill", sort=False)
    table = groups[["pairwise_dice", "dice", "bias_mm"]].mean()
    for part in ("shared_mm", "individual_mm"):
        table[part] = groups[part].apply(lambda values: float(np.sqrt((values**2).mean())))
    squares = table[["shared_mm", "individual_mm"]] ** 2
    table["shared part"] = squares["shared_mm"] / squares.sum(axis=1)
    return table


def agreement_sentences(frame: pd.DataFrame) -> list[str]:
    """Say for each skill whether agreement flatters, and how much of the error is everybody's."""
    if frame.empty:
        return [missing("agreement")]
    return [
        f"{skill:8s} {row['pairwise_dice']:.2f} with each other, {row['dice']:.2f} with the truth: "
        f"agreement {'flatters' if row['pairwise_dice'] > row['dice'] else 'does not flatter'}; "
        f"{row['shared part']:.0%} of the squared border error is shared"
        for skill, row in agreement_table(frame).iterrows()
    ]


def case_means(frame: pd.DataFrame, by: Sequence[str], value: str = "dice") -> pd.Series:
    """Return the mean over structures and seeds of each case within each group of ``by``."""
    return frame.groupby([*by, "case"], sort=False)[value].mean()


def training_table(frame: pd.DataFrame, tests: str) -> pd.DataFrame:
    """Return for each label set Dice on a test set with its interval over cases, and the border."""
    rows: dict[str, dict[str, Any]] = {}
    part = frame[frame["tests"] == tests] if len(frame) else frame
    for labels in (name for name in LABELS if len(part) and name in set(part["labels"])):
        mine = part[part["labels"] == labels]
        found = bootstrap_mean(case_means(mine, []).tolist(), 0)
        seeds = mine.groupby("seed")["dice"].mean()
        rows[labels] = {
            "dice": found.mean, "low": found.low, "high": found.high, "seeds": len(seeds),
            "spread of seeds": float(seeds.std(ddof=1)) if len(seeds) > 1 else float("nan"),
            "bias_mm": mine["bias_mm"].astype(float).mean(),
            "volume_ratio": mine["volume_ratio"].mean(),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def lost(frame: pd.DataFrame, tests: str, labels: str, against: str = "true") -> Interval:
    """Return Dice with some labels minus Dice with others, paired by case, with its interval.

    Raises:
        ValueError: They share no case.
    """
    part = frame[frame["tests"] == tests]
    sides = [case_means(part[part["labels"] == name], []) for name in (labels, against)]
    return bootstrap_mean((sides[0] - sides[1]).dropna().tolist(), 0)


def lost_sentences(frame: pd.DataFrame, tests: str) -> list[str]:
    """Say for each label set what it costs against the true masks, and if that is told apart."""
    if frame.empty:
        return [missing("training")]
    seeds = frame[frame["tests"] == tests].groupby(["labels", "seed"])["dice"].mean().unstack()
    return [
        f"{LABELS[name]:24s} {signed(lost(frame, tests, name))}; "
        f"{by_seed(seeds.loc[name] - seeds.loc['true'])}"
        for name in LABELS if name != "true" and name in seeds.index
    ]  # fmt: skip


def by_seed(differences: pd.Series) -> str:
    """Say what each seed gave, and whether they disagree in sign, which no interval tells."""
    agree = (differences > 0).all() or (differences < 0).all()
    values = " ".join(f"{value:+.3f}" for value in differences)
    return f"seeds {values}{'' if agree else ' disagree: no finding'}"


def signed(found: Interval, of: str = "cases") -> str:
    """Return a difference in words: value, interval, cases, and whether it differs from zero."""
    apart = "" if found.low > 0 or found.high < 0 else "; not told apart from zero"
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f}, {found.count} {of}{apart})"


def inherited_table(labels: pd.DataFrame, training: pd.DataFrame, tests: str) -> pd.DataFrame:
    """Return for each label set Dice and border shift of its masks, and of what learnt from them.

    A network's shift is told beyond that of the network of true masks, whose masks have none.
    """
    if labels.empty or training.empty:
        return pd.DataFrame()
    learnt = training[training["tests"] == tests]
    columns = {}
    for who, frame in (("masks", labels), ("network", learnt)):
        means = frame.assign(bias_mm=frame["bias_mm"].astype(float)).groupby("labels")
        columns[who, "dice"] = means["dice"].mean()
        columns[who, "shift, mm"] = means["bias_mm"].mean()
    table = pd.DataFrame(columns).loc[[name for name in LABELS if name in columns[who, "dice"]]]
    table["network", "shift, mm"] -= table.loc["true", ("network", "shift, mm")]
    return table


def equal_dice_sentence(labels: pd.DataFrame, training: pd.DataFrame, tests: str) -> str:
    """Say how far label sets of one Dice, and the networks that learn from them, lie apart."""
    if labels.empty or training.empty:
        return missing("training")
    same = inherited_table(labels, training, tests).loc[["novice", "rough", "grown"]]
    masks, network = (float(np.ptp(same[who, "dice"])) for who in ("masks", "network"))
    spread = training_table(training, tests)["spread of seeds"].mean()
    return (
        f"novice, rough, grown: Dice of the masks at most {masks:.3f} apart, of the networks "
        f"{network:.3f}; seeds of one label set spread by {spread:.3f}"
    )


def choice_gains(frame: pd.DataFrame, tests: str) -> dict[str, pd.DataFrame]:
    """Return, for each choice but random, Dice minus random's: a row a case, a column a seed."""
    part = frame[(frame["tests"] == tests) & (frame["round"] > 0)] if len(frame) else frame
    if part.empty:
        return {}
    table = part.groupby(["choice", "case", "seed"])["dice"].mean().unstack("seed")
    names = [name for name in table.index.unique("choice") if name != "random"]
    return {str(name): table.loc[name] - table.loc["random"] for name in names}


def choice_sentences(frame: pd.DataFrame, tests: str) -> list[str]:
    """Say for each choice what it gains over a random one, by case and by seed."""
    if frame.empty:
        return [missing("volumes")]
    return [
        f"{name} less random: {signed(bootstrap_mean(gain.mean(axis=1).tolist(), 0))}; "
        f"{by_seed(gain.mean())}"
        for name, gain in choice_gains(frame, tests).items()
    ]


def click_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean Dice after each click (rows) for each choice (columns)."""
    if frame.empty:
        return pd.DataFrame()
    curves = {
        str(choice): np.mean(np.stack(part["dice"].map(np.asarray).tolist()), 0)
        for choice, part in frame.groupby("choice", sort=False)
    }
    table = pd.DataFrame(curves)
    table.index = pd.RangeIndex(1, len(table) + 1, name="click")
    return table


def click_gaps(frame: pd.DataFrame) -> dict[str, Interval]:
    """Return Dice after the last click of one choice minus another's, paired by case."""
    if frame.empty:
        return {}
    last = frame.assign(last=[curve[-1] for curve in frame["dice"]])
    table = last.groupby(["case", "choice"])["last"].mean().unstack("choice")
    pairs = [("error", "uncertain"), ("uncertain", "random")]
    return {
        f"{one} less {other}": bootstrap_mean((table[one] - table[other]).dropna().tolist(), 0)
        for one, other in pairs if {one, other} <= set(table)
    }  # fmt: skip


def context_gaps(frame: pd.DataFrame) -> dict[str, Interval]:
    """Return clicks of late images (see `context_table`) of the growing start minus another's.

    Paired by data set: a structure in one order.
    """
    if frame.empty:
        return {}
    late = frame[frame["image"] > 2 * frame["image"].max() / 3]
    table = late.groupby(["structure", "seed", "start"])["clicks"].mean().unstack("start")
    return {
        f"growing less {other}": bootstrap_mean((table["growing"] - table[other]).tolist(), 0)
        for other in ("fixed", "afresh") if other in table
    }  # fmt: skip


def context_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return for each start: clicks an image, early and late, and Dice before the first click.

    Early are the first third of the images, late the last third.
    """
    if frame.empty:
        return pd.DataFrame()
    last = int(frame["image"].max())
    early, late = frame["image"] <= last / 3, frame["image"] > 2 * last / 3
    groups = frame.groupby("start", sort=False)
    return pd.DataFrame({
        "clicks": groups["clicks"].mean(),
        "early": frame[early].groupby("start")["clicks"].mean(),
        "late": frame[late].groupby("start")["clicks"].mean(),
        "Dice before": groups["before"].mean(),
        "no click needed": groups["clicks"].apply(lambda clicks: float((clicks == 0).mean())),
        "never reached": groups["dice"].apply(lambda dice: float((dice < AIM).mean())),
    }).loc[list(dict.fromkeys(frame["start"]))]  # fmt: skip
