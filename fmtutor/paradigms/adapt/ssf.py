"""SSF: a scale and a shift for every channel, after every operation of the backbone.

    y = gamma x + beta,    gamma = 1 and beta = 0 at the start

After linear layers, norms, transposed convolutions and the patch embedding. Not after a convolution
that a norm follows: an instance norm, or a batch norm of one patch, undoes scale and shift exactly,
so they stand behind the norm. Once trained all of it folds into the layers before.
"""

from torch import nn

from fmtutor.core.card import Card
from fmtutor.nets.scale_shift import ScaleShift
from fmtutor.nets.wrapping import names_of, wrap
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

OPERATIONS = (
    nn.Linear,
    nn.LayerNorm,
    nn.InstanceNorm3d,
    nn.BatchNorm3d,
    nn.GroupNorm,
    nn.ConvTranspose3d,
)


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put a scale and a shift behind every operation."""
    names = names_of(net.backbone, OPERATIONS)
    if net.kind == "swin":
        names.append("swinViT.patch_embed.proj")
    wrap(net.backbone, names, ScaleShift)


METHOD = Method(
    name="ssf",
    title="SSF",
    family="additive",
    lr=1e-2,
    insert=insert,
    trained=lambda net, preset: ("*.feature_scale", "*.feature_shift"),
    stacks_on_decoder=False,
    card=Card(
        name="SSF",
        title="Scaling and shifting your features: a new baseline for efficient model tuning",
        year=2022,
        paper="https://arxiv.org/abs/2210.08823",
        code="https://github.com/dongzelian/SSF",
        licence_code="not checked",
        licence_weights="none published",
        deviations=(
            "not in the published tables: places and rate are our choice",
            "starts at exactly 1 and 0; the original draws both with a spread of 0.02",
            "none after a convolution that a norm follows, which would undo it",
        ),
        notebook="13",
    ),
)
