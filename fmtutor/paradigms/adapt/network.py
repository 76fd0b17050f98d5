"""The network that a few cases teach one structure: a base's backbone, an adapter, a fresh head.

    image -> backbone (B, E, H, W, D) -> adapter -> classifier -> logits (B, 1, H, W, D)

A *black-box* method touches only what comes after the backbone, so the backbone's features can be
computed once (`fmtutor.engine.features`); all others reach into the backbone.
"""

from typing import Literal

from torch import Tensor, nn

from fmtutor.core.axes import Image, Logits
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.swin_unetr import SwinUnetr

Kind = Literal["swin", "unet"]
KINDS: dict[type, Kind] = {SwinUnetr: "swin", GenesisUNet: "unet"}
"""The two backbones of the published tables."""


class FewShotNet(nn.Module):
    """A backbone, what a black-box method puts behind it, and a head with one output.

    Args:
        backbone: Swin UNETR or the U-Net of Models Genesis, of any width; it is used, not copied.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.kind: Kind = kind_of(backbone)
        self.backbone = backbone
        self.adapter: nn.Module = nn.Identity()
        self.classifier = LinearHead(backbone.out_channels, 1)  # type: ignore[arg-type]

    def head(self, features: Tensor) -> Logits:
        """Return the logits (B, 1, H, W, D) of features (B, E, H, W, D)."""
        return self.classifier(self.adapter(features))

    def forward(self, image: Image) -> Logits:
        """Return the logits (B, 1, H, W, D) of normalised images."""
        return self.head(self.backbone(image))


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
