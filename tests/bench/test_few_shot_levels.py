"""Levels of a backbone on phantoms: where features move, and what a linear map reads of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fmtutor.bench import few_shot_levels
from fmtutor.bench.few_shot_grid import QUICK
from fmtutor.bench.few_shot_levels import feature_shift, separability
from fmtutor.data.few_shot import Volume
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.adapt.spec import Spec, adapted


def patient(number: int) -> Volume:
    """A bright organ in noise."""
    image = np.random.default_rng(number).normal(0.4, 0.02, (24, 20, 16)).astype(np.float32)
    target = np.zeros(image.shape, bool)
    target[3 + number : 11 + number, 4:14, 3:13] = True
    return Volume(name=f"v{number}", image=image + 0.4 * target, target=target, voxel_ml=0.1)


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> GenesisUNet:
    monkeypatch.setattr(few_shot_levels, "QUICK", replace(QUICK, patch={"unet": (16, 16, 16)}))
    return GenesisUNet(width=4).eval()


def test_features_of_a_probe_do_not_move_and_those_of_fine_tuning_do(backbone: GenesisUNet) -> None:
    look = torch.rand(2, 1, 16, 16, 16)
    net = adapted(backbone, Spec(method="linear_probe"))
    still = feature_shift(backbone, net.backbone, look)
    assert list(still) == [*backbone.encoder_names, *backbone.decoder_names]
    assert set(still.values()) == {0.0}
    tuned = adapted(backbone, Spec(method="full_fine_tune"))
    optimiser = torch.optim.SGD(tuned.parameters(), lr=0.1)
    tuned(look).square().sum().backward()
    optimiser.step()
    assert min(feature_shift(backbone, tuned.backbone, look).values()) > 0


def test_a_random_start_moves_features_before_any_training(backbone: GenesisUNet) -> None:
    look = torch.rand(1, 1, 16, 16, 16)
    moved = {}
    for preset in ("faithful", "corrected"):
        net = adapted(backbone, Spec(method="cnn_adapter", preset=preset))
        moved[preset] = feature_shift(backbone, net.backbone, look)
    assert min(moved["faithful"].values()) > 0.05
    assert set(moved["corrected"].values()) == {0.0}


def test_a_bright_organ_is_separable_and_a_random_mask_is_not(backbone: GenesisUNet) -> None:
    clear = separability(backbone, [patient(0)], [patient(1)], voxels=200)
    assert list(clear) == [*backbone.encoder_names, *backbone.decoder_names]
    assert clear["down_tr64"] > 0.75
    rng = np.random.default_rng(0)
    blind = [replace(patient(n), target=rng.random((24, 20, 16)) < 0.3) for n in (0, 1)]
    chance = separability(backbone, blind[:1], blind[1:], voxels=400)
    assert 0.35 < chance["down_tr64"] < 0.65
