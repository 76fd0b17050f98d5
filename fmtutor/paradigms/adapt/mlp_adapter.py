"""MLP adapter: the spatial adapter with kernels of one voxel.

    y = x + W2 relu(W1 x),    W2 = 0 at the start

The control of the spatial adapter: as deep, but blind to the neighbours of a voxel.
"""

from fmtutor.core.card import Card
from fmtutor.nets.feature_adapter import FeatureAdapter
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def insert(net: FewShotNet, preset: Preset) -> None:
    """Put the adapter between backbone and head."""
    net.adapter = FeatureAdapter(net.backbone.out_channels, 1)


METHOD = Method(
    name="mlp_adapter",
    title="MLP Adapter",
    family="black-box",
    lr=1e-4,
    insert=insert,
    trained=lambda net, preset: ("adapter",),
    stacks_on_decoder=False,
    options=(("kernel", 1),),
    card=Card(
        name="MLP adapter",
        title="Towards foundation models and few-shot parameter-efficient fine-tuning for "
        "volumetric organ segmentation",
        year=2025,
        paper="https://doi.org/10.1016/j.media.2025.103596",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "the published code names no rate of its own for it; it has the spatial adapter's",
        ),
        notebook="12",
    ),
)
