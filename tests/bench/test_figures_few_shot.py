"""Figures of notebooks 12 and 13 show what they are given, all of it, part of it or nothing."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fmtutor.bench import figures_few_shot as figures
from fmtutor.bench.few_shot_findings import Measured

mpl.use("Agg")


@pytest.fixture
def frame() -> pd.DataFrame:
    """Three rows, two structures, four cases, two seeds; the dearest row is not the best."""
    kinds = (("cheap", "black-box", 10, 0.3), ("middle", "additive", 100, 0.6),
             ("dear", "full", 1000, 0.5))  # fmt: skip
    return pd.DataFrame(
        {"row": row, "family": family, "preset": "faithful", "structure": s, "case": f"c{n}",
         "seed": seed, "dice": value + 0.02 * n, "parameters": cost, "train_seconds": cost / 7,
         "peak_mb": 500.0}
        for row, family, cost, value in kinds
        for s in ("liver", "spleen") for n in range(4) for seed in (0, 1)
    )  # fmt: skip


def ticks(figure: Figure, number: int = 0) -> list[str]:
    return [label.get_text() for label in figure.axes[number].get_yticklabels()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_rows_are_drawn_in_order_with_what_is_published(frame: pd.DataFrame) -> None:
    order = ["dear", "cheap", "middle", "not there"]
    figure = figures.plot_rows(frame, order, published=pd.Series({"dear": 0.7}), title="t")
    assert ticks(figure) == order
    assert "published" in legend(figure)
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(0.7, 0)]


def test_figures_of_no_results_are_empty_and_do_not_fail(frame: pd.DataFrame) -> None:
    nothing = frame[:0]
    figures.plot_rows(nothing, ["a"]).canvas.draw()
    figures.plot_findings([]).canvas.draw()
    empty = pd.DataFrame(columns=["structure", "difference", "low", "high"])
    figures.plot_differences({"a": empty}).canvas.draw()


def test_the_front_holds_what_nothing_cheaper_beats(frame: pd.DataFrame) -> None:
    means = frame.groupby("row")[["dice", "parameters"]].mean().reset_index()
    assert list(figures.pareto_front(means, "parameters")["row"]) == ["cheap", "middle"]
    figure = figures.plot_pareto(frame)
    assert len(figure.axes) == 2
    assert {text.get_text() for text in figure.axes[0].texts} == {"cheap", "middle", "dear"}


def test_structures_are_a_table_of_numbers(frame: pd.DataFrame) -> None:
    figure = figures.plot_structures(frame, ["middle", "cheap"])
    assert ticks(figure) == ["middle", "cheap"]
    assert sorted(text.get_text() for text in figure.axes[0].texts) == sorted(
        ["0.63", "0.63", "0.33", "0.33"]
    )


def test_findings_have_the_colour_of_their_verdict() -> None:
    shared = {"kind": "swin", "shots": 5, "seeds": (0.1, 0.2), "structures": 6}
    measured = [
        Measured(name="a", difference=0.1, low=0.05, high=0.2, structures_for=6,
                 verdict="appears", **shared),
        Measured(name="b", difference=-0.1, low=-0.2, high=-0.05, structures_for=0,
                 verdict="reversed", **shared),
    ]  # fmt: skip
    figure = figures.plot_findings(measured)
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 4]
    assert [bar.get_color() for bar in bars] == [
        figures.VERDICTS["appears"], figures.VERDICTS["reversed"]
    ]  # fmt: skip
    assert ticks(figure) == ["a  (swin, 5)", "b  (swin, 5)"]


def test_differences_are_coloured_by_their_interval() -> None:
    table = pd.DataFrame(
        {"structure": ["a_b", "c"], "difference": [0.1, 0.0], "low": [0.05, -0.1],
         "high": [0.15, 0.1]}
    )  # fmt: skip
    figure = figures.plot_differences({"left": table, "right": table})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["left", "right"]
    assert ticks(figure) == ["a b", "c"]
    bars = [line for line in figure.axes[0].lines if line.get_linewidth() == 4]
    assert [b.get_color() for b in bars] == [
        figures.VERDICTS["appears"], figures.VERDICTS["unclear"]
    ]  # fmt: skip
