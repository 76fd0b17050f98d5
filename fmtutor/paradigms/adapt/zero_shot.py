"""Zero-shot: the base's own head for the structure, and no training at all.

Where the base has a class for it, this is what the few cases have to improve on; where it has none,
there is nothing to ask.
"""

from fmtutor.core.card import Card
from fmtutor.paradigms.adapt.method import Method

METHOD = Method(
    name="zero_shot",
    title="Zero-shot",
    family="none",
    lr=0.0,
    stacks_on_decoder=False,
    card=Card(
        name="Zero-shot",
        title="Towards foundation models and few-shot parameter-efficient fine-tuning for "
        "volumetric organ segmentation",
        year=2025,
        paper="https://doi.org/10.1016/j.media.2025.103596",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=("none: the row of the base's head, in both presets",),
        notebook="12",
    ),
)
