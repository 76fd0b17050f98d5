"""A cell with size priors on phantoms: arms, what they are told, and an answer like the tables'."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fmtutor.bench import few_shot_cell, few_shot_transduction
from fmtutor.bench.few_shot_bases import Base
from fmtutor.bench.few_shot_cell import predicted_mask
from fmtutor.bench.few_shot_grid import QUICK, Cell
from fmtutor.bench.few_shot_transduction import ARMS, COLUMNS, asked_of, run_transduction
from fmtutor.core.seeds import seed_everything
from fmtutor.data.few_shot import Volume
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.adapt.spec import Spec, adapted

SMALL = replace(
    QUICK, patch={"unet": (16, 16, 16), "swin": (64, 32, 32)}, per_volume=4,
    steps=dict.fromkeys(QUICK.steps, 8), lr_scale=dict.fromkeys(QUICK.lr_scale, 10.0),
)  # fmt: skip
CELL = Cell(
    label="Linear Probe", kind="unet", method="linear_probe", table="fseft-known",
    structure="liver", shots=2, seed=0,
)  # fmt: skip


def volume(number: int, *, edge: int = 10) -> Volume:
    rng = np.random.default_rng(number)
    image = rng.normal(0.4, 0.05, (24, 20, 16)).astype(np.float32)
    target = np.zeros(image.shape, bool)
    target[4 : 4 + edge, 5 : 5 + edge, 3 : 3 + edge] = True
    image[target] += 0.4
    return Volume(name=f"v{number}", image=image, target=target, voxel_ml=0.1)


class Phantoms:
    """A support of 100 ml and of 51.2 ml; tests of 100 ml and of 21.6 ml."""

    def support(self, structure: str, patch: tuple, *, shots: int, seed: int) -> list[Volume]:
        return [volume(0), volume(1, edge=8)]

    def tests(self, structure: str, patch: tuple) -> list[Volume]:
        return [volume(5), volume(6, edge=6)]


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GenesisUNet:
    seed_everything(0)
    net = GenesisUNet(width=8).eval()
    monkeypatch.setattr(few_shot_transduction, "data_of", lambda setting, folder: Phantoms())
    monkeypatch.setattr(few_shot_cell, "base_network", lambda *_, **__: Base("b", net, {}))
    monkeypatch.setattr(few_shot_cell, "cache_folder", lambda: tmp_path)
    return net


def test_a_cell_has_every_arm_of_every_test_case(net: GenesisUNet) -> None:
    result = run_transduction(CELL, SMALL)
    assert (result["steps"], result["on_query"], result["parameters"]) == (10, 2, 9)
    frame = pd.DataFrame(result["rows"], columns=list(COLUMNS))
    assert sorted(zip(frame["case"], frame["arm"], strict=True)) == sorted(
        (case, arm) for case in ("v5", "v6") for arm in ARMS
    )
    prior = frame.set_index(["case", "arm"])["prior_ml"]
    for case, truth in (("v5", 100.0), ("v6", 21.6)):
        assert prior[case, "oracle"] == pytest.approx(truth)
        assert prior[case, "support"] == prior[case, "without"] == pytest.approx(75.6)
    assert list(frame["reference_ml"]) == pytest.approx([100.0] * 3 + [21.6] * 3)
    assert run_transduction(CELL, SMALL)["rows"] == result["rows"]


def test_a_prior_changes_what_is_answered(net: GenesisUNet) -> None:
    frame = pd.DataFrame(run_transduction(CELL, SMALL)["rows"], columns=list(COLUMNS))
    soft = frame.set_index(["case", "arm"])["soft_ml"]
    assert abs(soft["v6", "oracle"] - 21.6) < abs(soft["v6", "without"] - 21.6)


def test_an_answer_is_the_one_that_the_tables_score(net: GenesisUNet) -> None:
    own = adapted(net, Spec(method="spatial_adapter"))
    asked = asked_of(own, volume(5), SMALL)
    mask, share = asked.answer(own)
    assert (mask == predicted_mask(own, volume(5), SMALL, kept=True)).all()
    assert asked.ml == pytest.approx(768.0)
    with torch.no_grad():
        assert share == pytest.approx(float(torch.sigmoid(own.head(asked.pooled)).mean()))
