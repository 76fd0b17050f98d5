"""Committed results: whole, in part or not there at all; published sizes."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from fmtutor.bench import few_shot_committed as reading
from fmtutor.bench.few_shot_findings import rows
from fmtutor.bench.few_shot_grid import cells_of
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.adapt.ledger import cost_of
from fmtutor.paradigms.adapt.spec import Spec
from tests.bench.few_shot_cells import result_of


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    found = reading.committed(tmp_path / "none.json", "fseft-novel")
    assert found.results == []
    assert found.frame.empty
    assert found.told.startswith(f"0 of {len(found.cells)} cells are there; run fmtutor table")


def test_the_part_that_is_there_is_counted() -> None:
    cells = cells_of("fseft-novel", "quick")
    results = [result_of(cell, 0.5) for cell in cells[:7]]
    part = reading.Committed(results=results, cells=cells, command="x")
    assert part.told == f"7 of {len(cells)} cells are there; run x"
    assert len(part.frame) == 7 * 4
    whole = reading.Committed(results=results, cells=cells[:7], command="x")
    assert whole.told == "7 of 7 cells are there"


def test_a_loss_curve_is_the_mean_of_its_row() -> None:
    cells = [c for c in cells_of("fseft-known", "quick") if c.shots == 5 and c.kind == "unet"]
    pair = [c for c in cells if c.method == "linear_probe" and c.preset == "faithful"][:2]
    zero = next(c for c in cells if c.method == "zero_shot")
    curves = [{**result_of(c, 0.5), "loss": [n, n + 2.0]} for n, c in enumerate(pair)]
    curves.append({**result_of(zero, 0.5), "loss": []})
    assert reading.loss_curves(curves, kind="unet", shots=5) == {"Linear Probe": [0.5, 2.5]}
    assert reading.loss_curves(curves, kind="swin", shots=5) == {}


def test_differences_are_paired_by_structure() -> None:
    lines = [
        {"row": row, "preset": "faithful", "structure": s, "case": f"c{n}", "seed": 0, "dice": d}
        for n in range(6)
        for s, gain in (("up", 0.1), ("down", -0.1))
        for row, d in (("a", 0.5 + 0.01 * n + gain), ("b", 0.5 + 0.01 * n))
    ]
    found = reading.by_structure(pd.DataFrame(lines), rows("a"), rows("b"))
    assert found.set_index("structure")["difference"].to_dict() == pytest.approx(
        {"down": -0.1, "up": 0.1}
    )
    assert (found["low"] <= found["high"]).all()
    assert reading.by_structure(pd.DataFrame(lines), rows("a"), rows("c")).empty


def test_the_sizes_of_the_full_u_net_are_those_of_the_ledger() -> None:
    with torch.device("meta"):
        backbone = GenesisUNet()
    for name, count in reading.FULL_SIZE["unet"].items():
        cost = cost_of(backbone, Spec(method=name))
        assert cost.trained - cost.in_head == count, name
    assert reading.full_size("unet", "bitfit") == "2,880"
    assert reading.full_size("unet", "ssf") == "—"
