"""What the result files of interaction scores say, in sentences computed from their rows.

Every function takes rows of `fmtutor.bench.interactive_results.results_frame` and returns lines; an
empty table gives one line with the command that makes it. What is averaged are tasks, a structure
of a volume, and a comparison is made on the tasks that both sides have.
"""

from collections.abc import Iterator

import pandas as pd

from fmtutor.bench.interactive_results import COMMAND, TASK, TITLES, summaries
from fmtutor.engine.metrics import bootstrap_mean

MISSING = f"no result yet; this makes it: {COMMAND}"
SYSTEMS = ("sam_med3d", "early_prompt")
GROUPS = {True: "seen", False: "unseen"}
AFTER = (1, 3, 5, 10)
SLICES = ("sam_base", "sam_med2d")


def click_sentences(frame: pd.DataFrame, volume: str = "target") -> list[str]:
    """Return mean Dice after 1, 3, 5 and 10 clicks, and how many structures reach 0.8.

    Args:
        frame: Rows of curves3d.
        volume: Whose structures.
    """
    found = summaries(frame) if len(frame) else frame
    return list(_clicks(found, volume)) or [MISSING]


def _clicks(found: pd.DataFrame, volume: str) -> Iterator[str]:
    for system in SYSTEMS if len(found) else ():
        for seen, word in GROUPS.items():
            rows = _of(found, volume, system)
            rows = rows[rows["seen"] == seen]
            columns = [f"dice_{n}" for n in AFTER if f"dice_{n}" in rows]
            if rows.empty:
                continue
            tasks = rows.groupby(TASK)[[*columns, "failed_80"]].mean()
            said = ", ".join(f"{tasks[c].mean():.2f} after {c[5:]}" for c in columns)
            reach = int((tasks["failed_80"] < 0.5).sum())
            yield f"{TITLES[system]}, {word}: {said}; 0.8 reached by {reach} of {len(tasks)}"


def baseline_sentences(frame: pd.DataFrame, volume: str = "target") -> list[str]:
    """Return on how many structures a network beats a ball at each click, and the bare box.

    Args:
        frame: Rows of curves3d.
        volume: Whose structures.
    """
    if frame.empty:
        return [MISSING]
    found, lines = summaries(frame), []
    for system in SYSTEMS:
        for rival in ("sphere", "box"):
            for clicks in (1, 10):
                pairs = _pairs(
                    _of(found, volume, system), _of(found, volume, rival), f"dice_{clicks}"
                )
                if len(pairs):
                    ahead = int((pairs["one"] > pairs["other"]).sum())
                    lines.append(
                        f"{TITLES[system]} after {clicks}: above the {TITLES[rival]} on {ahead} "
                        f"of {len(pairs)} structures ({_gain(pairs)})"
                    )
    return lines or [MISSING]


def oracle_sentences(frame: pd.DataFrame) -> list[str]:
    """Return what a crop centred on the label adds, after 1 and 10 clicks, on all volumes."""
    if frame.empty:
        return [MISSING]
    found, lines = summaries(frame), []
    for clicks in (1, 10):
        given = found[found["oracle"].astype(bool)]
        for system in given["system"].unique():
            free = found[(found["system"] == system) & ~found["oracle"].astype(bool)]
            free = free[free["simulator"] == "centre"]
            rows = given[given["system"] == system]
            pairs = _pairs(rows, free, f"dice_{clicks}")
            if len(pairs):
                lines.append(
                    f"{TITLES[system]} after {clicks}: crop on the label less crop on the click "
                    f"{_gain(pairs)}, {len(pairs)} structures"
                )
    return lines or [MISSING]


def point_sentences(frame: pd.DataFrame) -> list[str]:
    """Return one point in the volume against N points, one on each slice, on the same structures.

    Args:
        frame: Rows of points.
    """
    lines = []
    for volume_system in SYSTEMS if len(frame) else ():
        one = frame[(frame["system"] == volume_system) & (frame["per"] == 1)]
        for system in SLICES:
            other = frame[(frame["system"] == system) & (frame["per"] == 1)]
            pairs = _pairs(one, other, "dice")
            if len(pairs):
                points = other["points"].astype(float).median()
                seconds = [part["seconds"].astype(float).median() for part in (one, other)]
                lines.append(
                    f"{TITLES[volume_system]} with 1 point less {TITLES[system]} with one on each "
                    f"of N slices (median {points:.0f}): Dice {_gain(pairs)}; "
                    f"{seconds[0]:.1f} against {seconds[1]:.1f} s"
                )
    return lines or [MISSING]


def automatic_sentences(frame: pd.DataFrame) -> list[str]:
    """Return each prompted network less the network of fixed classes, where that has the class.

    Args:
        frame: Rows of prompts.
    """
    lines = []
    if frame.empty:
        return [MISSING]
    fixed = frame[(frame["prompt"] == "automatic") & frame["dice"].notna()]
    for system in (*SYSTEMS, *SLICES):
        for prompt in ("10 points", "tight box"):
            rows = frame[(frame["system"] == system) & (frame["prompt"] == prompt)]
            pairs = _pairs(rows.dropna(subset=["dice"]), fixed, "dice")
            if len(pairs):
                lower = int((pairs["one"] < pairs["other"]).sum())
                lines.append(
                    f"{TITLES[system]}, {prompt}: less the {TITLES['organs']} {_gain(pairs)}; "
                    f"lower on {lower} of {len(pairs)} structures"
                )
    return lines or [MISSING]


def _of(found: pd.DataFrame, volume: str, system: str) -> pd.DataFrame:
    """Return a system's curves by "centre" without an oracle; those of a box, which nobody clicks.

    The rows are of `summaries`.
    """
    clicked = found["simulator"].isin(["centre", "none"])
    rows = (found["volume"] == volume) & (found["system"] == system) & clicked
    return found[rows & ~found["oracle"].astype(bool)]


def _pairs(one: pd.DataFrame, other: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the means of tasks that both have, as columns one and other."""
    if value not in one or value not in other:
        return pd.DataFrame(columns=["one", "other"])
    sides = {
        name: rows.astype({value: float}).groupby(TASK)[value].mean()
        for name, rows in (("one", one), ("other", other))
    }
    return pd.DataFrame(sides).dropna()


def _gain(pairs: pd.DataFrame) -> str:
    """Return the mean difference with its 95 % interval over tasks."""
    found = bootstrap_mean(pairs["one"] - pairs["other"], 0)
    return f"{found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
