from pathlib import Path

import numpy as np
import pytest

from fmtutor.bench import figures_cohort
from fmtutor.bench.figures_cohort import SPREAD_ORGANS, plot_patients, plot_spread
from fmtutor.core.files import read_json
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, TARGET

RESULT = Path(__file__).parents[2] / "benchmarks" / "cohort" / "results" / "spread.json"


@pytest.fixture(scope="module")
def result():
    return read_json(RESULT)


def phantom(depth):
    labels = np.zeros((30, 24, depth), np.uint8)
    labels[16:26, 6:16, 8:] = 1
    labels[4:10, 6:12, 4:10] = 2
    return Case(
        name="phantom",
        image=np.where(labels > 0, 60.0, -1000.0).astype(np.float32),
        affine=np.diag([3.0, 2.0, 4.0, 1.0]),
        labels=labels,
        table={1: "liver", 2: "kidney_right"},
    )


def test_the_sheet_shows_the_real_torso_first_and_all_patients_at_one_scale(monkeypatch):
    monkeypatch.setattr(figures_cohort, "load_sample", lambda name: phantom(20))
    monkeypatch.setattr(figures_cohort, "patient", lambda centre, index, seed: phantom(28))
    figure = plot_patients([CENTRES["survey"], TARGET], names=("liver", "kidney_right"))
    top, bottom = figure.axes[:3], figure.axes[3:]
    titles = [panel.get_title() for panel in top]
    assert titles == ["the real torso", "survey", "target hospital"]
    for row, mm in ((top, 48.0), (bottom, 112.0)):
        assert [np.ptp(panel.get_ylim()) for panel in row] == pytest.approx([mm] * 3)
        assert [np.ptp(panel.get_xlim()) for panel in row] == pytest.approx([90.0] * 3)
        assert all(len(panel.collections) == 2 for panel in row)  # both organs are in the slice


def test_the_spread_shows_every_organ_and_the_medians_of_the_result(result):
    left, right = plot_spread(result).axes
    labels = [text.get_text() for text in left.get_yticklabels()]
    assert labels == [name.replace("_", " ") for name in SPREAD_ORGANS]
    drawn = {round(float(line.get_xdata()[0]), 6) for line in right.lines}
    medians = [result["inter_case"][g]["dice"]["liver"]["median"] for g in ("wide", "training")]
    assert {round(value, 6) for value in medians} <= drawn


def test_a_result_without_an_organ_is_refused(result):
    with pytest.raises(ValueError, match=r"the result lacks \['brain'\]"):
        plot_spread(result, names=["liver", "brain"])


def test_the_committed_result_keeps_the_aims_of_the_design(result):
    for group in result["inter_case"].values():
        for organ, aim in result["aims"].items():
            assert group["dice"][organ]["median"] < aim
