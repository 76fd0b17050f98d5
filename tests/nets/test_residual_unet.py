"""DoDNet's backbone."""

import pytest
import torch

from fmtutor.nets.residual_unet import ResidualUNet, StandardisedConv


def test_it_has_the_published_size() -> None:
    """17.29 M parameters without heads."""
    assert sum(p.numel() for p in ResidualUNet(1).parameters()) == 17_285_920


def test_features_are_on_the_input_grid_and_levels_go_from_fine_to_coarse() -> None:
    net = ResidualUNet(1, channels=(8, 16, 32), blocks=(1, 1, 1))
    image = torch.zeros(1, 1, 8, 12, 4)
    levels = net.encode(image)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (8, 8, 12, 4), (16, 4, 6, 2), (32, 2, 3, 1)]  # fmt: skip
    decoded = net.decode(levels)
    assert [level.shape[1] for level in decoded] == list(net.level_channels[:-1])
    assert decoded[0].shape == (1, net.out_channels, 8, 12, 4)


def test_a_standardised_kernel_ignores_its_scale_and_its_mean() -> None:
    conv, x = StandardisedConv(2, 3, 3, bias=False), torch.randn(1, 2, 4, 4, 4)
    before = conv(x)
    with torch.no_grad():
        conv.weight.mul_(3).add_(0.7)
    torch.testing.assert_close(conv(x), before, rtol=1e-4, atol=1e-4)


def test_wrong_sizes_are_one_clear_error() -> None:
    with pytest.raises(ValueError, match="pad the patch"):
        ResidualUNet(1, channels=(8, 16), blocks=(1, 1))(torch.zeros(1, 1, 7, 8, 8))
    with pytest.raises(ValueError, match="equal lengths"):
        ResidualUNet(1, channels=(8, 16), blocks=(1,))
