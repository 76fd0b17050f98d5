from pathlib import Path

import pandas as pd
import pytest

from fmtutor.bench import in_context_results as results
from fmtutor.core.files import write_json

SIZES = (1, 4, 16)


def size_rows(above: float = 0.1) -> list[dict]:
    """Three tasks of unequal numbers of queries, the network ``above`` the copy everywhere."""
    rows = []
    for number, (structure, axis) in enumerate(
        [("hip", "axial"), ("hip", "coronal"), ("sacrum", "axial")]
    ):
        for support in SIZES:
            for query in range(1 + 3 * number):
                about = {"structure": structure, "axis": axis, "query": query, "draw": 0}
                copy = 0.2 + 0.1 * number + 0.01 * support
                rows.append({**about, "system": "nearest_copy", "support": support, "dice": copy})
                rows.append(
                    {**about, "system": "universeg", "support": support, "dice": copy + above}
                )
    return rows


def stored(folder: Path, name: str, rows: list[dict]) -> pd.DataFrame:
    write_json(folder / f"{name}.json", {"rows": rows})
    return results.results_frame(folder, name)


def test_every_task_counts_once_however_many_queries_it_has(tmp_path: Path) -> None:
    frame = stored(tmp_path, "support_size", size_rows())
    table = results.means(frame, ["system", "support"])
    assert table.loc[("nearest_copy", 1), "mean"] == pytest.approx(0.31)
    assert table.loc[("universeg", 16), "mean"] == pytest.approx(0.56)
    assert (table["tasks"] == 3).all()
    assert (table["low"] <= table["mean"]).all()
    assert (table["mean"] <= table["high"]).all()
    assert list(results.means(frame, ["system"]).index) == ["nearest_copy", "universeg"]


def test_a_gap_is_paired_by_task(tmp_path: Path) -> None:
    frame = stored(tmp_path, "support_size", size_rows(above=0.07))
    found = results.gap(frame, "system", "universeg", "nearest_copy")
    assert (found.mean, found.low, found.high) == pytest.approx((0.07,) * 3)
    assert found.count == 3
    assert "told apart" not in results.signed(found)
    zero = results.gap(frame, "system", "universeg", "universeg")
    assert "not told apart from zero" in results.signed(zero)


def test_sentences_say_what_the_rows_hold(tmp_path: Path) -> None:
    said = results.support_sentence(stored(tmp_path, "support_size", size_rows()))
    assert "0.41 with 1, 0.44 with 4, 0.56 with 16" in said
    assert "with 16 examples: +0.10" in said
    about = {"structure": "hip", "axis": "axial", "draw": 0}
    swap = {**about, "system": "universeg", "other": "sacrum", "own": 0.8, "exchanged": 0.3}
    assert "lost: +0.50" in results.exchange_sentence(stored(tmp_path, "exchange", [swap]))
    pair = [
        {**about, "system": s, "support": 16, "dice": d, "seconds": t}
        for s, d, t in (("unet", 0.6, 12.4), ("universeg", 0.5, 0.0))
    ]
    said = results.specific_sentence(stored(tmp_path, "specific", pair))
    assert "16 examples for 12 s" in said
    assert "-0.10" in said


def test_ensembles_and_selections_are_compared_with_one_random_draw(tmp_path: Path) -> None:
    rows = [
        {"structure": s, "axis": "axial", "query": q, "support": 4, "members": m,
         "dice": 0.5 + 0.01 * m - 0.1 * q, "variance": 0.01 * q}
        for s in ("hip", "sacrum") for q in range(4) for m in (1, 8)
    ]  # fmt: skip
    said = results.ensemble_sentence(stored(tmp_path, "ensemble", rows))
    assert "8 members against 1: +0.07" in said
    assert "rank correlation -1.00 over 8" in said
    about = {"structure": "hip", "axis": "axial", "query": 0, "draw": 0}
    rows = [
        {**about, "how": h, "support": k, "dice": d}
        for k in (1, 4) for h, d in (("random", 0.4), ("nearest", 0.5), ("diverse", 0.3))
    ]  # fmt: skip
    said = results.selection_sentence(stored(tmp_path, "selection", rows)).splitlines()
    assert len(said) == 2
    assert "nearest +0.10" in said[0]
    assert "diverse -0.10" in said[1]


@pytest.mark.parametrize("name", sorted(results.COLUMNS))
def test_a_missing_file_gives_an_empty_table_and_a_sentence(tmp_path: Path, name: str) -> None:
    frame = results.results_frame(tmp_path, name)
    assert frame.empty
    assert list(frame) == list(results.COLUMNS[name])
    sentence = {
        "support_size": results.support_sentence, "exchange": results.exchange_sentence,
        "ensemble": results.ensemble_sentence, "selection": results.selection_sentence,
        "specific": results.specific_sentence,
    }.get(name)  # fmt: skip
    if sentence:
        assert f"no {name}.json" in sentence(frame)
    assert results.real_table(frame).empty


def test_a_file_without_a_column_and_an_unknown_question_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks \\['dice'\\]"):
        stored(tmp_path, "resolution", [{"size": 64, "structure": "a", "axis": "b", "query": 0}])
    with pytest.raises(ValueError, match="result of in-context scores"):
        results.results_frame(tmp_path, "speed")


def test_the_table_of_real_volumes_leaves_out_what_is_small(tmp_path: Path) -> None:
    about = {"volume": "abdomen_mr", "support": 5, "slices": 9, "seen": True, "way": "within"}
    rows = [
        {**about, "system": system, "structure": name, "ml": ml, "dice": dice}
        for name, ml in (("liver", 500.0), ("duodenum", 4.0))
        for system, dice in (("universeg", 0.8), ("nearest_copy", 0.7))
    ]
    table = results.real_table(stored(tmp_path, "real", rows))
    assert list(table.index.get_level_values("structure")) == ["liver"]
    assert table.iloc[0]["within", "UniverSeg"] == 0.8


def test_forms_are_read_with_their_ratio(tmp_path: Path) -> None:
    form = {"gmac": 8.0, "cpu": 3.0, "extra_mb": 100.0}
    fast = {"gmac": 2.0, "cpu": 1.5, "extra_mb": 10.0}
    write_json(
        tmp_path / "cpu.json", {"passes": {"universeg_16": {"published": form, "fast": fast}}}
    )
    table = results.forms_table(tmp_path / "cpu.json")
    assert table.loc["universeg, S = 16", ("GMAC", "ratio")] == 4
    assert table.loc["universeg, S = 16", ("extra MB", "ratio")] == 10
    assert results.forms_table(tmp_path / "none.json").empty


def test_repeated_queries_are_said_with_their_ratio(tmp_path: Path) -> None:
    repeated = {"fresh": {"cpu": 6.0}, "remembered": {"cpu": 4.0}}
    write_json(tmp_path / "cpu.json", {"queries": 8, "repeated": repeated})
    assert "1.50 times" in results.queries_sentence(tmp_path / "cpu.json")
    assert "no timing" in results.queries_sentence(tmp_path / "none.json")
