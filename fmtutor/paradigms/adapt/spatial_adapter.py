"""Spatial adapter: two 3x3x3 convolutions behind the frozen backbone, and a fresh head.

    y = x + W2 * relu(W1 * x),    W2 = 0 at the start

Black-box: the backbone need not be open, nor its gradients. The neighbourhood of a voxel mends what
a linear probe cannot, at 124,416 parameters for 48 features.
"""

from fmtutor.core.card import Card
from fmtutor.nets.feature_adapter import FeatureAdapter
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put the adapter between backbone and head."""
    net.adapter = FeatureAdapter(net.backbone.out_channels, 3)


METHOD = Method(
    name="spatial_adapter",
    title="Spatial Adapter",
    family="black-box",
    lr=1e-4,
    insert=insert,
    trained=lambda net, preset: ("adapter",),
    stacks_on_decoder=False,
    options=(("kernel", 3),),
    card=Card(
        name="Spatial adapter",
        title="Towards foundation models and few-shot parameter-efficient fine-tuning for "
        "volumetric organ segmentation",
        year=2025,
        paper="https://doi.org/10.1016/j.media.2025.103596",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "corrected: the head has a rate of its own, 1e-2, in place of the shared 1e-4",
        ),
        notebook="12",
    ),
)
