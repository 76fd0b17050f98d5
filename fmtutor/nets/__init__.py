"""Networks: backbones with an encoder and a decoder, heads, norms, and what is trainable.

Every backbone is ``forward(image) -> features (B, E, H, W, D)`` at input resolution, with
``out_channels`` (E), ``bottleneck_channels``, ``divisor`` (its input's sides must be multiples of
it) and ``encode(image) -> features, shallow to deep``. What is predicted from the features is the
affair of a head.
"""

from collections.abc import Callable

from torch import nn

from fmtutor.nets.cheap_unets import half_unet3d, lean_unet3d
from fmtutor.nets.genesis_unet import GenesisUNet
from fmtutor.nets.residual_unet import ResidualUNet
from fmtutor.nets.resnet3d import ResNet3d
from fmtutor.nets.segresnet import SegResNet
from fmtutor.nets.swin_unetr import SwinUnetr, small_swin_unetr
from fmtutor.nets.unet3d import UNet3d

BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "unet3d": UNet3d,
    "lean_unet3d": lean_unet3d,
    "half_unet3d": half_unet3d,
    "genesis_unet": GenesisUNet,
    "residual_unet": ResidualUNet,
    "resnet3d": ResNet3d,
    "segresnet": SegResNet,
    "swin_unetr": SwinUnetr,
    "small_swin_unetr": small_swin_unetr,
}
"""Backbones by name; each is built with plain keyword arguments."""

__all__ = ["BACKBONES"]
