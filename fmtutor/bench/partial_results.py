"""Tables and figures of the partial-label comparison, drawn from its committed result files alone.

Scores come from `fmtutor.bench.comparison.results_frame`. A score counts in a headline where the
reference has at least 10 ml of the structure; a patient's value is the mean over its structures and
over seeds, and intervals are bootstrapped over patients.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmtutor.bench.comparison import HEADLINE_ML, SYSTEMS
from fmtutor.bench.figures_partial import teachers
from fmtutor.core import colours
from fmtutor.core.files import read_json
from fmtutor.data.domains import CENTRES
from fmtutor.engine.metrics import Interval, bootstrap_mean

COLOURS = {
    "masked": colours.GREEN,
    "naive": colours.BLACK,
    "one_centre": colours.GREY,
    "multitalent": colours.BLUE,
    "med3d": colours.ORANGE,
    "dodnet": colours.PURPLE,
    "clip_driven": colours.SKY,
    "uniseg": colours.INDIGO,
    "suprem": colours.BROWN,
    "hermes": colours.VERMILION,
}
"""System to its colour; black and grey for the two controls."""
MARKERS = dict(zip(COLOURS, "oXpsD^v<>P", strict=True))
"""A second way to tell ten systems apart."""
CONTRADICTED = ("liver", "aorta")
"""Names that two centres read differently."""


def headline(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the scores of "target" or "real" whose reference has at least 10 ml."""
    reference = pd.to_numeric(frame["reference_ml"])
    return frame[(frame["where"] == where) & (reference >= HEADLINE_ML) & frame["dice"].notna()]


def present(frame: pd.DataFrame) -> list[str]:
    """Return the systems that have results, in the order of `SYSTEMS`."""
    return [name for name in SYSTEMS if name in set(frame["system"])]


def shared_names(frame: pd.DataFrame) -> list[str]:
    """Return the structures that every system in the frame was scored on."""
    per_system = frame.groupby("system")["region"].agg(set)
    return sorted(set.intersection(*per_system)) if len(per_system) else []


def patient_means(
    frame: pd.DataFrame, system: str, names: Collection[str] | None = None
) -> pd.Series:
    """Return a system's mean Dice per patient, over structures and seeds."""
    own = frame[frame["system"] == system]
    if names is not None:
        own = own[own["region"].isin(names)]
    return own.groupby(["case", "region"])["dice"].mean().groupby("case").mean()


def summary(frame: pd.DataFrame, names: Collection[str] | None = None) -> pd.DataFrame:
    """Return a row per system: seeds, patients, structures, mean Dice and its interval.

    Args:
        frame: Scores of one place, see `headline`.
        names: Structures to average; None takes all that a system has.
    """
    rows = []
    for system in present(frame):
        own = frame[frame["system"] == system]
        means = patient_means(frame, system, names)
        interval = bootstrap_mean(means, 0)
        used = own[own["region"].isin(names)] if names is not None else own
        rows.append({
            "system": system, "seeds": own["seed"].nunique(), "patients": interval.count,
            "structures": used["region"].nunique(), "dice": interval.mean, "low": interval.low,
            "high": interval.high,
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("system")


def difference(
    frame: pd.DataFrame, one: str, other: str, names: Collection[str] | None = None
) -> Interval:
    """Return the mean over patients of one system's Dice minus another's, on equal structures.

    Raises:
        ValueError: They share no patient and structure.
    """
    pair = frame[frame["system"].isin([one, other])]
    both = [name for name in shared_names(pair) if names is None or name in names]
    gaps = patient_means(pair, one, both) - patient_means(pair, other, both)
    return bootstrap_mean(gaps, 0)


def verdict(frame: pd.DataFrame, one: str, other: str, names: Collection[str] | None = None) -> str:
    """Return `difference` in words; what has not been run is said, not raised."""
    if missing := [name for name in (one, other) if name not in present(frame)]:
        return f"{one} minus {other}: no result of {', '.join(missing)} yet"
    gap = difference(frame, one, other, names)
    side = "not told apart from zero"
    if gap.low > 0 or gap.high < 0:
        side = "above zero" if gap.low > 0 else "below zero"
    return (
        f"{one} minus {other}: {gap.mean:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}, "
        f"{gap.count} patients), {side}"
    )


def contradicted(frame: pd.DataFrame, names: Sequence[str] = CONTRADICTED) -> pd.DataFrame:
    """Return, per system and contradicted name, Dice and predicted over reference volume."""
    own = with_volumes(frame[frame["region"].isin(names)])
    grouped = own.groupby(["region", "system"])[["dice", "volume"]].mean()
    table = grouped.rename(columns={"volume": "predicted / reference volume"}).unstack("region")
    return table.swaplevel(axis=1).sort_index(axis=1).loc[present(own)]


def cost_frame(results: Path, systems: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a row per system: seeds, steps, patches a step, parameters, training minutes."""
    rows = []
    for path in sorted(results.glob("*-*.json")):
        result = read_json(path)
        if systems is not None and result["name"] not in systems:
            continue
        config = result["recipe"]["config"]
        rows.append({
            "system": result["name"], "steps": config["steps"], "patches a step": config["batch"],
            "parameters, M": result["parameters"] / 1e6,
            "minutes": result["training_seconds"] / 60,
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    grouped = frame.groupby("system")
    out = grouped.mean().assign(seeds=grouped.size())
    return out.loc[[name for name in SYSTEMS if name in out.index]]


def plot_systems(frame: pd.DataFrame, names: Collection[str]) -> Figure:
    """Draw mean Dice per system: interval over patients, a dot per seed.

    Args:
        frame: Scores of one place, see `headline`.
        names: The structures averaged on the left, those all systems know; right shows all
            structures that a system was taught.
    """
    figure, panels = plt.subplots(1, 2, figsize=(10.5, 3.0), layout="constrained", sharey=True)
    choices = {
        f"the {len(names)} structures that all systems know": names,
        "all it was taught": None,
    }
    for axes, (title, chosen) in zip(panels, choices.items(), strict=True):
        table = summary(frame, chosen)
        for row, (system, line) in enumerate(table.iterrows()):
            colour = COLOURS[str(system)]
            axes.barh(row, line["dice"], color=colour, alpha=0.35, height=0.62)
            axes.plot([line["low"], line["high"]], [row, row], color=colour, linewidth=3)
            own = frame[frame["system"] == system]
            seeds = [patient_means(part, str(system), chosen).mean() for _, part in
                     own.groupby("seed")]  # fmt: skip
            axes.plot(seeds, [row] * len(seeds), "o", color="black", mec="white", mew=0.7, ms=5.5)
            count = int(line["structures"])
            axes.text(1.0, row, f"{line['dice']:.2f}  ({count})", va="center", ha="right",
                      fontsize=9)  # fmt: skip
        axes.set_yticks(range(len(table)), [str(name).replace("_", " ") for name in table.index])
        axes.set(xlim=(0, 1), xlabel="mean Dice")
        axes.set_title(title, fontsize=10)
        _plain(axes)
    panels[0].invert_yaxis()
    return figure


def with_volumes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with ``volume``: predicted over reference volume, 1 where they agree."""
    predicted, reference = (pd.to_numeric(frame[f"{n}_ml"]) for n in ("predicted", "reference"))
    return frame.assign(volume=predicted / reference)


def plot_structures(frame: pd.DataFrame, *, value: str = "dice", title: str = "") -> Figure:
    """Draw a value per structure, a mark per system (mean over patients and seeds).

    Structures stand in the order of how many centres teach them; a star marks contradicted names.

    Args:
        frame: Scores of one place, see `headline`.
        value: "dice", or "volume" of `with_volumes`: its median, on a logarithmic axis.
        title: Written above.
    """
    names = sorted(set(frame["region"]), key=lambda name: (-teachers(name), name))
    figure, axes = plt.subplots(figsize=(8.6, 0.27 * len(names) + 1.3), layout="constrained")
    for system in present(frame):
        groups = frame[frame["system"] == system].groupby("region")[value]
        means = groups.mean() if value == "dice" else groups.median().clip(lower=0.05)
        rows = [names.index(name) for name in means.index]
        axes.plot(means, rows, MARKERS[system], color=COLOURS[system], markersize=8, mec="white",
                  mew=0.6, label=system.replace("_", " "))  # fmt: skip
    labels = [
        f"{name.replace('_', ' ')}{' *' if name in CONTRADICTED else ''}  ({teachers(name)})"
        for name in names
    ]
    axes.set_yticks(range(len(names)), labels)
    axes.invert_yaxis()
    if value == "dice":
        axes.set(xlim=(-0.02, 1), xlabel="Dice")
    else:
        axes.set(xscale="log", xlabel="predicted / reference volume (0.05 or less at the left)")
        axes.axvline(1, color="black", linewidth=0.8)
    axes.grid(axis="y", color="#e5e5e5")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_title(title, fontsize=10)
    _plain(axes)
    return figure


def gains(frame: pd.DataFrame, one: str = "masked", other: str = "naive") -> pd.DataFrame:
    """Return per structure one system's Dice minus another's, with its interval and teachers."""
    pair = frame[frame["system"].isin([one, other])]
    rows = []
    for name in shared_names(pair):
        gap = difference(pair, one, other, [name])
        rows.append({
            "structure": name, "teachers": teachers(name), "gain": gap.mean, "low": gap.low,
            "high": gap.high,
        })  # fmt: skip
    return pd.DataFrame(rows).sort_values(["teachers", "gain"], ascending=[False, False])


def plot_gains(frame: pd.DataFrame, one: str = "masked", other: str = "naive") -> Figure:
    """Draw each structure's gain against the number of centres that annotate it."""
    table = gains(frame, one, other)
    figure, axes = plt.subplots(figsize=(9.0, 3.6), layout="constrained")
    for count, group in table.groupby("teachers"):
        spread = np.linspace(-0.38, 0.38, len(group) + 2)[1:-1]
        for shift, row in zip(spread, group.itertuples(), strict=True):
            x = float(count) + shift
            axes.plot([x, x], [row.low, row.high], color=colours.GREY, linewidth=1.5)
            axes.plot(x, row.gain, "o", color=COLOURS[one], markersize=5)
            axes.text(x, row.high + 0.02, row.structure.replace("_", " "), rotation=90, fontsize=7,
                      ha="center", va="bottom")  # fmt: skip
    axes.axhline(0, color="black", linewidth=0.8)
    counts = sorted(set(table["teachers"]))
    axes.set_xticks(counts, [f"{n} of {len(CENTRES)}" for n in counts])
    axes.set(xlabel="centres that annotate it", ylabel=f"Dice, {one} minus {other}")
    axes.set_ylim(min(-0.1, table["low"].min() - 0.05), table["high"].max() + 0.4)
    _plain(axes)
    return figure


def per_structure(frame: pd.DataFrame, systems: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a table structure x system of mean Dice, with the reference volume and teachers."""
    table = frame.pivot_table(index="region", columns="system", values="dice", aggfunc="mean")
    table = table[[name for name in systems or present(frame) if name in table]]
    volume = frame.assign(ml=pd.to_numeric(frame["reference_ml"])).groupby("region")["ml"].mean()
    out = table.assign(**{"reference, ml": volume, "centres": [teachers(n) for n in table.index]})
    return out.sort_values("reference, ml", ascending=False)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
