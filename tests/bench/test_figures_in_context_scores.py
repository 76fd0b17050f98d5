import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import figures_in_context_scores as figures
from fmtutor.bench.in_context_results import COLUMNS
from fmtutor.engine.growing_context import Step

mpl.use("Agg")
TASKS = [("hip", "axial"), ("sacrum", "coronal")]
PLOTS = {
    "support_size": figures.plot_support_size,
    "selection": figures.plot_selection,
    "ensemble": figures.plot_ensemble_size,
    "specific": figures.plot_specific,
    "exchange": figures.plot_exchange,
}


def frame(column: str, groups: dict[str, float], **sizes: tuple[int, ...]) -> pd.DataFrame:
    """A row for each task, group and size; Dice is the group's plus a hundredth of the size."""
    ((name, values),) = sizes.items()
    rows = [
        {"structure": s, "axis": a, column: group, name: value, "query": 0, "draw": 0,
         "dice": dice + value / 100, "seconds": 0.0, "variance": 0.01}
        for s, a in TASKS for group, dice in groups.items() for value in values
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("name", sorted(PLOTS))
def test_without_a_result_the_figure_says_what_makes_it(name: str) -> None:
    figure = PLOTS[name](pd.DataFrame(columns=list(COLUMNS[name])))
    assert "benchmarks/in_context_scores" in figure.texts[0].get_text()
    plt.close(figure)


def test_support_sizes_give_a_line_a_system_at_its_means() -> None:
    groups = {"universeg": 0.5, "nearest_copy": 0.3}
    axes = figures.plot_support_size(frame("system", groups, support=(1, 4, 16))).axes[0]
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(lines["UniverSeg"], [0.51, 0.54, 0.66])
    np.testing.assert_allclose(lines["nearest copy"], [0.31, 0.34, 0.46])
    plt.close("all")


def test_selections_give_a_line_a_way() -> None:
    groups = {"random": 0.4, "nearest": 0.6}
    axes = figures.plot_selection(frame("how", groups, support=(1, 4))).axes[0]
    assert [line.get_label() for line in axes.lines] == ["random", "nearest"]
    plt.close("all")


def test_ensembles_show_members_and_a_dot_a_query_of_the_largest() -> None:
    left, right = figures.plot_ensemble_size(frame("x", {"a": 0.5}, members=(1, 8))).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.51, 0.58])
    assert len(right.lines[0].get_xdata()) == len(TASKS)
    plt.close("all")


def test_the_specific_network_is_paired_with_ours_by_task() -> None:
    groups = {"universeg": 0.3, "unet": 0.5, "nearest_copy": 0.2}
    left, right = figures.plot_specific(frame("system", groups, support=(16,))).axes
    assert [bar.get_width() for bar in left.patches] == pytest.approx([0.46, 0.66, 0.36])
    np.testing.assert_allclose(right.lines[1].get_xdata(), [0.66, 0.66])
    np.testing.assert_allclose(right.lines[1].get_ydata(), [0.46, 0.46])
    plt.close("all")


def test_the_exchange_has_a_line_a_row_and_their_mean() -> None:
    rows = [{"system": "universeg", "own": 0.8, "exchanged": x} for x in (0.1, 0.3)]
    axes = figures.plot_exchange(pd.DataFrame(rows)).axes[0]
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), [0.8, 0.2])
    assert len(axes.lines) == 3
    plt.close("all")


def test_growing_contexts_are_drawn_case_by_case() -> None:
    steps = [
        Step(index=i, mask=np.zeros((2, 2), bool), pool=i + 1, support=min(i + 1, 2), seconds=0.1,
             dice=0.1 * i)
        for i in range(4)
    ]  # fmt: skip
    left, right = figures.plot_growing({"corrected": steps}).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0, 0.1, 0.2, 0.3])
    assert list(right.lines[0].get_ydata()) == [1, 2, 2, 2]
    plt.close("all")
