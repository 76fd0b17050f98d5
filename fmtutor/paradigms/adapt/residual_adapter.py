"""Residual adapters: a narrow convolutional branch behind every convolution block.

    y = z + W_up relu(W_mid * relu(W_down z)),    W_up = 0 at the start

8 channels wide, with a 3x3x3 convolution in the middle, in the encoder and in the decoder.
"""

from monai.networks.blocks.dynunet_block import UnetResBlock
from torch import nn

from fmtutor.core.card import Card
from fmtutor.nets.bottleneck import ResidualBottleneck
from fmtutor.nets.wrapping import names_of, wrap
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

WIDTH = 8


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put an adapter behind the convolutions of every level."""
    types = UnetResBlock if net.kind == "swin" else nn.Sequential
    wrap(net.backbone, names_of(net.backbone, types), behind)


def behind(block: nn.Module) -> ResidualBottleneck:
    """Return the block with an adapter behind it."""
    *_, last = (module for module in block.modules() if isinstance(module, nn.Conv3d))
    return ResidualBottleneck(block, last.out_channels, width=WIDTH)


METHOD = Method(
    name="residual_adapter",
    title="Residual Adapter",
    family="additive",
    lr=1e-3,
    insert=insert,
    trained=lambda net, preset: ("*.bottleneck.*",),
    stacks_on_decoder=False,
    options=(("width", WIDTH),),
    card=Card(
        name="Residual adapter",
        title="Learning multiple visual domains with residual adapters",
        year=2017,
        paper="https://arxiv.org/abs/1705.08045",
        code="none",
        licence_code="none published",
        licence_weights="none published",
        deviations=(
            "not in the published tables: places, width and rate are our choice",
            "three narrow convolutions per level; the paper has a full 1x1 convolution and a batch "
            "norm per layer",
            "starts at zero, the paper near it",
        ),
        notebook="13",
    ),
)
