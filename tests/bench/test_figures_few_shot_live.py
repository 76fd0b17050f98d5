"""Figures of live lessons, from masks and numbers made up."""

import matplotlib as mpl
import numpy as np
import pandas as pd

from fmtutor.bench import figures_few_shot_live as figures
from fmtutor.data.few_shot import Volume

mpl.use("Agg")


def test_masks_carry_the_dice_of_the_volume() -> None:
    target = np.zeros((24, 20, 16), bool)
    target[4:12, 4:12, 4:12] = True
    volume = Volume(name="v", image=target.astype(np.float32), target=target, voxel_ml=1.0)
    half = target.copy()
    half[:8] = False
    figure = figures.plot_masks({"all": (volume, target), "half": (volume, half)})
    assert [axes.get_title() for axes in figure.axes[:2]] == ["all: 1.00", "half: 0.67"]


def test_what_is_still_known_is_drawn_beside_the_base() -> None:
    table = pd.DataFrame(
        [("base", "liver", 0.8), ("base", "spleen", 0.6), ("full", "liver", 0.3),
         ("full", "spleen", 0.7), ("probe", "liver", 0.8), ("probe", "spleen", 0.6)],
        columns=["backbone", "structure", "dice"],
    )  # fmt: skip
    figure = figures.plot_knowledge(table)
    ticks = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert ticks == ["liver", "spleen"]
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {"base", "full", "probe"}


def test_levels_are_drawn_in_the_order_of_the_network() -> None:
    figure = figures.plot_levels({"a": {"down": 0.1, "up": 0.2}, "b": {"down": 0.0, "up": 0.0}})
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["down", "up"]
    assert len(figure.axes[0].lines) == 2


def test_losses_are_drawn_over_the_share_done_with_a_line_for_each_row() -> None:
    losses = {"Bias": [1.0, 0.5, 0.4], "LoRA": [0.9, 0.3]}
    figure = figures.plot_losses({"unet": losses, "swin": {}})
    first, second = figure.axes
    assert [line.get_xdata().tolist() for line in first.lines] == [[0, 50, 100], [0, 100]]
    assert [line.get_linestyle() for line in first.lines] == ["-", "--"]
    assert not second.lines
    assert second.get_legend() is None
