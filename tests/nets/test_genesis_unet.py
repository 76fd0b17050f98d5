"""The Models Genesis layout: counts, names, and its batch norm."""

import torch

from fmtutor.nets.freeze import parts, train_only
from fmtutor.nets.genesis_unet import GenesisUNet


def _count(net: torch.nn.Module, part: str) -> int:
    return sum(p.numel() for name in parts(net, part) for p in getattr(net, name).parameters())


def test_parameter_counts_are_those_of_the_published_network() -> None:
    net = GenesisUNet(1)
    assert _count(net, "encoder") == 7_027_776
    assert _count(net, "decoder") == 12_045_824
    assert sum(p.numel() for p in net.parameters()) == 7_027_776 + 12_045_824
    assert (net.out_channels, net.bottleneck_channels) == (64, 512)


def test_few_shot_rows_count_as_published() -> None:
    net = GenesisUNet(1)
    assert train_only(net, "down_tr*.bias") == 2_880
    assert train_only(net, "down_tr*.bn1.*") == 2_880


def test_names_are_those_of_the_published_checkpoints() -> None:
    names = set(GenesisUNet(1, width=4).state_dict())
    layer = ("conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "bn1.running_mean")
    for block in ("down_tr64", "down_tr128", "down_tr256", "down_tr512"):
        assert {f"{block}.ops.{i}.{key}" for i in (0, 1) for key in layer} <= names
    for block in ("up_tr256", "up_tr128", "up_tr64"):
        assert {f"{block}.up_conv.weight", f"{block}.up_conv.bias"} <= names
        assert f"{block}.ops.1.bn1.running_var" in names
    assert {name.split(".")[0] for name in names} == {
        *GenesisUNet.encoder_names,
        *GenesisUNet.decoder_names,
    }


def test_features_have_the_shapes_of_the_levels() -> None:
    net = GenesisUNet(1, width=4)
    image = torch.zeros(1, 1, 16, 8, 24)
    shapes = [tuple(f.shape[1:]) for f in net.encode(image)]
    assert shapes == [(4, 16, 8, 24), (8, 8, 4, 12), (16, 4, 2, 6), (32, 2, 1, 3)]
    assert net(image).shape == (1, 4, 16, 8, 24)


def test_output_at_evaluation_depends_on_the_other_patches_of_the_batch() -> None:
    net = GenesisUNet(1, width=4).eval()
    images = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    images[1] *= 5
    alone, together = net(images[:1]), net(images)[:1]
    assert (alone - together).abs().max() > 0.01
    plain = GenesisUNet(1, width=4, norm="batch").eval()
    torch.testing.assert_close(plain(images[:1]), plain(images)[:1], atol=1e-5, rtol=1e-4)
