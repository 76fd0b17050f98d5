"""A prompt volume shared by all tasks, and a head whose logits are relative to the background.

Source: Ye et al., "UniSeg", MICCAI 2023.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.axes import Logits
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.unet3d import ConvBlock


class UniversalPrompt(nn.Module):
    """The prompt volume P and FUSE.

    Args:
        features: Channels of the bottleneck.
        tasks: Number of tasks, T.
        grid: Voxels of the bottleneck of a patch.
        width: Channels inside FUSE.
    """

    def __init__(
        self, features: int, tasks: int, *, grid: tuple[int, int, int], width: int
    ) -> None:
        super().__init__()
        self.volume = nn.Parameter(torch.randn(1, tasks, *grid))
        self.fuse = nn.Sequential(
            ConvBlock(features + tasks, width), ConvBlock(width, width), ConvBlock(width, tasks)
        )

    def forward(self, bottleneck: Float[Tensor, "B E h w d"]) -> Float[Tensor, "B T h w d"]:
        """Return the task prompts of each image."""
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
