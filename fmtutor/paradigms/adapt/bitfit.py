"""BitFit: only biases move.

    y = W x + (b + db)

In Swin UNETR the biases of attention and MLP in the transformer; its convolutions have none. In the
U-Net those of convolutions and batch norms of the encoder. The published pattern is the word "bias"
in a name, and so it also trains the *tables* of relative positions, which are no biases of a layer
and make 197,730 of its 210,690 parameters. The corrected preset leaves them alone.

Half of the U-Net's biases do nothing: a norm that takes the statistics of the batch subtracts the
bias of the convolution before it again.
"""

from fmtutor.core.card import Card
from fmtutor.nets.freeze import parts
from fmtutor.paradigms.adapt.method import Method, Preset
from fmtutor.paradigms.adapt.network import FewShotNet


def trained(net: FewShotNet, preset: Preset) -> tuple[str, ...]:
    """Return the patterns of the encoder's biases."""
    if net.kind == "unet":
        return tuple(f"backbone.{name}.*.bias" for name in parts(net.backbone, "encoder"))
    bias = "*bias*" if preset == "faithful" else "*.bias"
    return tuple(f"backbone.swinViT.*.{place}.{bias}" for place in ("attn", "mlp"))


def train_mode(net: FewShotNet) -> tuple[str, ...]:
    """Return the stages whose batch norms run in training mode."""
    if net.kind == "swin":
        return ()
    return tuple(f"backbone.{name}" for name in parts(net.backbone, "encoder"))


METHOD = Method(
    name="bitfit",
    title="BitFit / Bias",
    family="selective",
    lr=1e-2,
    trained=trained,
    train_mode=train_mode,
    card=Card(
        name="BitFit",
        title="BitFit: simple parameter-efficient fine-tuning for transformer-based masked "
        "language-models",
        year=2022,
        paper="https://arxiv.org/abs/2106.10199",
        code="https://github.com/jusiro/fewshot-finetuning",
        licence_code="no licence file",
        licence_weights="no licence file",
        deviations=(
            "placement and rate are FSEFT's, whose code this follows",
            "corrected: biases alone, without the tables of relative positions",
            "the U-Net's convolution biases are trained as published, without effect",
        ),
        notebook="12",
    ),
)
