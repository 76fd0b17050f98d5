"""The page of findings says what was measured, what is missing, and nothing else."""

from fmtutor.bench.few_shot_committed import Committed
from fmtutor.bench.few_shot_findings import FINDINGS
from fmtutor.bench.few_shot_grid import cells_of
from fmtutor.bench.few_shot_page import findings_page
from tests.bench.few_shot_cells import result_of

CELLS = tuple(c for c in cells_of("fseft-known", "quick") if c.kind == "swin" and c.shots == 5)


def table(dice, *, seeds=(0, 1, 2)):
    results = [
        result_of(cell, dice[cell.label])
        for cell in CELLS
        if cell.label in dice and cell.seed in seeds and cell.preset == "faithful"
    ]
    return Committed(results=results, cells=CELLS, command="fmtutor table fseft-known")


def test_a_finding_has_a_line_with_its_interval_and_verdict():
    page = findings_page([table({"Linear Probe": 0.5, "Spatial Adapter": 0.7})])
    section = page.split("## spatial beats linear")[1].split("##")[0]
    assert "| Swin-UNETR | 5 | +20.0 | +20.0 to +20.0 | +20.0 +20.0 +20.0 | 4 of 4 |" in section
    assert "**appears**" in section
    assert f"24 of {len(CELLS)} cells are there; run fmtutor table fseft-known" in page


def test_what_is_missing_is_said():
    page = findings_page([table({"Linear Probe": 0.7, "Spatial Adapter": 0.5}, seeds=(0,))])
    assert "(2 missing)" in page
    assert "**reversed**" in page
    assert page.split("## the decoder matters")[1].count("No results yet.") >= 1


def test_one_group_alone_measures_nothing():
    page = findings_page([table({"Linear Probe": 0.5})])
    assert page.count("No results yet.") == len(FINDINGS)
