"""Scores of several answers, from synthetic result files."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from fmtutor.bench import candidate_results as results
from fmtutor.core.files import write_json

mpl.use("Agg")


def row(system, kind, case, best):
    scores = {"best": best, "mean": best - 0.1, "diversity": 0.2, "ged": 0.3, "matched_iou": 0.5}
    about = {"support_kind": kind, "case": case, "slice": 0, "organ": "liver"}
    return {"system": system, "candidates": 8 if system == "tyche" else 1, **about, **scores}


@pytest.fixture
def frames(tmp_path):
    rows = [
        row(system, kind, case, best)
        for system, best in (("tyche", 0.9), ("universeg", 0.7))
        for kind in results.SUPPORTS
        for case in ("a", "b")
    ]
    bins = [
        {"system": "tyche", "confidence": 0.1, "frequency": 0.2, "count": 900},
        {"system": "tyche", "confidence": None, "frequency": None, "count": 0},
        {"system": "tyche", "confidence": 0.9, "frequency": 0.8, "count": 100},
    ]
    write_json(tmp_path / "ambiguity.json", {"rows": rows, "reliability": bins})
    return results.result_frames(tmp_path / "ambiguity.json")


def test_a_missing_file_gives_empty_frames_and_a_figure_with_the_command(tmp_path):
    rows, reliability = results.result_frames(tmp_path / "ambiguity.json")
    assert rows.empty
    assert reliability.empty
    for figure in (results.plot_scores(rows), results.plot_reliability(reliability)):
        assert results.COMMAND in figure.axes[0].texts[0].get_text()
    assert results.score_table(rows).empty
    assert rows[rows["organ"] == "liver"].empty


def test_a_patient_counts_once_however_many_slices_it_has():
    rows = pd.DataFrame([row("tyche", "mixed", "a", 1.0)] * 9 + [row("tyche", "mixed", "b", 0.0)])
    mean, low, high = results.over_patients(rows, "best")
    assert mean == 0.5
    assert (low, high) == (0.0, 1.0)


def test_a_score_without_values_is_nan_and_not_zero():
    rows = pd.DataFrame([row("universeg", "mixed", "a", 1.0)]).assign(diversity=np.nan)
    assert np.isnan(results.over_patients(rows, "diversity")).all()


def test_the_table_has_a_row_for_each_system_and_support_in_the_order_of_the_figures(frames):
    table = results.score_table(frames[0])
    assert list(table.index) == [
        ("liver", title, kind) for title in ("Tyche", "UniverSeg") for kind in results.SUPPORTS
    ]
    assert table.loc[("liver", "UniverSeg", "with"), "best"] == pytest.approx(0.7)


def test_gains_are_told_for_systems_of_several_candidates_alone(frames):
    sentences = results.gains(frames[0])
    assert len(sentences) == 3
    assert sentences[0] == (
        "liver, mixed: Tyche best less mean +0.100 (+0.100 to +0.100, 2 patients), diversity 0.20"
    )
    assert results.COMMAND in results.gains(pd.DataFrame())[0]


def test_a_bar_is_as_high_as_its_mean(frames):
    panel = results.plot_scores(frames[0]).axes[0]
    heights = sorted(round(bar.get_height(), 3) for bar in panel.patches)
    assert heights == [0.7] * 3 + [0.9] * 3


def test_empty_bins_are_left_out_of_the_calibration(frames):
    axes = results.plot_reliability(frames[1]).axes[0]
    line = axes.lines[1]
    assert list(line.get_xdata()) == [0.1, 0.9]
    assert list(line.get_ydata()) == [0.2, 0.8]
