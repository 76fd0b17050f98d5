"""The tables: averages in the right order, the talk's beside them, nothing half called whole."""

import math

import pytest

from fmtutor.bench.few_shot_grid import GLUTEUS, KNOWN_QUICK, cells_of
from fmtutor.bench.few_shot_rows import column_of, published_rows, rows_of
from fmtutor.bench.few_shot_table import markdown, rank_correlation, report, summary
from tests.bench.few_shot_cells import result_of

KNOWN, NOVEL = cells_of("fseft-known", "quick"), cells_of("fseft-novel", "quick")
SWIN = ("BitFit", "LoRA", "AdaptFormer", "Affine-LN", "Linear Probe", "Spatial Adapter")


def cells(table, **wanted):
    return tuple(c for c in table if all(getattr(c, k) == v for k, v in wanted.items()))


def line(frame, label, column, **wanted):
    keys = {"preset": "faithful", **wanted, "label": label, "column": column}
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    (found,) = frame.to_dict("records")
    return found


def test_a_value_is_the_mean_over_cases_then_seeds_with_the_spread_over_seeds():
    lora = cells(KNOWN, label="LoRA", shots=5, preset="faithful")
    dice = {0: 0.5, 1: 0.6, 2: 0.7}
    frame = summary([result_of(c, dice[c.seed]) for c in lora], lora)
    assert list(frame["column"]) == ["Spl", "Liv", "Sto", "Aor", "Avg."]
    spleen = line(frame, "LoRA", "Spl")
    assert spleen["mean"] == pytest.approx(60)
    assert spleen["sd"] == pytest.approx(10)
    assert 57 <= spleen["low"] < 60 < spleen["high"] <= 63
    assert (spleen["there"], spleen["needed"], spleen["published"]) == (3, 3, 61.31)
    assert (spleen["trained"], spleen["train_seconds"], spleen["peak_mb"]) == (1002, 11, 700.5)
    average = line(frame, "LoRA", "Avg.")
    assert (average["mean"], average["sd"]) == (pytest.approx(60), pytest.approx(10))
    assert average["published"] == pytest.approx((61.31 + 80.5 + 38.66 + 73.33) / 4)


def test_an_incomplete_row_has_no_average_and_says_what_is_there():
    lora = cells(KNOWN, label="LoRA", shots=5, preset="faithful")
    frame = summary([result_of(c, 0.5) for c in lora[:7]], lora)
    average = line(frame, "LoRA", "Avg.")
    assert math.isnan(average["mean"])
    assert (average["there"], average["needed"], average["complete"]) == (7, 12, False)
    text = markdown(frame)
    assert "7 of 12 (63.5)" in text
    assert "2 of 3: 50.0 (61.3)" in text
    assert "undefined (n = 0 rows)" in text
    assert "0 of 12" in markdown(summary([], lora))


def test_rows_come_in_the_order_of_the_talk_each_corrected_one_below_its_own():
    rows = rows_of(cells(KNOWN, kind="swin"))
    five = [(row.label, row.preset) for row in rows if row.shots == 5]
    assert [label for label, preset in five if preset == "faithful"] == [
        *SWIN, "zero-shot", "full fine-tuning", "from scratch",
    ]  # fmt: skip
    assert five[1:4] == [("BitFit", "corrected"), ("LoRA", "faithful"), ("LoRA", "corrected")]
    ten = [row.label for row in rows if row.shots == 10]
    assert ten[:7] == [*SWIN, "zero-shot"]


def test_zero_shot_stands_in_both_tables_from_the_same_cells():
    chosen = cells(KNOWN, kind="unet", method="zero_shot")
    shots = cells(KNOWN, kind="unet", label="Bias")
    frame = summary([result_of(c, 0.4) for c in chosen], (*chosen, *shots))
    for k in (5, 10):
        found = line(frame, "zero-shot", "Avg.", shots=k)
        assert (found["mean"], found["there"]) == (pytest.approx(40), 4)
        assert math.isnan(found["sd"])
        assert math.isnan(found["published"])


def test_new_organs_are_a_column_for_each_family_beside_the_published_one():
    assert {column_of(cell) for cell in NOVEL} == {"Gluteus"}
    plus = cells(NOVEL, label="+LoRA")
    dice = dict(zip(GLUTEUS, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))
    frame = summary([result_of(c, dice[c.structure]) for c in plus], plus)
    found = line(frame, "+LoRA", "Gluteus")
    assert (found["mean"], found["needed"]) == (pytest.approx(35), 18)
    assert line(frame, "+LoRA", "Avg.")["published"] == found["published"] == 69.89
    labels = [row.label for row in rows_of(NOVEL)]
    assert labels == [*published_rows("fseft-novel", "swin", 5), "from scratch"]


def test_the_whole_table_of_the_talk_has_its_printed_averages_slips_put_right():
    paper = cells(cells_of("fseft-known", "paper"), kind="unet", shots=5, label="Linear Probe")
    paper = tuple(c for c in paper if c.preset == "faithful")
    frame = summary([result_of(c, 0.8) for c in paper], paper)
    assert line(frame, "Linear Probe", "Avg.")["published"] == 74.37
    assert len(frame) == 10


def test_the_rank_correlation_is_one_for_the_published_order_and_minus_one_for_its_reverse():
    chosen = tuple(
        c for c in cells(KNOWN, kind="swin", shots=5, preset="faithful") if c.label in SWIN
    )
    published = published_rows("fseft-known", "swin", 5)
    worth = {k: sum(v[n] for n in ("Spl", "Liv", "Sto", "Aor")) / 400 for k, v in published.items()}
    frame = summary([result_of(c, worth[c.label]) for c in chosen], chosen)
    found = rank_correlation(frame, kind="swin", shots=5)
    assert (found.rho, found.rows) == (pytest.approx(1), 6)
    frame = summary([result_of(c, 1 - worth[c.label]) for c in chosen], chosen)
    assert rank_correlation(frame, kind="swin", shots=5).rho == pytest.approx(-1)


def test_a_rank_correlation_of_ties_or_two_rows_is_undefined():
    chosen = cells(KNOWN, kind="unet", shots=5, preset="faithful")
    frame = summary([result_of(c, 0.5) for c in chosen], chosen)
    ties = rank_correlation(frame, kind="unet", shots=5)
    assert math.isnan(ties.rho)
    assert ties.rows == 5
    two = summary([result_of(c, 0.5 + c.seed / 9) for c in chosen], chosen)
    two = two[two["label"].isin(["Bias", "CNN-Adapter"])]
    assert math.isnan(rank_correlation(two, kind="unet", shots=5).rho)


def test_results_of_other_cells_are_left_out():
    lora = cells(KNOWN, label="LoRA", shots=5, preset="faithful")
    others = cells(KNOWN, label="BitFit", shots=5, preset="faithful")
    frame = summary([result_of(c, 0.5) for c in (*lora, *others)], lora)
    assert set(frame["label"]) == {"LoRA"}
    assert line(frame, "LoRA", "Avg.")["mean"] == pytest.approx(50)


def test_the_report_shows_test_cases_and_real_volumes_apart():
    bias = cells(KNOWN, label="Bias", shots=5, preset="faithful")
    results = [result_of(c, 0.6, real=c.structure != "aorta") for c in bias]
    text = report(results, bias)
    tests, real = text.split("## The same on real volumes")
    assert "### unet, 5-shot" in tests
    assert "| Bias | 60.0 (71.2) | 60.0 (71.0) |" in tests
    assert (
        "| Bias | 30.0 (71.2) | 30.0 (71.0) | 30.0 (51.2) | — (88.9) | 30.0 ± 0.0 (64.5) |" in real
    )
    assert "1,002 | 11.0 | 700 |" in tests
    assert len(KNOWN_QUICK) == 4
