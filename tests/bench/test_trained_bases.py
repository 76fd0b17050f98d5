"""Bases that a training of one's own left: found, hashed, read with their rows."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fmtutor.bench.few_shot_bases import Bases
from fmtutor.bench.few_shot_grid import cells_of
from fmtutor.bench.trained_bases import TrainedBases
from fmtutor.bench.training_start import RECIPE_FILE, WEIGHTS_FILE
from fmtutor.core.configs import to_dict
from fmtutor.core.files import write_json
from fmtutor.engine.checkpoint import save_weights
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.paradigms.partial import fseft

CELL = next(cell for cell in cells_of("fseft-known", "paper") if cell.kind == "unet")
CONFIG = fseft.Config.paper(backbone="genesis_unet", channels=(4,), classes=("spleen", "liver"))


@pytest.fixture
def trained(tmp_path: Path) -> tuple[TrainedBases, fseft.Fseft]:
    folder = tmp_path / "few_shot_unet-paper-0"
    model = fseft.build(CONFIG)
    save_weights(model, folder / WEIGHTS_FILE)
    write_json(folder / RECIPE_FILE, {"system": "fseft", "config": to_dict(CONFIG)})
    return TrainedBases(tmp_path), model


def test_a_training_gives_its_backbone_and_the_rows_of_its_classes(trained) -> None:
    bases, model = trained
    assert isinstance(bases, Bases)
    bases.check([CELL])
    base = bases.base(CELL)
    assert base.name == "few_shot_unet-paper-0"
    assert not base.backbone.training
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(base.backbone.state_dict()[name], tensor)
    weight, bias = base.row("liver")
    assert torch.equal(weight, model.classifier.weight[1, :, 0, 0, 0])
    assert torch.equal(bias, model.classifier.bias[1])
    assert base.row("aorta") is None


def test_a_random_base_is_as_wide_as_the_training_and_its_seed_decides(trained) -> None:
    bases, _ = trained
    first, again, other = (
        bases.base(replace(CELL, base="random", seed=seed)) for seed in (0, 0, 1)
    )
    assert isinstance(first.backbone, GenesisUNet)
    assert first.backbone.out_channels == 4
    assert first.rows == {}
    one, two, three = (next(b.backbone.parameters()) for b in (first, again, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_the_hash_is_that_of_the_weights_or_of_the_size(trained) -> None:
    bases, _ = trained
    random, before = replace(CELL, base="random"), bases.sha256(CELL)
    size = bases.sha256(random)
    save_weights(fseft.build(CONFIG), bases.training("unet") / WEIGHTS_FILE)
    assert bases.sha256(CELL) != before
    assert bases.sha256(random) == size != ""


def test_a_table_and_its_rehearsal_begin_from_trainings_of_their_own(trained) -> None:
    bases, _ = trained
    with pytest.raises(FileNotFoundError, match="few_shot_unet-paper-0-rehearsal"):
        replace(bases, rehearsal=True).check([CELL])


def test_what_is_not_trained_is_said_with_the_command(trained, tmp_path: Path) -> None:
    bases, _ = trained
    swin = next(cell for cell in cells_of("fseft-known", "paper") if cell.kind == "swin")
    with pytest.raises(FileNotFoundError, match="fmtutor train few_shot_swin --profile paper") as e:
        bases.check([CELL, swin])
    assert "few_shot_unet" not in str(e.value)
    with pytest.raises(ValueError, match=r"self-supervised; leave their rows out with --rows"):
        bases.check(cells_of("fseft-novel", "paper"))
