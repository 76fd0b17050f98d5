import json

import matplotlib as mpl
import pandas as pd
import pytest

from fmtutor.bench.partial_results import (
    contradicted,
    cost_frame,
    difference,
    gains,
    headline,
    patient_means,
    per_structure,
    plot_gains,
    plot_structures,
    plot_systems,
    present,
    shared_names,
    summary,
    verdict,
    with_volumes,
)

mpl.use("Agg")
LEVELS = {"naive": 0.2, "masked": 0.6, "one_centre": 0.5}


def frame_of(levels=LEVELS):
    """Three patients, two seeds; one_centre has no colon; one lesion row without a reference."""
    rows = []
    for system, level in levels.items():
        for seed in (0, 1):
            for patient in range(3):
                for name, ml in {"liver": 900, "aorta": 40, "colon": 80, "liver_lesion": 0}.items():
                    if system == "one_centre" and name == "colon":
                        continue
                    value = level + 0.02 * patient + (0.1 if name == "liver" else 0)
                    rows.append({
                        "system": system, "seed": seed, "where": "target", "case": f"p{patient}",
                        "region": name, "reference_ml": ml, "predicted_ml": ml / 2,
                        "dice": value if ml else 0.0,
                    })  # fmt: skip
    rows.append({**rows[0], "where": "real", "case": "series", "reference_ml": 5})
    return pd.DataFrame(rows)


def test_a_headline_has_one_place_and_leaves_small_references_out():
    kept = headline(frame_of(), "target")
    assert set(kept["region"]) == {"liver", "aorta", "colon"}
    assert headline(frame_of(), "real").empty


def test_systems_are_compared_on_what_all_were_taught_in_the_order_of_the_runner():
    kept = headline(frame_of(), "target")
    assert present(kept) == ["masked", "naive", "one_centre"]
    assert shared_names(kept) == ["aorta", "liver"]
    table = summary(kept, shared_names(kept))
    assert table.loc["masked", "dice"] == pytest.approx(0.67)
    assert table.loc["masked", ["seeds", "patients", "structures"]].tolist() == [2, 3, 2]
    assert table.loc["masked", "low"] < 0.67 < table.loc["masked", "high"]


def test_a_patients_mean_weighs_structures_equally_however_many_seeds_have_them():
    kept = headline(frame_of({"masked": 0.6}), "target")
    kept = kept[(kept["seed"] == 0) | (kept["region"] != "liver")]
    expected = [0.6 + 0.1 / 3 + 0.02 * patient for patient in range(3)]
    assert patient_means(kept, "masked").tolist() == pytest.approx(expected)


def test_a_difference_is_paired_by_patient_and_uses_common_structures_only():
    kept = headline(frame_of(), "target")
    gap = difference(kept, "masked", "one_centre")
    assert (gap.mean, gap.low, gap.high) == pytest.approx((0.1, 0.1, 0.1))
    assert "above zero" in verdict(kept, "masked", "naive")
    assert "below zero" in verdict(kept, "naive", "masked")
    assert "no result of med3d yet" in verdict(kept, "masked", "med3d")


def test_an_interval_around_zero_is_said_not_to_be_told_apart():
    kept = headline(frame_of({"masked": 0.6, "naive": 0.6}), "target")
    shift = kept["case"].map({"p0": -0.1, "p1": 0.0, "p2": 0.1})
    kept.loc[kept["system"] == "naive", "dice"] += shift
    assert "not told apart from zero" in verdict(kept, "masked", "naive")


def test_gains_stand_with_the_number_of_teachers():
    table = gains(headline(frame_of(), "target")).set_index("structure")
    assert table["teachers"].to_dict() == {"liver": 3, "aorta": 2, "colon": 1}
    assert table["gain"].tolist() == pytest.approx([0.4, 0.4, 0.4])


def test_contradicted_names_show_the_volume_beside_dice():
    table = contradicted(headline(frame_of(), "target"))
    assert table.loc["masked", ("aorta", "predicted / reference volume")] == pytest.approx(0.5)
    assert list(table.index) == ["masked", "naive", "one_centre"]


def test_the_table_per_structure_begins_with_the_largest():
    table = per_structure(headline(frame_of(), "target"))
    assert list(table.index) == ["liver", "colon", "aorta"]
    assert pd.isna(table.loc["colon", "one_centre"])


def test_costs_are_read_from_the_result_files(tmp_path):
    for seed, seconds in enumerate((60, 180)):
        config = {"steps": 2000, "batch": 1}
        result = {"name": "masked", "recipe": {"config": config, "seed": seed},
                  "parameters": 1_500_000, "training_seconds": seconds}  # fmt: skip
        (tmp_path / f"masked-{seed}.json").write_text(json.dumps(result))
    row = cost_frame(tmp_path).loc["masked"]
    assert row[["steps", "parameters, M", "minutes", "seeds"]].tolist() == [2000, 1.5, 2.0, 2]


def test_the_figures_draw_what_is_there():
    kept = headline(frame_of(), "target")
    left, right = plot_systems(kept, shared_names(kept)).axes
    assert [t.get_text() for t in left.get_yticklabels()] == ["masked", "naive", "one centre"]
    assert left.texts[0].get_text() == "0.67  (2)"
    assert right.texts[0].get_text().endswith("(3)")
    labels = [t.get_text() for t in plot_structures(kept).axes[0].get_yticklabels()]
    assert labels == ["liver *  (3)", "aorta *  (2)", "colon  (1)"]
    volumes = plot_structures(with_volumes(kept), value="volume").axes[0]
    assert volumes.get_xscale() == "log"
    assert volumes.lines[0].get_xdata() == pytest.approx([0.5] * 3)
    assert [t.get_text() for t in plot_gains(kept).axes[0].texts] == ["colon", "aorta", "liver"]
