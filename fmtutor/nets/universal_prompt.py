"""A prompt volume shared by all tasks, and a head whose logits are relative to the background.

Source: Ye et al., "UniSeg", MICCAI 2023.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.axes import Logits
from fmtutor.nets.build import backbone
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.unet3d import ConvBlock, UNet3d

UNETS = ("unet3d", "lean_unet3d", "half_unet3d")
"""Backbones whose decoder takes a prompt."""


def prompted_unet(name: str, channels: Sequence[int], **options: Any) -> UNet3d:
    """Return a U-Net whose decoder takes ``prompt_channels`` behind those of the bottleneck.

    Raises:
        ValueError: The backbone of this name takes no prompt.
    """
    if name not in UNETS:
        raise ValueError(f"the decoder must take a prompt, got {name!r}; choose one of {UNETS}.")
    return cast(UNet3d, backbone(name, channels, **options))


class UniversalPrompt(nn.Module):
    """The prompt volume P and the convolutions, FUSE, that make every task's prompt from it.

    Args:
        features: Channels of the bottleneck.
        tasks: Number of tasks, T.
        width: Channels inside FUSE.
        patch: Voxels of the images; the volume has one place per voxel of their bottleneck.
        divisor: Voxels of the image per voxel of the bottleneck, along each axis.

    Raises:
        ValueError: The divisor does not divide the patch.
    """

    def __init__(
        self,
        features: int,
        tasks: int,
        *,
        width: int,
        patch: tuple[int, int, int],
        divisor: Sequence[int],
    ) -> None:
        super().__init__()
        if any(side % step for side, step in zip(patch, divisor, strict=True)):
            raise ValueError(
                f"the prompt needs patch sides that are multiples of {divisor}, not {patch}; "
                "change the patch."
            )
        self.patch, self.divisor = patch, tuple(divisor)
        grid = (side // step for side, step in zip(patch, divisor, strict=True))
        self.volume = nn.Parameter(torch.randn(1, tasks, *grid))
        self.fuse = nn.Sequential(
            ConvBlock(features + tasks, width), ConvBlock(width, width), ConvBlock(width, tasks)
        )

    def forward(self, bottleneck: Float[Tensor, "B E h w d"]) -> Float[Tensor, "B T h w d"]:
        """Return the task prompts of each image.

        Raises:
            ValueError: The image had another size than the patch.
        """
        if bottleneck.shape[2:] != self.volume.shape[2:]:
            sides = zip(bottleneck.shape[2:], self.divisor, strict=True)
            raise ValueError(
                f"images must have the {self.patch} voxels of the patch that the prompt was made "
                f"for, not {tuple(side * step for side, step in sides)}; use windows of that "
                "size, or build and train with another patch."
            )
        volume = self.volume.expand(len(bottleneck), -1, -1, -1, -1)
        return self.fuse(torch.cat((bottleneck, volume), 1))


class AgainstBackground(LinearHead):
    """A linear head with a background, channel 0; it returns z_k - z_0 for the classes alone.

    The softmax over all channels is the one over these differences and a background of 0.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels, classes + 1)

    def expect(self, prior: float) -> None:
        """Set the biases so that each class starts from this probability against the background."""
        super().expect(prior)
        with torch.no_grad():
            self.bias[0] = 0

    def forward(self, features: Float[Tensor, "B E H W D"]) -> Logits:
        """Return the logits of the classes relative to the background's."""
        z = super().forward(features)
        return z[:, 1:] - z[:, :1]
