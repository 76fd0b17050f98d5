"""The comparison of starts is read from its file, on equal structures."""

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from fmtutor.bench import adaptation_results as results

mpl.use("Agg")


@pytest.fixture
def frame(tmp_path):
    rows = [
        {"system": system, "start": start, "seed": seed, "structure": structure, "prompt": "box",
         "dice": value + 0.01 * seed, "trained_parameters": 10, "seconds": 1.0, "steps": 5}
        for system, start, structure, value in (
            ("medsam", "base", "liver", 0.8), ("medsam", "base", "spleen", 0.6),
            ("medsam", "scratch", "liver", 0.5), ("medsam", "scratch", "spleen", 0.5),
            ("samed", "base", "liver", 0.4),
        ) for seed in (0, 1)
    ]  # fmt: skip
    (tmp_path / "adaptation.json").write_text(json.dumps({"rows": rows}))
    yield results.adaptation_frame(tmp_path)
    plt.close("all")


def test_a_gain_is_paired_by_structure_and_needs_both_starts(frame):
    table = results.gains(frame)
    assert list(table.index) == [("MedSAM", "box")]
    row = table.loc[("MedSAM", "box")]
    assert row["gain"] == pytest.approx(0.2)
    assert row["structures"] == row["seeds"] == 2
    assert row["low"] <= 0.2 <= row["high"]


def test_a_sentence_has_both_starts_and_the_interval(frame):
    (sentence,) = results.gain_sentences(frame)
    assert sentence.startswith("MedSAM, box: 0.7")
    assert "+0.20 (" in sentence
    assert "2 structures, 2 seeds" in sentence


def test_the_figure_has_a_line_for_each_system_and_prompt(frame):
    (axes,) = results.plot_adaptation(frame).axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["MedSAM, box"]


def test_without_a_result_the_command_is_said(tmp_path):
    empty = results.adaptation_frame(tmp_path)
    assert list(results.gain_sentences(empty)) == [f"no result yet: {results.COMMAND}"]
    assert results.COMMAND in results.plot_adaptation(empty).texts[0].get_text()
