"""Affine norms: only the scale and the shift of normalisation layers move.

    y = gamma (x - mean) / std + beta

In Swin UNETR every layer norm of the transformer, patch merging included (its instance norms have
no such parameters); in the U-Net the batch norms of the encoder.
"""

from fmtutor.core.card import Card
from fmtutor.nets.freeze import parts
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def trained(net: FewShotNet, preset: Preset) -> tuple[str, ...]:
    """Return the patterns of the encoder's norms."""
    if net.kind == "swin":
        return ("backbone.swinViT.*.norm*",)
    return tuple(f"backbone.{name}.*.bn1.*" for name in parts(net.backbone, "encoder"))


def train_mode(net: FewShotNet) -> tuple[str, ...]:
    """Return the stages whose batch norms run in training mode."""
    if net.kind == "swin":
        return ()
    return tuple(f"backbone.{name}" for name in parts(net.backbone, "encoder"))


METHOD = Method(
    name="affine",
    title="Affine-LN / Affine-BN",
    family="selective",
    lr=1e-2,
    trained=trained,
    train_mode=train_mode,
    card=Card(
        name="Affine norms",
        title="Training BatchNorm and only BatchNorm: on the expressive power of random "
        "features in CNNs",
        year=2021,
        paper="https://arxiv.org/abs/2003.00152",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "placement and rate are FSEFT's, whose code this follows; the paper starts from random "
            "features",
        ),
        notebook="12",
    ),
)
