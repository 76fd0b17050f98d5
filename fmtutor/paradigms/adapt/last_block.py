"""Last-block fine-tuning: the last block of the decoder and the head.

Between a linear probe and the whole decoder: 209,664 parameters of a Swin UNETR of 48 features.
"""

from fmtutor.core.card import Card
from fmtutor.nets.freeze import parts
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def trained(net: FewShotNet, preset: Preset) -> tuple[str, ...]:
    """Return the pattern of the decoder's last block, at input resolution."""
    return (f"backbone.{parts(net.backbone, 'decoder')[-1]}",)


METHOD = Method(
    name="last_block",
    title="Last block",
    family="full",
    lr=1e-2,
    trained=trained,
    stacks_on_decoder=False,
    card=Card(
        name="Last-block fine-tuning",
        title="Towards foundation models and few-shot parameter-efficient fine-tuning for "
        "volumetric organ segmentation",
        year=2025,
        paper="https://doi.org/10.1016/j.media.2025.103596",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "from the workshop version of the paper, for Swin UNETR; in the U-Net it is our choice",
        ),
        notebook="12",
    ),
)
