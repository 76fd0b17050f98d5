"""Decoder fine-tuning: the decoder and the head move, the encoder stays.

A new organ needs features that the decoder never had to make; the encoder often has them already.
"Decoder" is what the published code calls so by name: in Swin UNETR the five up-sampling blocks,
not the convolutions on the skip connections.
"""

from fmtutor.core.card import Card
from fmtutor.nets.freeze import parts
from fmtutor.paradigms.adapt.method import DECODER_LR, Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def trained(net: FewShotNet, preset: Preset) -> tuple[str, ...]:
    """Return the patterns of the decoder."""
    return tuple(f"backbone.{name}" for name in parts(net.backbone, "decoder"))


METHOD = Method(
    name="decoder_fine_tune",
    title="Decoder fine-tuning",
    family="full",
    lr=DECODER_LR,
    trained=trained,
    stacks_on_decoder=False,
    card=Card(
        name="Decoder fine-tuning",
        title="Towards foundation models and few-shot parameter-efficient fine-tuning for "
        "volumetric organ segmentation",
        year=2025,
        paper="https://doi.org/10.1016/j.media.2025.103596",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=("corrected: the head has a rate of its own, 1e-2",),
        notebook="13",
    ),
)
