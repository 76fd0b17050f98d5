"""Pictures of prompts: what is drawn lies where it was said."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import figures_promptable as figures
from fmtutor.bench.figures_in_context import upright
from fmtutor.data.clicks import Click

mpl.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_click_and_a_box_lie_on_the_pixel_that_they_mean():
    image = np.zeros((20, 12), np.float32)
    image[3, 8] = 1
    box = np.array([[3, 8], [3, 8]])
    panel = figures.Panel(image=image, clicks=[Click((3, 8), True)], boxes=[box])
    (axes,) = figures.plot_panels({"one": panel}, columns=1).axes
    row, column = np.argwhere(upright(image) == 1)[0]
    (dot,) = axes.lines
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (column, row)
    (drawn,) = axes.patches
    assert drawn.get_xy() == (column - 0.5, row - 0.5)
    assert drawn.get_width() == 1


def test_a_window_shows_its_part_alone():
    image = np.zeros((20, 12), np.float32)
    window = (slice(2, 6), slice(7, 11))
    (axes,) = figures.plot_panels({"": figures.Panel(image=image)}, columns=1, window=window).axes
    part = np.zeros_like(image)
    part[window] = 1
    at = np.argwhere(upright(part))
    assert axes.get_xlim() == (at[:, 1].min() - 0.5, at[:, 1].max() + 0.5)
    assert axes.get_ylim() == (at[:, 0].max() + 0.5, at[:, 0].min() - 0.5)


def test_every_figure_is_drawn():
    strokes = np.eye(8, dtype=bool)
    figures.plot_panels({"a": figures.Panel(image=np.zeros((8, 8)), strokes=strokes)})
    figures.plot_pipeline()
    figures.plot_similarity({"a": np.eye(4), "b": np.eye(4)}, {"a": (1.0, 1.0), "b": (1.0, 1.0)})
    rated = pd.DataFrame({"mask": [0, 1], "expected": [0.5, 0.6], "overlap": [0.4, 0.7]})
    assert len(figures.plot_rated({"net": rated}).axes) == 1
    figures.plot_bars(pd.DataFrame({"box": [0.5]}, index=["liver"]))
    rows = [{"seconds": 0.0, "box": 0.0, "click": 0.0, "another's click": 0.0}]
    assert len(figures.plot_live({"a": [1.0, 0.5]}, {"a": rows}).axes) == 2
