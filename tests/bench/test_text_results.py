"""The text ablation's tables, from made-up result files."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from fmtutor.bench.text_results import answers, intervals, plot_questions, summary, text_frame
from fmtutor.core.files import write_json


def row(case: str, region: str, dice: float | None, ml: float = 50.0, **more: object) -> dict:
    where = "real" if case == "real" else "target"
    return {"case": case, "region": region, "dice": dice, "reference_ml": ml, "predicted_ml": ml,
            "where": where, **more}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for text, better in (("minilm", 0.1), ("one_hot", 0.0)):
        for seed in (0, 1):
            known = [row("a", "liver", 0.6 + better), row("b", "liver", 0.4 + better),
                     row("a", "pancreas", 0.0, ml=3.0), row("real", "liver", 0.5)]  # fmt: skip
            asked = {"answers_like": "kidney_left", "dice_with_it": 0.8}
            write_json(tmp_path / f"{text}-{seed}.json", {
                "name": text, "recipe": {"seed": seed}, "known": known, "known_after": known,
                "extension": [row("a", "sacrum", 0.3 + better + 0.1 * seed)],
                "zero_shot": [row("a", "hip_left", 0.02, **asked),
                              row("b", "hip_left", 0.0, **asked)],
            })  # fmt: skip
    return tmp_path


def test_a_mean_counts_large_structures_of_one_place(results: Path) -> None:
    table = summary(text_frame(results))
    assert list(table.index) == ["minilm", "one_hot"]
    assert table.loc["minilm", "known"] == pytest.approx(0.6)
    assert table.loc["one_hot", "extension"] == pytest.approx(0.35)
    assert summary(text_frame(results), "real").loc["minilm", "known"] == pytest.approx(0.5)


def test_an_interval_is_over_patients_after_seeds_are_averaged(results: Path) -> None:
    line = intervals(text_frame(results), "known").loc["minilm"]
    assert (line["patients"], line["seeds"], line["structures"]) == (2, 2, 1)
    assert line["low"] == pytest.approx(0.5)
    assert line["high"] == pytest.approx(0.7)


def test_a_zero_shot_answer_is_named_after_the_mask_it_is_like(results: Path) -> None:
    table = answers(text_frame(results)).set_index(["text", "asked for"])
    line = table.loc[("minilm", "hip_left")]
    assert line["answers like"] == "kidney_left"
    assert line["dice with it"] == pytest.approx(0.8)
    assert line["dice"] == pytest.approx(0.01)


def test_the_figure_has_a_panel_per_place_and_a_bar_per_text(results: Path) -> None:
    figure = plot_questions(text_frame(results))
    target, real = figure.axes
    assert len(target.patches) == 8
    assert len(real.patches) == 4  # the real series has known structures alone here
    plt.close(figure)


def test_an_empty_folder_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="benchmarks/text_embeddings"):
        text_frame(tmp_path)
