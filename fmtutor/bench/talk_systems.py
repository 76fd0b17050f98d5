"""The eight systems of the talk side by side: one table and two figures from committed results.

Scores come from `fmtutor.bench.comparison.results_frame`, costs from `fmtutor.bench.costs`. On the
target hospital an interval is bootstrapped over patients, on the real series, which is one patient,
over structures: it says how much the mean depends on which structures are in the slab.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmtutor.bench.comparison import SYSTEMS, TALK
from fmtutor.bench.costs import HOW
from fmtutor.bench.partial_results import COLOURS, MARKERS, headline, patient_means
from fmtutor.engine.metrics import Interval, bootstrap_mean
from fmtutor.paradigms import paradigm

FLOOR = 0.6
"""Share of the best system's mean Dice below which a system counts as not having learnt."""
SETTING = {
    "med3d": "a decoder per centre",
    "dodnet": "a head per centre, written from a one-hot vector and the image",
    "clip_driven": "a head per name, written from its text and the image",
    "multitalent": "an output per centre and name",
    "uniseg": "a map per centre at the bottleneck",
    "suprem": "an output per name; labels completed first",
    "hermes": "a token per centre and name, that reads the image and is read",
    "masked": "an output per name",
}
"""What tells a class from the others."""


def title_of(system: str) -> str:
    """Return the published name of a system of the comparison; ours where it is a control.

    Example:
        >>> title_of("masked"), title_of("hermes"), title_of("naive")
        ('FSEFT (masked)', 'Hermes', 'naive')
    """
    if system not in TALK:
        return system.replace("_", " ")
    card = paradigm(SYSTEMS[system]().system).CARD
    return f"{card.name} (masked)" if system == "masked" else card.name


def answers_table(systems: Sequence[str] = TALK) -> pd.DataFrame:
    """Return a row per system: year, what tells a class from the others, what a new one needs."""
    rows = [
        {"system": title_of(name), "year": paradigm(SYSTEMS[name]().system).CARD.year,
         "a class is": SETTING[name], "a new class needs": HOW[name]}
        for name in systems
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("system")


def interval(frame: pd.DataFrame, system: str, where: str) -> Interval:
    """Return a system's mean Dice at a place with its interval, see the module's docstring.

    Args:
        frame: Of `results_frame`.
        system: A system that has results.
        where: "target" or "real".
    """
    rows = headline(frame, where)
    if where == "target":
        return bootstrap_mean(patient_means(rows, system), 0)
    own = rows[rows["system"] == system]
    return bootstrap_mean(own.groupby("region")["dice"].mean(), 0)


def there(frame: pd.DataFrame, systems: Sequence[str] = TALK) -> list[str]:
    """Return those of the systems that have results, in the order given."""
    found = set(frame["system"])
    return [name for name in systems if name in found]


def ranking(frame: pd.DataFrame) -> list[str]:
    """Return the systems of the talk that have results, best mean Dice at the target first."""
    return sorted(there(frame), key=lambda name: -interval(frame, name, "target").mean)


def talk_table(frame: pd.DataFrame, costs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a row per system of the talk: Dice at both places, and what it costs.

    Args:
        frame: Of `results_frame`.
        costs: Of `fmtutor.bench.costs.costs_frame`; None leaves its columns out.
    """
    target = {name: interval(frame, name, "target") for name in there(frame)}
    real = {name: interval(frame, name, "real") for name in there(frame)}
    best = max(found.mean for found in target.values())
    rows = []
    for name, found in target.items():
        seeds = frame[frame["system"] == name]["seed"].nunique()
        rows.append({
            "system": name, "seeds": seeds, "target": found.mean,
            "95 %": f"{found.low:.2f} to {found.high:.2f}", "of the best": found.mean / best,
            "real": real[name].mean,
        })  # fmt: skip
    table = pd.DataFrame(rows).set_index("system")
    if costs is not None:
        table = table.join(costs.drop(columns="a new class").rename(
            columns={"its parameters": "parameters of a new class"}
        ))  # fmt: skip
    return table.rename(index=title_of)


def behind(frame: pd.DataFrame, share: float = FLOOR) -> list[str]:
    """Return the systems whose mean Dice at the target is under a share of the best one's."""
    means = {name: interval(frame, name, "target").mean for name in there(frame)}
    return [name for name, mean in means.items() if mean < share * max(means.values())]


def plot_talk(frame: pd.DataFrame) -> Figure:
    """Draw mean Dice of every system of the talk, unseen hospital left, real series right.

    A bar is the mean, its line the interval, a black dot one seed; systems stand in the order of
    `ranking`, and the dotted line is at `FLOOR` of the first.
    """
    names = ranking(frame)
    figure, panels = plt.subplots(
        1, 2, figsize=(10.5, 0.36 * len(names) + 1.0), layout="constrained", sharey=True
    )
    for axes, where in zip(panels, ("target", "real"), strict=True):
        rows = headline(frame, where)
        for row, name in enumerate(names):
            _bar(axes, row, name, frame, where)
        rows = rows[rows["system"].isin(names)]
        what = {"target": "unseen hospital", "real": "real CT series"}[where]
        patients, structures = rows["case"].nunique(), rows["region"].nunique()
        axes.set_title(f"{what}: {patients} patient(s), {structures} structures", fontsize=10)
        axes.set(xlim=(0, 0.8), xlabel="mean Dice")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_yticks(range(len(names)), [title_of(name) for name in names])
    best = interval(frame, names[0], "target").mean
    panels[0].axvline(FLOOR * best, color="black", linewidth=0.8, linestyle=":")
    panels[0].invert_yaxis()
    return figure


def _bar(axes: Axes, row: int, name: str, frame: pd.DataFrame, where: str) -> None:
    colour, found = COLOURS[name], interval(frame, name, where)
    axes.barh(row, found.mean, color=colour, alpha=0.35, height=0.62)
    axes.plot([found.low, found.high], [row, row], color=colour, linewidth=3)
    own = frame[frame["system"] == name]
    seeds = [interval(part, name, where).mean for _, part in own.groupby("seed")]
    axes.plot(seeds, [row] * len(seeds), "o", color="black", mec="white", mew=0.7, ms=5.5)
    axes.text(0.8, row, f"{found.mean:.2f}", va="center", ha="right", fontsize=9)


def plot_price(frame: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """Draw mean Dice at the target against seconds a step, memory, and the price of a class.

    Args:
        frame: Of `results_frame`.
        costs: Of `fmtutor.bench.costs.costs_frame`.
    """
    columns = {
        "seconds a step": "seconds a step",
        "peak memory, MB": "peak memory, MB",
        "its parameters": "parameters of a new class (+1)",
    }
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained", sharey=True)
    for axes, (column, label) in zip(panels, columns.items(), strict=True):
        for name in there(frame, [str(n) for n in costs.index]):
            dice = interval(frame, name, "target").mean
            x = float(costs.loc[name, column]) + (column == "its parameters")
            axes.plot(x, dice, MARKERS[name], color=COLOURS[name], mec="white", markersize=9)
            axes.annotate(title_of(name), (x, dice), xytext=(5, 4), textcoords="offset points",
                          fontsize=7)  # fmt: skip
        axes.set_xlabel(label)
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("mean Dice, unseen hospital")
    panels[2].set_xscale("log")
    return figure
