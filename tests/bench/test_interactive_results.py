"""Tables of result files written by the test."""

import json

import numpy as np
import pytest

from fmtutor.bench import interactive_results as results

ABOUT = {"volume": "target", "case": "p0", "structure": "liver", "seen": True, "ml": 100.0}


def curve(system: str, dice: list[float], **changes) -> dict:
    return {
        **ABOUT, "system": system, "simulator": "centre", "draw": 0, "roi": "auto_zoom",
        "oracle": False, "refused": 0, "dice": dice, "seconds": [1.0] + [0.1] * (len(dice) - 2),
        "first_s": 1.0, "open_s": 0.0, **changes,
    }  # fmt: skip


def write(folder, name: str, rows: list[dict]):
    (folder / f"{name}.json").write_text(json.dumps({"rows": rows}))
    return folder


RISING = [n / 10 for n in range(11)]


def test_without_a_file_every_table_is_empty(tmp_path):
    assert results.results_frame(tmp_path, "points").empty
    for table in (results.curve_table, results.point_table, results.prompt_table):
        assert table(tmp_path).empty


def test_an_unknown_part_and_a_file_without_a_column_are_refused(tmp_path):
    with pytest.raises(ValueError, match="curves3d"):
        results.results_frame(tmp_path, "curves")
    write(tmp_path, "points", [{"dice": 1.0}])
    with pytest.raises(ValueError, match="lacks"):
        results.results_frame(tmp_path, "points")


def test_a_curve_becomes_its_dice_area_clicks_and_seconds(tmp_path):
    write(tmp_path, "curves3d", [curve("sam_med3d", RISING), curve("box", [0.85] * 11,
          simulator="none", seconds=[], first_s=None)])  # fmt: skip
    table = results.curve_table(tmp_path)
    row = table.loc["target", True, "sam_med3d", "centre", False]
    assert [row[f"dice_{n}"] for n in (1, 3, 5, 10)] == [0.1, 0.3, 0.5, 1.0]
    assert row["area"] == pytest.approx(0.5)
    assert (row["clicks_80"], row["clicks_90"], row["failed_90"]) == (8, 9, 0)
    assert (row["first_s"], row["click_s"]) == (1.0, 0.1)
    box = table.loc["target", True, "box", "none", False]
    assert (box["clicks_80"], box["clicks_90"], box["failed_90"]) == (0, 10, 1)
    assert np.isnan(box["first_s"])


def test_draws_and_patients_of_a_structure_are_one_task(tmp_path):
    rows = [curve("x", [0.0, dice], draw=n) for n, dice in enumerate((0.2, 0.4, 0.6))]
    rows.append(curve("x", [0.0, 0.8], structure="spleen"))
    write(tmp_path, "curves3d", rows)
    frame = results.per_click(results.results_frame(tmp_path, "curves3d"))
    table = results.means(frame, ["system", "clicks"])
    assert table.loc[("x", 1), "mean"] == pytest.approx((0.4 + 0.8) / 2)
    assert table.loc[("x", 1), "tasks"] == 2
    assert results.curve_table(tmp_path)["dice_1"].iloc[0] == pytest.approx(0.6)


def test_tables_of_points_and_prompts_have_a_line_a_system(tmp_path):
    point = {**ABOUT, "system": "sam_base", "dims": 2, "slices": 20, "per": 1, "points": 20,
             "dice": 0.5, "seconds": 2.0}  # fmt: skip
    write(tmp_path, "points", [point, {**point, "per": 3, "points": 58, "dice": 0.7}])
    table = results.point_table(tmp_path)
    assert table.loc[(2, "sam_base", 3, True), "points"] == 58
    prompt = {**ABOUT, "system": "organs", "prompt": "automatic", "boxes": 0, "dice": 0.9,
              "seconds": None}  # fmt: skip
    write(tmp_path, "prompts", [
        prompt, {**prompt, "structure": "hip_left", "seen": False, "dice": None},
        {**prompt, "system": "box", "prompt": "tight box", "dice": 0.6},
    ])  # fmt: skip
    table = results.prompt_table(tmp_path)
    assert list(table.columns) == ["automatic", "tight box"]
    assert ("organs", False) not in table.index
    assert np.isnan(table.loc[("organs", True), "tight box"])
