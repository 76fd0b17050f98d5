"""Figures of candidates, from synthetic masks."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import figures_candidates as figures

mpl.use("Agg")


@pytest.fixture
def answers():
    whole = np.zeros((16, 16), bool)
    whole[4:12, 4:12] = True
    bare = whole.copy()
    bare[4:8] = False
    return np.stack([whole, bare])


def texts(figure):
    return {text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)}


def test_labels_give_the_dice_with_each_answer(answers):
    assert figures.dice_labels(answers.astype(float), answers) == ["1.00 | 0.67", "0.67 | 1.00"]


def test_every_candidate_gets_its_panel_beside_the_answers(answers):
    rows = {"mixed": np.repeat(answers, 2, 0).astype(float), "with": answers[:1].astype(float)}
    figure = figures.plot_candidates(np.zeros((16, 16)), rows, answers)
    assert len(figure.axes) == 2 * 5
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 4 + 1 + 2
    assert {"mixed", "with", "right answers", "1.00 | 0.67"} <= texts(figure)


def test_own_titles_replace_the_scores(answers):
    figure = figures.plot_candidates(
        np.zeros((16, 16)), {"a": answers.astype(float)}, titles={"a": ["first", "second"]}
    )
    assert {"first", "second"} <= texts(figure)


def test_an_empty_candidate_is_drawn_without_an_outline(answers):
    figure = figures.plot_candidates(np.zeros((16, 16)), {"a": np.zeros((1, 16, 16))}, answers)
    assert len(figure.axes[0].collections) == 2
    assert not figure.axes[1].collections


def test_readings_are_outlined_twice(answers):
    figure = figures.plot_readings([np.zeros((16, 16))], [answers], ["a slice"])
    assert len(figure.axes[0].collections) == 2
    assert "a slice" in texts(figure)


def test_every_example_is_drawn_with_its_mask(answers):
    figure = figures.plot_support(np.zeros((2, 16, 16)), answers.astype(float))
    assert [len(axes.collections) for axes in figure.axes] == [1, 1]


def test_maps_share_one_scale(answers):
    figure = figures.plot_maps({"small": np.full((4, 4), 0.1), "large": np.full((4, 4), 0.4)})
    limits = {axes.images[0].get_clim() for axes in figure.axes[:2]}
    assert limits == {(0, 0.4)}


def test_rows_of_maps_are_drawn_from_zero_to_one_under_their_names(answers):
    figure = figures.plot_map_rows({"all, blurred": answers * 0.5, "one": answers[:1] * 1.0})
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(drawn) == 3
    assert {image.get_clim() for image in drawn} == {(0, 1)}
    assert {"all,\nblurred", "one"} <= texts(figure)


def test_lines_are_the_columns_of_each_frame():
    frame = pd.DataFrame({"best": [0.1, 0.3, 0.5], "mean": [0.1, 0.2, 0.2]}, index=[1, 2, 4])
    figure = figures.plot_lines({"one": frame}, xlabels=["candidates"])
    first, second = figure.axes[0].lines
    assert list(first.get_xdata()) == [1, 2, 4]
    assert list(second.get_ydata()) == [0.1, 0.2, 0.2]
    assert figure.axes[0].get_xlabel() == "candidates"


def test_a_running_mean_smooths_the_lines():
    frame = pd.DataFrame({"loss": np.tile([0.0, 1.0], 20)})
    line = figures.plot_lines({"a": frame}, xlabels=["step"], smooth=10).axes[0].lines[0]
    assert np.ptp(line.get_ydata()[5:-5]) == 0


def test_the_block_names_what_is_shared_and_what_is_not():
    found = texts(figures.plot_block())
    assert {"$u_1$", "$u_K$", "CrossConv\nLeakyReLU", "mean", "$v_i$′"} <= found
