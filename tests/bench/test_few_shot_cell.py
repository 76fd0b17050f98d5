"""One cell end to end on phantoms: what is trained, scored, kept; cached equals uncached."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fmtutor.bench import few_shot_cell
from fmtutor.bench.few_shot_bases import Base
from fmtutor.bench.few_shot_cell import FeatureBatches, predicted_mask, run_cell
from fmtutor.bench.few_shot_grid import QUICK, Cell
from fmtutor.core.seeds import seed_everything
from fmtutor.data.few_shot import FixedPatches, Volume
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.adapt.spec import Spec, adapted

SMALL = replace(
    QUICK,
    patch={"unet": (16, 16, 16), "swin": (64, 32, 32)},
    steps=dict.fromkeys(QUICK.steps, 30),
    per_volume=4,
    lr_scale=dict.fromkeys(QUICK.lr_scale, 10.0),
)
CELL = Cell(
    label="Linear Probe", kind="unet", method="linear_probe", table="fseft-known",
    structure="liver", shots=2, seed=0,
)  # fmt: skip


def volume(number: int) -> Volume:
    rng = np.random.default_rng(number)
    image = rng.normal(0.4, 0.05, (24, 20, 16)).astype(np.float32)
    target = np.zeros(image.shape, bool)
    target[4 + number : 14 + number, 5:15, 3:13] = True
    image[target] += 0.4
    return Volume(name=f"v{number}", image=image, target=target, voxel_ml=0.1)


class Phantoms:
    def support(self, structure: str, patch: tuple, *, shots: int, seed: int) -> list[Volume]:
        return [volume(n) for n in range(shots)]

    def tests(self, structure: str, patch: tuple) -> list[Volume]:
        return [volume(5)]

    def real(self, structure: str, patch: tuple) -> list[Volume]:
        return []


@pytest.fixture
def phantoms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GenesisUNet:
    seed_everything(0)
    net = GenesisUNet(width=8).eval()
    row = (torch.ones(8), torch.zeros(()))
    monkeypatch.setattr(few_shot_cell, "data_of", lambda setting, folder: Phantoms())
    monkeypatch.setattr(
        few_shot_cell, "base_network", lambda *_, **__: Base("b", net, {"liver": row})
    )
    monkeypatch.setattr(few_shot_cell, "cache_folder", lambda: tmp_path)
    return net


def test_a_cell_returns_its_scores_and_what_it_cost(phantoms: GenesisUNet) -> None:
    result = run_cell(CELL, SMALL)
    assert result["cell"]["structure"] == "liver"
    assert result["parameters"] == result["head_parameters"] == 9
    assert result["decoder_parameters"] == 0
    assert (result["steps"], result["stopped"], len(result["loss"])) == (30, False, 30)
    (score,) = result["scores"]
    assert (score["case"], score["where"]) == ("v5", "test")
    assert 0 <= score["dice_plus_one"] <= score["dice"] <= 1
    assert score["reference_ml"] == pytest.approx(100.0)


def test_a_cell_twice_is_the_same_and_another_seed_is_not(phantoms: GenesisUNet) -> None:
    first, again = run_cell(CELL, SMALL), run_cell(CELL, SMALL)
    assert first["loss"] == again["loss"]
    assert first["scores"] == again["scores"]
    assert run_cell(replace(CELL, seed=1), SMALL)["loss"] != first["loss"]


def test_learning_from_kept_features_is_learning_from_the_crops(phantoms: GenesisUNet) -> None:
    """The same fixed crops through the frozen network: fp16 on disk is all that differs."""
    net = adapted(phantoms, Spec(method="linear_probe"))
    few_shot_cell.answer_alone(net)
    patches = FixedPatches([volume(0), volume(1)], size=(16,) * 3, batch=2, seed=0, per_volume=4)
    kept = FeatureBatches(net, patches, SMALL)
    for step in range(4):
        batch, features = patches(step), kept(step)
        with torch.inference_mode():
            wanted = net(batch.input)
            found = net.head(features.input)
        torch.testing.assert_close(found, wanted, rtol=2e-3, atol=2e-3)
        assert torch.equal(batch.target, features.target)


def test_a_mask_from_kept_features_is_the_mask_from_images(phantoms: GenesisUNet) -> None:
    net = adapted(phantoms, Spec(method="spatial_adapter"))
    images = predicted_mask(net, volume(5), SMALL, kept=False)
    features = predicted_mask(net, volume(5), SMALL, kept=True)
    assert (images != features).mean() < 1e-3


def test_zero_shot_trains_nothing_and_asks_the_bases_head(phantoms: GenesisUNet) -> None:
    result = run_cell(replace(CELL, label="zero-shot", method="zero_shot"), SMALL)
    assert (result["parameters"], result["steps"], result["loss"]) == (0, 0, [])


def test_zero_shot_of_a_structure_the_base_does_not_know_is_refused(phantoms: GenesisUNet) -> None:
    cell = replace(CELL, method="zero_shot", structure="gluteus_maximus_left")
    with pytest.raises(ValueError, match="no class of this structure"):
        run_cell(cell, SMALL)
