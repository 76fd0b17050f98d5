"""The benchmark of few-shot costs, on a tiny U-Net: its forms are equal, its result is whole."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.core.files import read_json

FOLDER = Path(__file__).parents[2] / "benchmarks" / "few_shot"
SIDE, WIDTH = 16, 4
TOLERANCE = 1e-4


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark on a tiny U-Net alone; its modules name each other as in a script."""
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("benchmarks.few_shot.run")
    monkeypatch.delitem(module.BACKBONES, "swin")
    monkeypatch.setitem(module.BACKBONES, "unet", ("genesis_unet", WIDTH))
    monkeypatch.setitem(QUICK.patch, "unet", (SIDE, SIDE, SIDE))
    small = {"short": True, "epochs": 2, "steps": 1, "cells": 2, "cell_steps": 1}
    monkeypatch.setattr(module, "SHORT", module.Size(**small))
    return module


def test_every_form_has_the_same_losses_up_to_fp16(run: ModuleType) -> None:
    black = run.Black("unet", "mlp_adapter", run.phantoms())
    with run.own_cache():
        found = {form: list(black.training(form, steps=12)) for form in run.FORMS}
    assert found["held"] == found["kept"]
    assert found["kept"] == pytest.approx(found["plain"], rel=TOLERANCE)
    assert found["plain"][0] != found["plain"][5]  # another epoch, other crops


def test_other_losses_are_refused(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    black = run.Black("unet", "linear_probe", run.phantoms())
    factor = {"plain": 1.0, "kept": 1.001, "held": 1.0}
    monkeypatch.setattr(black, "training", lambda form, *, steps: iter([factor[form]] * steps))
    with pytest.raises(RuntimeError, match="linear_probe on unet differ"):
        black.epochs(list(run.FORMS), repeats=1)


def test_the_bound_counts_the_layers(run: ModuleType) -> None:
    voxels = QUICK.batch["unet"] * SIDE**3
    flops = {name: run.Black("unet", name, run.phantoms()).operations() for name in run.METHODS}
    linear = 2 * 2 * voxels * WIDTH  # forward, and the gradient of the weight: none of the features
    assert flops["linear_probe"]["head"] == linear
    # the first convolution has no gradient of its input, the second and the classifier have both
    assert flops["mlp_adapter"]["head"] == (2 + 3) * 2 * voxels * WIDTH**2 + 3 * linear / 2
    assert len({row["encode"] for row in flops.values()}) == 1
    for row in flops.values():
        assert row["bound"] == pytest.approx(1 + row["encode"] / row["head"])


def test_all_methods_are_counted_and_the_short_form_times_some(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = sys.modules["methods"]
    monkeypatch.setattr(methods, "peak_mb", lambda kind, key: {"before": 1.0, "peak": 2.0})
    rows = methods.costs("unet", repeats=1, short=True)
    assert rows["linear_probe"]["trained"] == WIDTH + 1
    assert rows["zero_shot"]["step"] is None
    assert {"cnn_adapter", "cnn_adapter+decoder"} <= set(rows)
    timed = {key for key, row in rows.items() if row["step"]}
    assert timed == set(methods.SHORT_TIMED)
    assert all((row["peak_mb"] is not None) == (key in methods.SHORT_PEAKS)
               for key, row in rows.items())  # fmt: skip


def test_zero_shot_weighs_one_answer(run: ModuleType, capsys: pytest.CaptureFixture) -> None:
    sys.modules["methods"].print_peak("unet", "zero_shot")
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["before"] <= found["peak"]


@pytest.mark.slow
def test_the_short_form_writes_its_result_and_prints_its_ratios_last(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "--short"])
    threads = torch.get_num_threads()
    try:
        run.main()
    finally:
        torch.set_num_threads(threads)
    result = read_json(tmp_path / "costs-short.json")
    assert {*run.PARTS, "question", "aims", "setting", "machine", "seconds"} <= set(result)
    assert set(result["kept"]["unet"]) == {"build", *run.METHODS}
    assert result["kept"]["unet"]["spatial_adapter"]["error"] < TOLERANCE
    peaks = [row["peak_mb"] for row in result["methods"]["unet"].values() if row["peak_mb"]]
    assert all(row["before"] <= row["peak"] for row in peaks)
    assert set(result["workers"]) == {"1", "2"}
    lines = capsys.readouterr().out.splitlines()
    ratios = result["ratios"]
    last = sorted(lines[-len(ratios) :])
    assert last == sorted(f"ratio {name} {value}" for name, value in ratios.items())
    wanted = {"unet_linear_probe_kept_wall", "unet_spatial_adapter_bound", "workers_1_over_2_wall"}
    assert wanted <= set(ratios)
