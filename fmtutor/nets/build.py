"""A backbone from two plain values, so that a configuration can name it."""

from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import Any

from torch import nn

from fmtutor.core.tables import lookup
from fmtutor.nets import BACKBONES

SIZES: dict[str, Callable[[Sequence[int]], dict]] = {
    "unet3d": lambda channels: {"channels": tuple(channels)},
    "lean_unet3d": lambda channels: {"channels": tuple(channels)},
    "half_unet3d": lambda channels: {"channels": tuple(channels)},
    "genesis_unet": lambda channels: {"width": channels[0]},
    "residual_unet": lambda channels: {"channels": tuple(channels)},
    "resnet3d": lambda channels: {"width": channels[0] / 64, "decoder_width": channels[0]},
    "segresnet": lambda channels: {"filters": channels[0]},
    "swin_unetr": lambda channels: {"feature_size": channels[0]},
    "small_swin_unetr": lambda channels: {"feature_size": channels[0]},
}
"""What the channels mean to each backbone."""


def backbone(name: str, channels: Sequence[int], **options: Any) -> nn.Module:
    """Build a backbone for images of one channel.

    Args:
        name: One of `fmtutor.nets.BACKBONES`.
        channels: Features per level of the U-Nets "unet3d", "lean_unet3d", "half_unet3d" and
            "residual_unet"; of the others the first number alone counts (feature size of Swin
            UNETR, filters of SegResNet, stem of the ResNet, width of the Models Genesis U-Net).
        options: Further keyword arguments of that backbone.

    Raises:
        ValueError: The name is not known.

    Example:
        >>> backbone("unet3d", (4, 8)).out_channels
        4
    """
    build = resolve_name(lookup(BACKBONES, name, "backbone"))
    return build(in_channels=1, **SIZES[name](channels), **options)
