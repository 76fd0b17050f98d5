import matplotlib as mpl
import pandas as pd
import pytest

from fmtutor.bench.comparison import TALK
from fmtutor.bench.costs import HOW
from fmtutor.bench.talk_systems import (
    SETTING,
    answers_table,
    behind,
    interval,
    plot_price,
    plot_talk,
    ranking,
    talk_table,
    there,
    title_of,
)

mpl.use("Agg")
LEVELS = {"hermes": 0.25, "masked": 0.4, "uniseg": 0.5, "naive": 0.9}


def _scores() -> pd.DataFrame:
    """Two seeds; three patients at the target, whose liver is better; one real patient."""
    rows = []
    for system, level in LEVELS.items():
        for seed, where, case in [
            (s, w, c) for s in (0, 1) for w, c in [*(("target", f"p{n}") for n in range(3)),
                                                   ("real", "r")]
        ]:  # fmt: skip
            for name, ml in {"liver": 900, "colon": 80, "pancreas": 3}.items():
                value = level + (0.1 if name == "liver" else 0) - (0.2 if where == "real" else 0)
                rows.append({"system": system, "seed": seed, "where": where, "case": case,
                             "region": name, "reference_ml": ml, "predicted_ml": ml,
                             "dice": value + 0.01 * seed})  # fmt: skip
    return pd.DataFrame(rows)


def _costs() -> pd.DataFrame:
    names = ["masked", "uniseg", "hermes"]
    return pd.DataFrame(
        {"parameters, M": [2.0, 2.1, 3.0], "seconds a step": [0.1, 0.2, 0.3],
         "peak memory, MB": [600, 700, 800], "a new class": ["row", "map", "token"],
         "its parameters": [25, 1832, 321]}, index=pd.Index(names, name="system"),
    )  # fmt: skip


def test_every_system_of_the_talk_says_what_a_class_is_and_costs() -> None:
    assert set(SETTING) == set(TALK) == set(HOW)
    table = answers_table()
    assert list(table["year"]) == sorted(table["year"])
    assert title_of("one_centre") == "one centre"


def test_the_interval_leaves_small_structures_out_and_is_over_structures_where_one_patient_is() -> (
    None
):
    target, real = (interval(_scores(), "uniseg", where) for where in ("target", "real"))
    assert target.mean == pytest.approx(0.555)
    assert target.count == 3
    assert real.mean == pytest.approx(0.355)
    assert real.count == 2
    assert real.low < real.high


def test_systems_without_results_and_controls_are_left_out() -> None:
    assert there(_scores()) == ["uniseg", "hermes", "masked"]
    assert ranking(_scores()) == ["uniseg", "masked", "hermes"]


def test_who_is_behind_is_told_from_the_best_of_the_talk_not_from_a_control() -> None:
    assert behind(_scores()) == ["hermes"]
    assert behind(_scores(), share=0.3) == []


def test_the_table_joins_scores_and_costs() -> None:
    table = talk_table(_scores(), _costs())
    assert list(table.index) == ["UniSeg", "Hermes", "FSEFT (masked)"]
    assert table.loc["UniSeg", "of the best"] == 1
    assert table.loc["Hermes", "parameters of a new class"] == 321
    assert (table["seeds"] == 2).all()
    assert "seconds a step" not in talk_table(_scores())


def test_figures_show_the_means_of_the_table() -> None:
    figure = plot_talk(_scores())
    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == [
        "UniSeg", "FSEFT (masked)", "Hermes"
    ]  # fmt: skip
    assert [bar.get_width() for bar in left.patches] == pytest.approx([0.555, 0.455, 0.305])
    dots = [list(line.get_xdata()) for line in left.lines if line.get_marker() == "o"]
    assert dots[0] == pytest.approx([0.55, 0.56])  # averaged as the bar is
    assert "1 patient(s), 2 structures" in right.get_title()
    price = plot_price(_scores(), _costs())
    assert len(price.axes) == 3
    assert {t.get_text() for t in price.axes[2].texts} == {"FSEFT (masked)", "UniSeg", "Hermes"}
