"""DoRA: LoRA turns the rows of a weight, a vector of its own scales them.

    m (W + B A) / |W + B A|,    m = |W| and B = 0 at the start

Norms are those of rows, the weights of one output. Same layers and same rank as LoRA.
"""

from peft import LoraConfig, inject_adapter_in_model

from fmtutor.core.card import Card
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet

RANK = 12
PLACES = r"backbone\.swinViT\..*\.attn\.qkv"
"""The fused layers, as a regular expression of peft."""


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put peft's DoRA on the fused layers."""
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=PLACES, use_dora=True)
    inject_adapter_in_model(config, net)


METHOD = Method(
    name="dora",
    title="DoRA",
    family="additive",
    lr=1e-3,
    kinds=("swin",),
    insert=insert,
    trained=lambda net, preset: ("*.lora_*",),
    options=(("rank", RANK),),
    card=Card(
        name="DoRA",
        title="DoRA: weight-decomposed low-rank adaptation",
        year=2024,
        paper="https://arxiv.org/abs/2402.09353",
        code="https://github.com/huggingface/peft",
        licence_code="Apache-2.0",
        licence_weights="none published",
        deviations=("not in the published tables: layers, rank and rate are those of LoRA there",),
        notebook="13",
    ),
)
