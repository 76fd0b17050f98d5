"""Full fine-tuning: every parameter moves.

The most that a few cases can change, and the most that they can spoil: 62 million parameters on
five volumes, and a copy of the whole network for each structure.
"""

from fmtutor.core.card import Card
from fmtutor.paradigms.adapt.method import Method

METHOD = Method(
    name="full_fine_tune",
    title="Fine-tuning",
    family="full",
    lr=1e-4,
    trained=lambda net, preset: ("backbone",),
    train_mode=lambda net: ("",),
    stacks_on_decoder=False,
    card=Card(
        name="Full fine-tuning",
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
