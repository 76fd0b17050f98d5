"""LoRA: a low-rank change of the attention's linear layers.

    W + B A,    A (12, E) at random,    B (3 E, 12) = 0

The published code writes rank 4 for each of queries, keys and values and puts it on the one fused
layer that makes all three: a change of rank 12, without a factor. That is what the library `peft`
builds with r = 12 and lora_alpha = 12, and what is built here, on the 8 blocks of the transformer.
"""

from peft import LoraConfig, inject_adapter_in_model

from fmtutor.core.card import Card
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

RANK = 12
PLACES = r"backbone\.swinViT\..*\.attn\.qkv"
"""The fused layers, as a regular expression of peft."""


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put peft's LoRA on the fused layers."""
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=PLACES)
    inject_adapter_in_model(config, net)


METHOD = Method(
    name="lora",
    title="LoRA",
    family="additive",
    lr=1e-3,
    kinds=("swin",),
    insert=insert,
    trained=lambda net, preset: ("*.lora_?.*",),
    options=(("rank", RANK),),
    card=Card(
        name="LoRA",
        title="LoRA: low-rank adaptation of large language models",
        year=2022,
        paper="https://arxiv.org/abs/2106.09685",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "placement, rank and rate are FSEFT's; the paper adapts queries and values, not keys",
            "corrected: the head has a rate of its own, 1e-2, in place of the shared 1e-3",
        ),
        notebook="13",
    ),
)
