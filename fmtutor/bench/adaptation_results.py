"""What a general SAM is worth to medicine, from the committed result file alone.

``adaptation.json`` of benchmarks/interaction_scores has a row for each system, start, seed,
structure and prompt (`fmtutor.bench.interactive_adaptation`). Seeds of a structure are averaged
first, and structures are bootstrapped: starts are compared on equal structures.
"""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from fmtutor.bench.interactive_adaptation import BASE, SCRATCH
from fmtutor.bench.result_rows import rows_frame
from fmtutor.core.colours import BLUE, VERMILION
from fmtutor.engine.metrics import bootstrap_mean

COMMAND = "python benchmarks/interaction_scores/adaptation.py"
COLUMNS = {
    "adaptation": ("system", "start", "seed", "structure", "prompt", "dice", "trained_parameters",
                   "seconds", "steps"),
}  # fmt: skip
TITLES = {
    "medsam": "MedSAM", "sam_med2d": "SAM-Med2D", "samed": "SAMed", "ma_sam": "MA-SAM, prompted",
    "ma_sam_automatic": "MA-SAM, automatic", "adapter_3dsam": "3DSAM-adapter",
}  # fmt: skip
"""System to its name in figures, in their order."""
COLOURS = {BASE: BLUE, SCRATCH: VERMILION}
STARTS = {BASE: "from general SAM, most of it frozen", SCRATCH: "from scratch, nothing frozen"}


def adaptation_frame(folder: Path) -> pd.DataFrame:
    """Return the rows; an empty table with their columns where there is no file yet."""
    return rows_frame(folder, "adaptation", COLUMNS, what="result of adaptation", command=COMMAND)


def gains(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean Dice of both starts and what the general SAM adds, a row a system and prompt.

    Returns:
        Columns base, scratch, gain, low, high (95 % interval of the gain over structures),
        structures, seeds; systems that have one start alone are left out.
    """
    rows = {}
    for system in (name for name in TITLES if name in set(frame["system"])):
        own = frame[frame["system"] == system]
        for prompt in own["prompt"].unique():
            part = own[own["prompt"] == prompt]
            table = part.pivot_table(index="structure", columns="start", values="dice")
            if not {BASE, SCRATCH} <= set(table):
                continue
            table = table.dropna()
            found = bootstrap_mean(table[BASE] - table[SCRATCH], 0)
            rows[TITLES[system], prompt] = {
                "base": table[BASE].mean(), "scratch": table[SCRATCH].mean(), "gain": found.mean,
                "low": found.low, "high": found.high, "structures": found.count,
                "seeds": part["seed"].nunique(),
            }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def gain_sentences(frame: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each row of `gains`, or the command where there is no result."""
    table = gains(frame)
    if table.empty:
        yield f"no result yet: {COMMAND}"
    for key, row in table.iterrows():
        system, prompt = key  # type: ignore[misc]
        count = f"{row['seeds']:.0f} seed" + "s" * int(row["seeds"] > 1)
        told = "" if row["low"] > 0 or row["high"] < 0 else "; not told apart from zero"
        yield (
            f"{system}, {prompt}: {row['base']:.2f} from general SAM, {row['scratch']:.2f} from "
            f"scratch, {row['gain']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f}, "
            f"{row['structures']:.0f} structures, {count}{told})"
        )


def plot_adaptation(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice of each system and prompt from both starts, a small dot a structure."""
    table = gains(frame)
    if table.empty:
        figure = plt.figure(figsize=(5.6, 0.6))
        figure.text(0.5, 0.5, f"no result yet: {COMMAND}", ha="center", va="center", fontsize=9)
        return figure
    figure, axes = plt.subplots(figsize=(8.4, 0.9 + 0.42 * len(table)), layout="constrained")
    for place, ((system, prompt), row) in enumerate(table.iterrows()):  # type: ignore[misc]
        here = (frame["system"].map(TITLES) == system) & (frame["prompt"] == prompt)
        for start, offset in ((BASE, -0.14), (SCRATCH, 0.14)):
            part = frame[here & (frame["start"] == start)]
            each, colour = part.groupby("structure")["dice"].mean(), COLOURS[start]
            axes.plot(each, [place + offset] * len(each), ".", color=colour, alpha=0.35, ms=5)
            label = STARTS[start] if place == 0 else None
            axes.plot(row[start], place + offset, "os"[start == SCRATCH], color=colour, ms=8,
                      label=label)  # fmt: skip
    axes.set_yticks(range(len(table)), [f"{system}, {prompt}" for system, prompt in table.index])
    axes.set(xlim=(0, 1), ylim=(len(table) - 0.5, -0.5), xlabel="Dice, virtual target patients")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure
