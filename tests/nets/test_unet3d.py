"""The U-Net: shapes, split, options."""

import pytest
import torch

from fmtutor.core.devices import has_fast_bf16
from fmtutor.nets.cheap_unets import half_unet3d, lean_unet3d
from fmtutor.nets.unet3d import UNet3d

IMAGE = torch.randn(2, 1, 16, 12, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("up", ["transposed", "trilinear", "nearest"])
@pytest.mark.parametrize("skip", ["concat", "add"])
def test_features_come_back_at_input_resolution(up: str, skip: str) -> None:
    net = UNet3d(1, (4, 6, 8), up=up, skip=skip)
    assert net(IMAGE).shape == (2, net.out_channels, 16, 12, 8)
    assert (net.out_channels, net.bottleneck_channels, net.divisor) == (4, 8, (4, 4, 4))


def test_strides_may_differ_along_the_axes() -> None:
    net = UNet3d(1, (4, 6, 8), strides=(1, (2, 2, 1), (2, 1, 2)))
    features = net.encode(IMAGE)
    assert net.divisor == (4, 2, 2)
    assert [tuple(f.shape[2:]) for f in features] == [(16, 12, 8), (8, 6, 8), (4, 6, 4)]
    assert net(IMAGE).shape == (2, 4, 16, 12, 8)


def test_a_strided_first_level_is_undone_at_the_end() -> None:
    net = UNet3d(1, (4, 6), strides=((2, 2, 1), 2))
    assert net(IMAGE).shape == (2, 4, 16, 12, 8)
    assert net.divisor == (4, 4, 2)


def test_forward_is_encode_then_decode_and_decode_gives_every_level() -> None:
    net = UNet3d(1, (4, 6, 8)).eval()
    decoded = net.decode(net.encode(IMAGE))
    assert [tuple(f.shape[1:]) for f in decoded] == [(4, 16, 12, 8), (6, 8, 6, 4)]
    torch.testing.assert_close(decoded[0], net(IMAGE))


def test_the_number_of_convolutions_is_that_of_the_options() -> None:
    net = UNet3d(1, (4, 6, 8), convs_per_level=(1, 2, 3))
    convs = [name for name, m in net.named_modules() if isinstance(m, torch.nn.Conv3d)]
    assert sum(name.startswith("encoder") for name in convs) == 6
    assert sum(name.startswith("decoder") for name in convs) == 3


def test_parameters_of_the_small_net_are_counted_by_hand() -> None:
    # Encoder 1->2, 2->4 (27 weights each, 2 norm values a channel); transposed 4->2 of 2^3 with
    # bias; decoder conv 4->2.
    net = UNet3d(1, (2, 4), convs_per_level=1)
    by_hand = (54 + 4) + (216 + 8) + (64 + 2) + (216 + 4)
    assert sum(p.numel() for p in net.parameters()) == by_hand


def test_every_parameter_gets_a_gradient() -> None:
    net = UNet3d(1, (4, 6, 8))
    net(IMAGE).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_channels_last_and_bfloat16_stay_so_to_the_end() -> None:
    net = UNet3d(1, (8, 16)).to(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", torch.bfloat16):
        features = net(IMAGE.contiguous(memory_format=torch.channels_last_3d))
    assert features.dtype == torch.bfloat16
    if has_fast_bf16("cpu"):  # an emulated convolution brings its own layout
        assert features.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(features.float(), net(IMAGE), atol=0.15, rtol=0.1)


def test_wrong_sides_and_options_are_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="pad the patch"):
        UNet3d(1, (4, 6, 8))(IMAGE[..., :7])
    with pytest.raises(ValueError, match="one entry per level"):
        UNet3d(1, (4, 6, 8), strides=(1, 2))
    with pytest.raises(ValueError, match="up must be one of"):
        UNet3d(1, (4, 6), up="pixel")
    with pytest.raises(ValueError, match="norm must be one of"):
        UNet3d(1, (4, 6), norm="layer")


@pytest.mark.parametrize("make", [UNet3d, lean_unet3d, half_unet3d])
def test_a_prompt_channel_widens_the_first_layer_of_the_decoder_alone(make) -> None:
    plain, prompted = make(1, (4, 6, 8)), make(1, (4, 6, 8), prompt_channels=1)
    shapes = [{k: v.shape for k, v in net.state_dict().items()} for net in (plain, prompted)]
    assert shapes[0].keys() == shapes[1].keys()
    changed = [name for name in shapes[0] if shapes[0][name] != shapes[1][name]]
    assert changed == ["decoder.ups.0.conv.weight"]
    features = prompted.encode(IMAGE[:, :, :8, :8])
    wider = torch.cat((features[-1], torch.ones_like(features[-1][:, :1])), 1)
    assert prompted.decode([*features[:-1], wider])[0].shape == (2, 4, 8, 8, 8)
