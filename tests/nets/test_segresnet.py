"""SegResNet as a backbone: MONAI's features under its names."""

import pytest
import torch
from monai.networks.nets.segresnet import SegResNet as MonaiSegResNet

from fmtutor.nets.segresnet import SegResNet

IMAGE = torch.randn(1, 1, 16, 24, 8, generator=torch.Generator().manual_seed(0))


def test_equal_weights_give_monais_output_before_its_last_convolution() -> None:
    theirs, ours = MonaiSegResNet(in_channels=1, out_channels=3).eval(), SegResNet(filters=8).eval()
    head = "conv_final.2."
    kept = {k: v for k, v in theirs.state_dict().items() if not k.startswith(head)}
    ours.load_state_dict(kept, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(theirs.conv_final[2](ours(IMAGE)), theirs(IMAGE))


def test_published_size_has_4_70_million_parameters_with_its_25_class_head() -> None:
    net = SegResNet()
    count = sum(p.numel() for p in net.parameters())
    assert round((count + 17 * 25) / 1e6, 2) == 4.70


def test_features_have_the_shapes_of_the_levels() -> None:
    net = SegResNet(filters=8)
    shapes = [tuple(f.shape[1:]) for f in net.encode(IMAGE)]
    assert shapes == [(8, 16, 24, 8), (16, 8, 12, 4), (32, 4, 6, 2), (64, 2, 3, 1)]
    assert net(IMAGE).shape == (1, net.out_channels, 16, 24, 8)
    assert (net.bottleneck_channels, net.divisor) == (64, (8, 8, 8))


def test_wrong_sides_are_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="pad the patch"):
        SegResNet(filters=8)(IMAGE[..., :7])
