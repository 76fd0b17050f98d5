"""CNN adapter: a 1x1x1 convolution beside each 3x3x3 convolution of the encoder.

    y = relu(BN(F * x + A * x))

The published one starts A at random, as torch starts any convolution, and at a rate of 1e-2: the
frozen decoder gets features that it has never seen from the first step on, and the row collapses.
The corrected preset starts A at zero, so that it begins as the linear probe does.
"""

from torch import nn

from fmtutor.core.card import Card
from fmtutor.nets.freeze import parts
from fmtutor.nets.parallel_conv import ParallelConv
from fmtutor.nets.wrapping import names_of, wrap
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put a pointwise convolution beside each of the encoder's, before its norm."""
    names = names_of(net.backbone, nn.Conv3d, under=parts(net.backbone, "encoder"))
    zero_start = preset == "corrected"
    wrap(net.backbone, names, lambda conv: ParallelConv(conv, zero_start=zero_start))


METHOD = Method(
    name="cnn_adapter",
    title="CNN-Adapter",
    family="additive",
    lr=1e-2,
    kinds=("unet",),
    insert=insert,
    trained=lambda net, preset: ("*.parallel.weight",),
    card=Card(
        name="CNN adapter",
        title="Efficient parametrization of multi-domain deep neural networks",
        year=2018,
        paper="https://arxiv.org/abs/1803.10082",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "placement and rate are FSEFT's; the paper also has batch norms for each domain",
            "corrected: starts at zero",
        ),
        notebook="12",
    ),
)
