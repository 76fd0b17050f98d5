"""AdaptFormer: a narrow MLP beside the MLP of each transformer block.

    y = MLP(LN(x)) + 0.1 W_up relu(W_down x),    W_up = 0 at the start

16 channels wide in all 8 blocks, on the stream before the layer norm.
"""

from monai.networks.nets.swin_unetr import SwinTransformerBlock
from torch import nn

from fmtutor.core.card import Card
from fmtutor.nets.bottleneck import ParallelBottleneck
from fmtutor.nets.wrapping import names_of
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

WIDTH, SCALE = 16, 0.1


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put a bottleneck around norm and MLP of every block; the norm moves into it."""
    for name in names_of(net, SwinTransformerBlock):
        block = net.get_submodule(name)
        block.mlp = ParallelBottleneck(block.norm2, block.mlp, width=WIDTH, scale=SCALE)
        block.norm2 = nn.Identity()


METHOD = Method(
    name="adaptformer",
    title="AdaptFormer",
    family="additive",
    lr=1e-2,
    kinds=("swin",),
    insert=insert,
    trained=lambda net, preset: ("*.bottleneck_*",),
    options=(("width", WIDTH), ("scale", SCALE)),
    card=Card(
        name="AdaptFormer",
        title="AdaptFormer: adapting vision transformers for scalable visual recognition",
        year=2022,
        paper="https://arxiv.org/abs/2205.13535",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "width and rate are FSEFT's; its configuration says 4, its code takes 16, the paper 64",
        ),
        notebook="12",
    ),
)
