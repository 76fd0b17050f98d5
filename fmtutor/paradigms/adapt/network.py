"""The network that a few cases teach: a base's backbone, an adapter, a fresh head.

    image -> backbone (B, E, H, W, D) -> adapter -> classifier -> logits (B, L, H, W, D)

One structure has one logit (L = 1) and a sigmoid; several have one each after the background's, and
a softmax.

A *black-box* method touches only what comes after the backbone, so the backbone's features can be
computed once (`fmtutor.engine.features`); all others reach into the backbone.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.axes import Image, Logits
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.swin_unetr import SwinUnetr

Kind = Literal["swin", "unet"]
KINDS: dict[type, Kind] = {SwinUnetr: "swin", GenesisUNet: "unet"}
"""The two backbones of the published tables."""


class FewShotNet(nn.Module):
    """A backbone, what a black-box method puts behind it, and a head.

    Args:
        backbone: Swin UNETR or the U-Net of Models Genesis, of any width; it is used, not copied.
        outputs: L: 1 for one structure, else one for the background and one for each structure.
    """

    def __init__(self, backbone: nn.Module, outputs: int = 1) -> None:
        super().__init__()
        self.kind: Kind = kind_of(backbone)
        self.backbone = backbone
        self.adapter: nn.Module = nn.Identity()
        self.classifier = LinearHead(backbone.out_channels, outputs)  # type: ignore[arg-type]

    def head(self, features: Tensor) -> Logits:
        """Return the logits (B, L, H, W, D) of features (B, E, H, W, D)."""
        return self.classifier(self.adapter(features))

    def forward(self, image: Image) -> Logits:
        """Return the logits (B, L, H, W, D) of normalised images."""
        return self.head(self.backbone(image))

    def probabilities(self, logits: Logits) -> Float[Tensor, "B L H W D"]:
        """Return the probabilities of logits: of the structure, or of each class in turn."""
        if self.classifier.out_channels == 1:
            return torch.sigmoid(logits)
        return torch.softmax(logits, dim=1)


def kind_of(backbone: nn.Module) -> Kind:
    """Return which of the two published backbones a network is.

    Raises:
        ValueError: It is neither.
    """
    for cls, kind in KINDS.items():
        if isinstance(backbone, cls):
            return kind
    raise ValueError(
        "few-shot methods are placed in a SwinUnetr or a GenesisUNet, got a "
        f"{type(backbone).__name__}; choose a base with one of these."
    )
