"""The Med3D encoder against MONAI's network with its strides and dilations changed."""

import pytest
import torch
from monai.networks.nets.resnet import ResNet
from torch import nn

from fmtutor.nets.resnet3d import DEPTHS, ResNet3d, ResNetEncoder

IMAGE = torch.randn(1, 1, 32, 24, 16, generator=torch.Generator().manual_seed(0))


def _monai(depth: int, shortcut: str) -> nn.Module:
    """MONAI's ResNet at an eighth of the width, dilated by hand to output stride 8."""
    net = ResNet(
        "bottleneck" if depth >= 50 else "basic",
        list(DEPTHS[depth]),
        [8, 16, 32, 64],
        n_input_channels=1,
        conv1_t_stride=2,
        shortcut_type=shortcut,
        feed_forward=False,
        bias_downsample=False,
    )
    for layer, dilation in ((net.layer3, 2), (net.layer4, 4)):
        for conv in (m for m in layer.modules() if isinstance(m, nn.Conv3d)):
            conv.stride = (1, 1, 1)
            if conv.kernel_size == (3, 3, 3):
                conv.dilation = conv.padding = (dilation,) * 3
        if shortcut == "A":  # its function holds the stride
            keep = layer[0].downsample.keywords
            layer[0].downsample.keywords.update({**keep, "stride": 1})
    return net


@pytest.mark.parametrize(("depth", "shortcut"), [(10, "B"), (18, "A"), (50, "B")])
def test_equal_weights_give_monais_output_under_equal_names(depth: int, shortcut: str) -> None:
    theirs, ours = _monai(depth, shortcut).eval(), ResNetEncoder(depth, width=0.125).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    with torch.no_grad():
        x = theirs.maxpool(theirs.act(theirs.bn1(theirs.conv1(IMAGE))))
        for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            x = stage(x)
        torch.testing.assert_close(ours(IMAGE)[-1], x, atol=1e-5, rtol=1e-4)


def test_strides_are_two_four_eight_eight_eight() -> None:
    net = ResNet3d(10, width=0.125, decoder_width=8)
    shapes = [tuple(f.shape[1:]) for f in net.encode(IMAGE)]
    small = (4, 3, 2)
    assert shapes == [(8, 16, 12, 8), (8, 8, 6, 4), (16, *small), (32, *small), (64, *small)]
    assert net(IMAGE).shape == (1, net.out_channels, 32, 24, 16)
    assert net.bottleneck_channels == 64


@pytest.mark.parametrize(("depth", "millions"), [(10, 14.36), (18, 32.99)])
def test_published_sizes(depth: int, millions: float) -> None:
    count = sum(p.numel() for p in ResNetEncoder(depth).parameters())
    assert round(count / 1e6, 2) == millions


def test_shortcut_a_has_no_parameters_and_passes_gradients() -> None:
    net = ResNetEncoder(18, width=0.125)
    assert not [name for name in net.state_dict() if "downsample" in name]
    net(IMAGE)[-1].square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_instance_norm_keeps_the_names() -> None:
    batch, instance = (
        set(dict(ResNetEncoder(10, width=0.125, norm=n).named_parameters()))
        for n in ("batch", "instance")
    )
    assert batch == instance


def test_unknown_depth_and_shortcut_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown ResNet depth '12'"):
        ResNetEncoder(12)
    with pytest.raises(ValueError, match="'A' or 'B'"):
        ResNetEncoder(10, shortcut="C")
