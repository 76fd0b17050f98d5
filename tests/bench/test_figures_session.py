"""Diagrams of a dialogue show its clicks, masks, regions and seconds."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import figures_session as figures
from fmtutor.bench.talk_tables import load_table
from fmtutor.data.cases import Case
from fmtutor.engine.regions_of_interest import lattice
from fmtutor.engine.session_state import Click

mpl.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def case():
    image = np.zeros((40, 30, 12), np.float32)
    return Case(name="a", image=image, affine=np.diag([2.0, 3.0, 4.0, 1.0]))


def _cube(shape, low, high):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def test_a_turn_shows_the_slice_of_its_newest_click_and_all_clicks(case):
    clicks = (Click((20, 15, 6)), Click((25, 15, 8), positive=False))
    mask = _cube(case.image.shape, (18, 12, 4), (24, 18, 9))
    turns = [
        figures.Turn(clicks=clicks[:1], mask=mask, title="one"),
        figures.Turn(clicks=clicks, mask=mask, title="two"),
    ]
    first, second = figures.plot_turns(case, turns, mask).axes
    assert [panel.get_title() for panel in (first, second)] == ["one", "two"]
    assert first.get_xlim() == second.get_xlim()
    discs = [line for line in second.lines if line.get_marker() == "o"]
    assert [disc.get_markerfacecolor() for disc in discs] == ["none", "#d55e00"]
    assert discs[1].get_xdata()[0] == 25.5 * 2.0


def test_a_region_is_drawn_where_it_lies_in_millimetres(case):
    region = lattice((10, 5, 2), (1, 1, 1), (8, 8, 8))
    figure = figures.plot_regions(case, {"whole": region}, Click((12, 9, 4)))
    axial, coronal = (panel.patches[0] for panel in figure.axes)
    assert (axial.get_x(), axial.get_y()) == (20.0, 15.0)
    assert (axial.get_width(), axial.get_height()) == (16.0, 24.0)
    assert (coronal.get_y(), coronal.get_height()) == (8.0, 32.0)


def test_waits_and_rounds_draw_the_numbers_that_they_are_given():
    (axes,) = figures.plot_waits({"sam_med3d": [2.0, 0.1], "early_prompt": [1.0, 1.0]}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[2.0, 0.1], [1.0, 1.0]]
    losses = np.arange(6.0).reshape(3, 2)
    left, right = figures.plot_rounds(losses, {"untrained": [0.1, 0.2]}).axes
    assert [list(line.get_ydata()) for line in left.lines] == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    assert list(right.lines[0].get_xdata()) == [1, 2]


def test_a_window_has_as_many_real_tokens_as_the_grid():
    (axes,) = figures.plot_window(2, 3).axes
    real = [p for p in axes.patches if p.get_facecolor()[:3] != (0xDD / 255,) * 3]
    assert (len(real), len(axes.patches)) == (4, 9)


def test_pairs_and_the_published_table_are_drawn():
    table = pd.DataFrame({"a": [0.2], "b": [0.4]}, index=["liver"])
    (axes,) = figures.plot_worth(table).axes
    assert list(axes.lines[0].get_xdata()) == [0.2, 0.4]
    seen, unseen = figures.plot_published(load_table("sam_med3d_prompts").frame()).axes
    lines = {line.get_label().split(",")[0]: line for line in unseen.lines}
    assert list(lines["SAM-Med3D"].get_xdata()) == [1, 3, 5, 10]
    assert list(lines["SAM"].get_ydata()) == [11.73, 15.94, 21.86]
    assert len(seen.lines) == 3
