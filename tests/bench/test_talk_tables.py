import copy

import pytest

from fmtutor.bench.talk_tables import check_averages, load_table, parse_table, table_names
from fmtutor.data.anatomy import STRUCTURES
from fmtutor.data.catalog import catalog

RAW = {
    "title": "Toy",
    "slide": "A slide",
    "source": "Nobody 2020",
    "columns": [
        {"name": "Method", "kind": "label"},
        {"name": "A", "kind": "value", "unit": "Dice, %", "decimals": 1},
        {"name": "B", "kind": "value", "unit": "Dice, %", "decimals": 1},
        {"name": "Avg.", "kind": "average", "unit": "Dice, %", "decimals": 1},
    ],
    "rows": [["one", 10.0, 20.0, 15.0], ["two", 10.0, 30.0, 25.0]],
    "averages": [{"column": "Avg.", "of": ["A", "B"]}],
    "slips": [{"row": ["two"], "column": "Avg.", "corrected": 20.0, "why": "arithmetic"}],
}


def changed(**changes):
    return parse_table("toy", copy.deepcopy(RAW) | changes)


def test_all_tables_of_the_talk_are_there_and_load():
    assert table_names() == (
        "assembled_datasets", "clip_driven_sources", "fseft_known_swin", "fseft_known_unet",
        "fseft_novel", "hermes_transfer", "ma_sam_btcv", "ma_sam_tumour", "sam_med3d_datasets",
        "sam_med3d_prompts", "suprem_pretraining", "vlm_retina",
    )  # fmt: skip
    for name in table_names():
        table = load_table(name)
        assert table.source
        assert table.slide
        assert all(column.unit for column in table.columns if column.kind in ("value", "average"))


@pytest.mark.parametrize("name", table_names())
def test_printed_averages_follow_from_their_rows_except_listed_slips(name):
    checks = check_averages(load_table(name))
    assert [check for check in checks if not check.sound] == []


def test_every_table_with_an_average_column_checks_every_row_of_it():
    for name in table_names():
        table = load_table(name)
        columns = [column.name for column in table.columns if column.kind == "average"]
        assert [rule.column for rule in table.averages] == columns
        assert len(check_averages(table)) == len(columns) * len(table.rows)


def test_the_slips_of_the_average_columns_are_the_known_three():
    slips = {
        (name, slip.row[-1], slip.corrected)
        for name in table_names()
        for slip in load_table(name).slips
        if load_table(name).column(slip.column).kind == "average"
    }
    assert slips == {
        ("fseft_known_unet", "Linear Probe", 74.37),
        ("fseft_novel", "BitFit", 34.37),
        ("fseft_novel", "LoRA", 36.9),
    }


def test_corrected_averages_are_those_of_their_rows():
    for name in table_names():
        table = load_table(name)
        wrong = {
            (check.row, check.column): check.computed
            for check in check_averages(table)
            if check.listed
        }
        for slip in table.slips:
            if (slip.row, slip.column) in wrong:
                assert slip.corrected == pytest.approx(wrong[slip.row, slip.column], abs=0.005)


def test_structure_columns_name_canonical_structures():
    for name in table_names():
        used = {column.structure for column in load_table(name).columns if column.structure}
        assert used <= set(STRUCTURES)


def test_tables_have_their_printed_shapes_and_anchor_values():
    shapes = {name: load_table(name).frame().shape for name in table_names()}
    assert shapes["fseft_known_unet"] == (10, 13)
    assert shapes["fseft_known_swin"] == (12, 13)
    assert shapes["fseft_novel"] == (13, 6)
    assert shapes["vlm_retina"] == (8, 10)
    assert shapes["hermes_transfer"] == (8, 10)
    assert shapes["sam_med3d_prompts"] == (10, 6)
    assert shapes["suprem_pretraining"][0] == 15
    flair = load_table("vlm_retina").frame().set_index(["Setting", "Model"])
    assert flair.loc[("Zero-shot", "FLAIR"), "20x3"] == 0.983
    swin = load_table("fseft_known_swin").frame().set_index(["Shots", "Method"])
    assert swin.loc[("10-shot", "Spatial Adapter"), "Aor"] == 84.66


def test_empty_cells_become_missing_numbers():
    frame = load_table("sam_med3d_datasets").frame().set_index("Dataset")
    assert frame["SegVol (pt+text)"].notna().sum() == 1
    assert frame.loc["BTCV", "SegVol (pt+text)"] == 73.81


def test_segresnet_has_470_million_parameters_in_print_and_4_7_when_corrected():
    table = load_table("suprem_pretraining")
    assert table.frame().iloc[-1]["Parameters"] == 470.13
    assert table.frame(corrected=True).iloc[-1]["Parameters"] == 4.7
    assert table.frame().iloc[-1]["Parameters"] == 470.13, "the printed table is left alone"


def test_the_table_of_datasets_agrees_with_the_rows_quoted_on_the_cards():
    printed = {row[0]: (row[2], row[3]) for row in load_table("assembled_datasets").rows}
    quoted = {
        card.talk.row: (card.talk.targets, card.talk.scans)
        for card in catalog().values()
        if card.talk
    }
    assert quoted == printed


def test_a_wrong_average_that_is_not_listed_is_not_sound():
    unlisted = [check.sound for check in check_averages(changed(slips=[]))]
    assert unlisted == [True, False]


def test_a_listed_slip_that_agrees_is_not_sound():
    slip = {"row": ["one"], "column": "Avg.", "corrected": 14.0, "why": "a mistake of ours"}
    table = changed(slips=[*RAW["slips"], slip])
    assert [check.sound for check in check_averages(table)] == [False, True]


def test_weighted_averages_use_their_weights():
    rule = {"column": "Avg.", "of": ["A", "B"], "weights": [0.25, 0.75]}
    assert [c.agrees for c in check_averages(changed(averages=[rule]))] == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": [["one", 1.0, 2.0]]}, "rows have 4 cells, got 3"),
        ({"rows": [["one", "x", 2.0, 1.0]]}, "'x' does not fit column 'A'"),
        ({"slips": [RAW["slips"][0] | {"row": ["three"]}]}, "fits 0"),
        ({"slips": [RAW["slips"][0] | {"corrected": 25.0}]}, "drop the slip"),
        ({"averages": [{"column": "Avg.", "of": ["C"]}]}, "unknown column 'C'"),
        ({"averages": [{"column": "Avg.", "of": ["A"], "weights": [0.5]}]}, "sum to 1"),
    ],
)
def test_a_table_file_that_breaks_a_rule_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        changed(**changes)


def test_an_unknown_table_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match="did you mean fseft_novel"):
        load_table("fseft_nove")
