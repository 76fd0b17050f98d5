"""Conv-LoRA: low-rank changes of every convolution, in the encoder and in the decoder.

    W + B A,    A: (C_in k^3) -> 4 at random,    B: 4 -> C_out = 0

In Swin UNETR most parameters are convolutions, the decoder is nothing else, and LoRA on attention
never reaches it. Here the library `peft` adapts the 3x3x3 convolutions; those that it has no sound
form for, 1x1x1 and transposed ones, get our own (`fmtutor.nets.conv_low_rank`).
"""

from torch import nn

from fmtutor.core.card import Card
from fmtutor.nets.conv_low_rank import with_low_rank
from fmtutor.nets.freeze import parts
from fmtutor.nets.peft_conv import add_peft_lora, peft_gap
from fmtutor.nets.wrapping import names_of, wrap
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

RANK = 4


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put low-rank changes on all convolutions but the transformer's patch embedding."""
    places = (*parts(net.backbone, "encoder"), *parts(net.backbone, "decoder"))
    under = [f"backbone.{name}" for name in places if name != "swinViT"]
    names = names_of(net, (nn.Conv3d, nn.ConvTranspose3d), under=under)
    ours = [name for name in names if peft_gap(net.get_submodule(name))]
    add_peft_lora(net, [name for name in names if name not in ours], RANK)
    wrap(net, ours, lambda conv: with_low_rank(conv, RANK))


METHOD = Method(
    name="conv_lora",
    title="Conv-LoRA",
    family="additive",
    lr=1e-3,
    insert=insert,
    trained=lambda net, preset: ("*.lora_?.*", "*.low_rank_?.*"),
    stacks_on_decoder=False,
    options=(("rank", RANK),),
    card=Card(
        name="Conv-LoRA",
        title="ConvLoRA and AdaBN based domain adaptation via self-training",
        year=2024,
        paper="https://arxiv.org/abs/2402.04964",
        code="https://github.com/huggingface/peft",
        licence_code="Apache-2.0",
        licence_weights="none published",
        deviations=(
            "not in the published tables: places, rank and rate are our choice",
            "low-rank kernels alone, without the paper's batch-norm statistics and self-training",
            "transposed convolutions have a form of ours",
        ),
        notebook="13",
    ),
)
