"""Figures of interaction scores show the numbers of their rows."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import figures_interaction as figures
from fmtutor.bench.interactive_results import COLUMNS, TITLES, prompt_table
from tests.bench.test_interactive_results import ABOUT, RISING, curve, write

mpl.use("Agg")
PLOTS = {
    "curves3d": (figures.plot_clicks, figures.plot_seconds),
    "points": (figures.plot_points,),
    "prompts": (figures.plot_prompts,),
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", sorted(PLOTS))
def test_without_a_result_the_figure_says_what_makes_it(name):
    for plot in PLOTS[name]:
        figure = plot(pd.DataFrame(columns=list(COLUMNS[name])))
        assert "benchmarks/interaction_scores" in figure.texts[0].get_text()


def test_every_system_has_a_colour_and_a_marker_of_its_own():
    assert set(figures.COLOURS) == set(figures.MARKERS) == set(TITLES)
    assert len(set(figures.COLOURS.values())) == len(set(figures.MARKERS.values())) == len(TITLES)


def test_curves_of_clicks_are_drawn_at_their_means_seen_and_unseen_apart():
    rows = [
        curve("sam_med3d", RISING),
        curve("sam_med3d", [0.0] * 11, structure="spleen"),
        curve("sam_med3d", [0.9] * 11, oracle=True),
        curve("box", [0.6] * 11, simulator="none"),
        curve("sam_med3d", [0.2] * 11, simulator="uniform"),
        curve("early_prompt", [0.3] * 11, structure="hip_left", seen=False),
    ]
    left, right = figures.plot_clicks(pd.DataFrame(rows)).axes
    lines = {line.get_label(): line for line in left.lines}
    assert set(lines) == {"SAM-Med3D", "SAM-Med3D, crop on the label", "box, filled"}
    np.testing.assert_allclose(lines["SAM-Med3D"].get_ydata(), np.array(RISING) / 2)
    assert lines["SAM-Med3D, crop on the label"].get_linestyle() == "--"
    assert [line.get_label() for line in right.lines] == ["EarlyPrompt"]
    assert right.get_title() == "unseen structures (1)"


def test_seconds_show_the_first_click_apart_from_the_later_ones():
    rows = [curve("sam_med3d", RISING), curve("sphere", RISING), curve("sam_med3d", RISING, draw=1)]
    (axes,) = figures.plot_seconds(pd.DataFrame(rows)).axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[1.0, 1.0], [0.1, 0.1]]


def test_points_are_drawn_against_their_number_and_against_time():
    point = {**ABOUT, "system": "sam_base", "dims": 2, "slices": 20, "per": 1, "points": 20,
             "dice": 0.5, "seconds": 2.0}  # fmt: skip
    more = {**point, "per": 3, "points": 60, "dice": 0.7, "seconds": 5.0}
    left, right = figures.plot_points(pd.DataFrame([point, more])).axes
    np.testing.assert_allclose(left.lines[0].get_xydata(), [[20, 0.5], [60, 0.7]])
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[2, 0.5], [5, 0.7]])
    assert left.lines[0].get_linestyle() == ":"


PROMPT = {**ABOUT, "system": "organs", "prompt": "automatic", "boxes": 0, "dice": 0.9,
          "seconds": None}  # fmt: skip


def test_prompts_have_a_dot_a_system_with_its_interval():
    rows = [PROMPT, {**PROMPT, "system": "box", "prompt": "tight box", "dice": 0.6},
            {**PROMPT, "structure": "hip_left", "dice": None, "seen": False}]  # fmt: skip
    (axes,) = figures.plot_prompts(pd.DataFrame(rows)).axes
    dots = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 1]
    assert sorted(dots) == [0.6, 0.9]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["automatic", "tight box"]


def test_a_table_as_text_has_titles_and_a_dash_where_nothing_is(tmp_path):
    rows = [PROMPT, {**PROMPT, "system": "box", "prompt": "tight box", "dice": 0.6}]
    text = figures.table_text(prompt_table(write(tmp_path, "prompts", rows)))
    assert "network of fixed classes" in text
    assert "0.90" in text
    assert "-" in text.split("\n")[1]
    assert figures.table_text(pd.DataFrame()).startswith("no result yet")
