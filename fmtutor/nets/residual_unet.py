"""DoDNet's residual U-Net: pre-activation blocks, group norm, weight-standardised convolutions.

Weight standardisation gives every kernel mean 0 and variance 1 before it is used. With group norm
it replaces batch norm where a batch is too small for statistics of its own: 3D patches.

Source: Zhang et al., DoDNet, CVPR 2021; Qiao et al., "Weight Standardization", 2019.
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class StandardisedConv(nn.Conv3d):
    """A convolution whose kernels have mean 0 and standard deviation 1, per output channel."""

    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.flatten(1)
        flat = flat - flat.mean(1, keepdim=True)
        kernel = (flat / (flat.var(1, keepdim=True) + 1e-12).sqrt()).view_as(self.weight)
        return functional.conv3d(x, kernel, self.bias, self.stride, self.padding)


def norm_and_relu(channels: int) -> list[nn.Module]:
    """Return a group norm of 16 groups (fewer where the channels do not divide) and a ReLU."""
    return [nn.GroupNorm(math.gcd(16, channels), channels), nn.ReLU()]


class ResidualBlock(nn.Module):
    """Twice norm, ReLU, convolution; the shortcut is projected where its shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *norm_and_relu(inputs),
            StandardisedConv(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            *norm_and_relu(outputs),
            StandardisedConv(outputs, outputs, 3, padding=1, bias=False),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            project = StandardisedConv(inputs, outputs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(*norm_and_relu(inputs), project)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class ResidualUNet(nn.Module):
    """The published network as a backbone: features of `channels[0]`, no head.

    Args:
        in_channels: Channels of the image.
        channels: Features per level; (32, 64, 128, 256, 256) as published.
        blocks: Residual blocks per level of the encoder; the decoder has one per level.

    Raises:
        ValueError: Channels and blocks differ in number, or there is one level only.

    Example:
        >>> ResidualUNet(1, channels=(4, 8), blocks=(1, 1)).divisor
        (2, 2, 2)
    """

    encoder_names = ("stem", "stages")
    """Children that make the encoder, shallow to deep."""
    decoder_names = ("fuse", "ups")
    """Children that make the decoder, deep to shallow."""

    def __init__(
        self,
        in_channels: int = 1,
        *,
        channels: Sequence[int] = (32, 64, 128, 256, 256),
        blocks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        blocks = (1, *[2] * (len(channels) - 1)) if blocks is None else tuple(blocks)
        if len(channels) != len(blocks) or len(channels) < 2:
            raise ValueError(
                f"channels and blocks need one entry per level, at least 2, not {len(channels)} "
                f"and {len(blocks)}; give them equal lengths."
            )
        self.stem = StandardisedConv(in_channels, channels[0], 3, padding=1, bias=False)
        inputs = (channels[0], *channels[:-1])
        self.stages = nn.ModuleList(
            _stage(i, o, depth, stride=1 if level == 0 else 2)
            for level, (i, o, depth) in enumerate(zip(inputs, channels, blocks, strict=True))
        )
        deep = channels[-1]
        half = channels[-2] // 2 if len(channels) > 2 else channels[0]
        fuse = StandardisedConv(deep, channels[-2], 1, bias=False)
        self.fuse = nn.Sequential(*norm_and_relu(deep), fuse)
        # Each block turns the sum with a skip into the width of the next finer skip.
        widths = [*channels[-3::-1], channels[0]] if len(channels) > 2 else [half]
        starts = [channels[-2], *widths[:-1]]
        self.ups = nn.ModuleList(ResidualBlock(i, o) for i, o in zip(starts, widths, strict=True))
        self.out_channels, self.bottleneck_channels = channels[0], deep
        self.level_channels = (*widths[::-1], deep)
        self.divisor = (2 ** (len(channels) - 1),) * 3

    def encode(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return the features of every level, shallow to deep."""
        if any(side % step for side, step in zip(image.shape[2:], self.divisor, strict=True)):
            raise ValueError(
                f"image sides must be multiples of {self.divisor}, not {tuple(image.shape[2:])}; "
                "pad the patch."
            )
        x, features = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> list[Tensor]:
        """Return decoded features, input resolution first."""
        x = self.fuse(features[-1])
        decoded: list[Tensor] = []
        for up, skipped in zip(self.ups, features[-2::-1], strict=True):
            x = up(functional.interpolate(x, scale_factor=2.0, mode="trilinear") + skipped)
            decoded.insert(0, x)
        return decoded

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return features at input resolution."""
        return self.decode(self.encode(image))[0]


def _stage(inputs: int, outputs: int, depth: int, *, stride: int) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride=stride)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs) for _ in range(depth - 1)))
