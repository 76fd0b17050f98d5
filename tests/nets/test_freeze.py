"""Freezing by name, and the ledger."""

from pkgutil import resolve_name

import pytest
import torch
from torch import nn

from fmtutor.nets import BACKBONES
from fmtutor.nets.freeze import ledger, ledger_table, parts, train_only
from fmtutor.nets.unet3d import UNet3d


def _model() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 1))
    model.add_module("head", nn.Linear(1, 1))
    return model


def test_only_what_matches_is_trainable() -> None:
    model = _model()
    assert train_only(model, "head", "1.weight") == 2 + 12
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable == {"head.weight", "head.bias", "1.weight"}
    assert train_only(model, "*.bias") == 3 + 4 + 1 + 1
    assert train_only(model) == 0


def test_a_module_name_does_not_match_another_that_begins_alike() -> None:
    model = nn.ModuleDict({"up": nn.Linear(1, 1), "upper": nn.Linear(1, 1)})
    assert train_only(model, "up") == 2


def test_a_pattern_that_matches_nothing_is_refused_and_nothing_changes() -> None:
    model = _model()
    with pytest.raises(ValueError, match="'decoder' matches no parameter"):
        train_only(model, "head", "decoder")
    assert all(p.requires_grad for p in model.parameters())


def test_ledger_counts_each_module_and_the_total() -> None:
    model = _model()
    train_only(model, "head", "1.weight")
    rows = {row.module: (row.trainable, row.frozen) for row in ledger(model)}
    assert rows == {"0": (0, 9), "1": (12, 4), "2": (0, 5), "head": (2, 0), "total": (14, 18)}
    assert ledger(model)[-1].mib == pytest.approx(32 * 4 / 2**20)


def test_ledger_depth_opens_the_modules_and_half_precision_halves_the_memory() -> None:
    net = UNet3d(1, (2, 4), convs_per_level=1)
    deep = [row.module for row in ledger(net, depth=2)]
    assert deep == ["encoder.levels", "decoder.ups", "decoder.levels", "total"]
    whole = ledger(net)[-1].mib
    assert ledger(net.to(torch.bfloat16))[-1].mib == pytest.approx(whole / 2)


def test_the_table_is_markdown() -> None:
    lines = ledger_table(ledger(nn.ModuleDict({"head": nn.Linear(2000, 1)}))).splitlines()
    assert lines[0] == "| module | trainable | frozen | MiB |"
    assert lines[2] == "| head | 2,001 | 0 | 0.01 |"


SMALL = {
    "unet3d": {"in_channels": 1, "channels": (4, 8)},
    "lean_unet3d": {"in_channels": 1, "channels": (4, 8)},
    "half_unet3d": {"in_channels": 1, "channels": (4, 8)},
    "genesis_unet": {"width": 4},
    "residual_unet": {"channels": (4, 8), "blocks": (1, 1)},
    "resnet3d": {"width": 0.125},
    "segresnet": {"filters": 8},
    "swin_unetr": {"feature_size": 12},
    "small_swin_unetr": {"feature_size": 12},
}


@pytest.mark.parametrize("name", BACKBONES)
def test_encoder_and_decoder_of_every_backbone_make_the_whole(name: str) -> None:
    net = resolve_name(BACKBONES[name])(**SMALL[name])
    encoder, decoder = (train_only(net, *parts(net, part)) for part in ("encoder", "decoder"))
    assert encoder > 0
    assert encoder + decoder == sum(p.numel() for p in net.parameters())
    with pytest.raises(ValueError, match="has no part 'neck'"):
        parts(net, "neck")


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_keeps_the_interface(name: str) -> None:
    net = resolve_name(BACKBONES[name])(**SMALL[name]).eval()
    image = torch.zeros(1, 1, 2 * net.divisor[0], *net.divisor[1:])
    with torch.no_grad():
        features = net.encode(image)
        out = net(image)
    assert out.shape == (1, net.out_channels, *image.shape[2:])
    assert features[-1].shape[1] == net.bottleneck_channels
    sides = [f.shape[2] for f in features]
    assert sides == sorted(sides, reverse=True)
