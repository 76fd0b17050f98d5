"""The cells of the two tables: as many as the protocol says, each by a name of its own."""

import pytest

from fmtutor.bench.few_shot_grid import (
    FAMILIES,
    SEEDS,
    cells_of,
    corrected_rows,
    known_rows,
    novel_rows,
    setting_of,
)
from fmtutor.bench.talk_tables import load_table
from fmtutor.core.configs import to_dict
from fmtutor.data.anatomy import NOVEL_STRUCTURES, STRUCTURES


@pytest.mark.parametrize(
    ("kind", "table"), [("unet", "fseft_known_unet"), ("swin", "fseft_known_swin")]
)
def test_every_published_row_on_known_organs_is_there(kind: str, table: str) -> None:
    printed = list(dict.fromkeys(load_table(table).frame()["Method"]))
    labels = [row.label for row in known_rows(kind)]  # type: ignore[arg-type]
    assert labels[: len(printed)] == printed
    assert labels[len(printed) :] == ["zero-shot", "full fine-tuning", "from scratch"]


def test_every_published_row_on_new_organs_is_there() -> None:
    printed = list(load_table("fseft_novel").frame()["Method"])
    assert [row.label for row in novel_rows()][: len(printed)] == printed


def test_paper_has_the_published_number_of_runs() -> None:
    """9 organs x 3 seeds x 2 shots a row, 16 structures x 3 seeds a row."""
    known = cells_of("fseft-known", "paper")
    lora = [c for c in known if c.method == "lora" and c.preset == "faithful"]
    assert len(lora) == 9 * 3 * 2
    novel = [c for c in cells_of("fseft-novel", "paper") if c.label == "+LoRA"]
    assert len(novel) == 16 * 3
    assert {len(members) for members in FAMILIES.values()} == {5, 6}


@pytest.mark.parametrize("table", ["fseft-known", "fseft-novel"])
@pytest.mark.parametrize("profile", ["quick", "gpu", "paper"])
def test_names_differ_and_seeds_come_one_after_the_other(table: str, profile: str) -> None:
    cells = cells_of(table, profile)
    assert len({cell.name for cell in cells}) == len(cells)
    order = [(cell.shots, cell.seed) for cell in cells]
    assert order == sorted(order)
    assert {seed for _, seed in order} == set(SEEDS)
    assert {cell.structure for cell in cells} <= set(STRUCTURES)
    to_dict(setting_of(table, profile))


def test_new_organs_of_quick_are_novel_and_known_ones_are_not() -> None:
    assert {c.structure for c in cells_of("fseft-novel", "quick")} <= set(NOVEL_STRUCTURES)
    assert not {c.structure for c in cells_of("fseft-known", "quick")} & set(NOVEL_STRUCTURES)


def test_zero_shot_has_one_cell_a_structure() -> None:
    cells = [c for c in cells_of("fseft-known", "quick") if c.method == "zero_shot"]
    assert len(cells) == 2 * 4


def test_corrected_rows_are_those_with_an_oddity() -> None:
    assert {(row.kind, row.label) for row in corrected_rows()} == {
        ("unet", "CNN-Adapter"), ("unet", "Linear Probe"),
        ("swin", "BitFit"), ("swin", "LoRA"), ("swin", "Linear Probe"),
    }  # fmt: skip


def test_unknown_tables_and_profiles_name_the_known_ones() -> None:
    with pytest.raises(ValueError, match="fseft-known"):
        cells_of("fseft", "quick")
    with pytest.raises(ValueError, match="quick"):
        setting_of("fseft-known", "fast")


def test_paper_asks_no_head_that_its_bases_do_not_have() -> None:
    assert not [c for c in cells_of("fseft-known", "paper") if c.method == "zero_shot"]
