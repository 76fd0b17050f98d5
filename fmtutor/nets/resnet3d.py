"""The 3D ResNet of Med3D: dilated to output stride 8, with a light decoder beside it.

Encoder: a 7^3 convolution of stride 2 and a max pool, then four stages with strides 1, 2, 1, 1 and
dilations 1, 1, 2, 4: the last two see further instead of shrinking. Names are MedicalNet's
(``conv1``, ``bn1``, ``layer1.0.conv1``, ...), so its weights load into ``.encoder`` once the prefix
``module.`` is gone.

Source: Chen et al., Med3D, arXiv 1904.00625; MedicalNet repository (MIT).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.tables import unknown_name
from fmtutor.nets.norms import norm_layer
from fmtutor.nets.unet3d import ConvBlock

DEPTHS: dict[int, tuple[int, int, int, int]] = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Residual blocks per stage; 50 and deeper have bottleneck blocks."""

SHORTCUT_A = (18, 34)
"""Published depths whose shortcuts have no parameters."""


class PaddedShortcut(nn.Module):
    """Shortcut of type A: subsample, and fill the new channels with zeros."""

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = outputs, stride

    def forward(self, x: Tensor) -> Tensor:
        step = self.stride
        x = x[:, :, ::step, ::step, ::step]
        return functional.pad(x, (0, 0, 0, 0, 0, 0, 0, self.outputs - x.shape[1]))


class BasicBlock(nn.Module):
    """Two 3^3 convolutions and a shortcut."""

    expansion = 1

    def __init__(
        self, inputs: int, planes: int, *, stride: int, dilation: int, norm: str, shortcut: str
    ) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, planes, 3, stride=stride, dilation=dilation)
        self.bn1 = norm_layer(norm, planes)
        self.conv2 = _conv(planes, planes, 3, dilation=dilation)
        self.bn2 = norm_layer(norm, planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, planes, stride=stride, norm=norm, kind=shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + self.downsample(x))


class BottleneckBlock(nn.Module):
    """1^3 to narrow, 3^3, 1^3 to four times the width, and a shortcut."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, *, stride: int, dilation: int, norm: str, shortcut: str
    ) -> None:
        super().__init__()
        wide = planes * self.expansion
        self.conv1 = _conv(inputs, planes, 1)
        self.bn1 = norm_layer(norm, planes)
        self.conv2 = _conv(planes, planes, 3, stride=stride, dilation=dilation)
        self.bn2 = norm_layer(norm, planes)
        self.conv3 = _conv(planes, wide, 1)
        self.bn3 = norm_layer(norm, wide)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, wide, stride=stride, norm=norm, kind=shortcut)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class ResNetEncoder(nn.Module):
    """MedicalNet's encoder, under its names.

    Args:
        depth: One of `DEPTHS`.
        in_channels: Channels of the image.
        width: Factor on the published widths 64, 128, 256, 512.
        norm: "batch" as published, with running statistics; see `fmtutor.nets.norms`.
        shortcut: "A" (no parameters) or "B" (1^3 convolution); by default that of the published
            weights of this depth.

    Raises:
        ValueError: The depth or the shortcut is not known.
    """

    def __init__(
        self,
        depth: int,
        *,
        in_channels: int = 1,
        width: int | float = 1.0,
        norm: str = "batch",
        shortcut: str | None = None,
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise unknown_name(str(depth), map(str, DEPTHS), "ResNet depth")
        kind = shortcut or ("A" if depth in SHORTCUT_A else "B")
        if kind not in ("A", "B"):
            raise ValueError(f"shortcut must be 'A' or 'B', not {kind!r}; pick one of them.")
        block = BottleneckBlock if depth >= 50 else BasicBlock
        planes = [max(1, int(size * width)) for size in (64, 128, 256, 512)]
        self.conv1 = _conv(in_channels, planes[0], 7, stride=2)
        self.bn1 = norm_layer(norm, planes[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        inputs = planes[0]
        for stage, (size, count) in enumerate(zip(planes, DEPTHS[depth], strict=True)):
            stride, dilation = (1, 2, 1, 1)[stage], (1, 1, 2, 4)[stage]
            layer = []
            for index in range(count):
                step = stride if index == 0 else 1
                layer.append(
                    block(inputs, size, stride=step, dilation=dilation, norm=norm, shortcut=kind)
                )
                inputs = size * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.level_channels = (planes[0], *(size * block.expansion for size in planes))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the stem (stride 2), stage 1 (stride 4) and stages 2, 3, 4 (stride 8)."""
        features = [self.relu(self.bn1(self.conv1(image)))]
        x = self.maxpool(features[0])
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = getattr(self, name)(x)
            features.append(x)
        return features


class LightDecoder(nn.Module):
    """From stride 8 to the input grid in three small steps, with skips at strides 4 and 2.

    Args:
        level_channels: Of the encoder.
        width: Features of the decoder at every step.
        norm: See `fmtutor.nets.norms`.
    """

    def __init__(
        self, level_channels: Sequence[int], *, width: int = 32, norm: str = "batch"
    ) -> None:
        super().__init__()
        stem, first, deep = level_channels[0], level_channels[1], level_channels[-1]
        self.reduce = nn.Conv3d(deep, width, 1)
        self.fuse4 = ConvBlock(width + first, width, norm=norm, activation="relu")
        self.fuse2 = ConvBlock(width + stem, width, norm=norm, activation="relu")
        self.out_channels = width

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return features at input resolution from `ResNetEncoder`'s list."""
        x = self.reduce(features[-1])
        x = self.fuse4(torch.cat((_up(x), features[1]), 1))
        x = self.fuse2(torch.cat((_up(x), features[0]), 1))
        return _up(x)


class ResNet3d(nn.Module):
    """ResNet encoder and light decoder as a backbone.

    Args:
        depth: One of `DEPTHS`.
        decoder_width: Features at input resolution.
        encoder: Other arguments of `ResNetEncoder`.
    """

    def __init__(
        self, depth: int = 10, *, decoder_width: int = 32, **encoder: int | float | str | None
    ) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(depth, **encoder)  # type: ignore[arg-type]
        norm = str(encoder.get("norm", "batch"))
        channels = self.encoder.level_channels
        self.decoder = LightDecoder(channels, width=decoder_width, norm=norm)
        self.out_channels, self.bottleneck_channels = decoder_width, channels[-1]
        self.divisor = (8, 8, 8)

    def encode(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return features at strides 2, 4, 8, 8, 8, shallow to deep."""
        return self.encoder(image)

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return features at input resolution."""
        return self.decoder(self.encode(image))


def _up(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="trilinear")


def _conv(inputs: int, outputs: int, size: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv3d:
    padding = dilation * (size // 2)
    return nn.Conv3d(
        inputs, outputs, size, stride=stride, padding=padding, dilation=dilation, bias=False
    )


def _shortcut(inputs: int, outputs: int, *, stride: int, norm: str, kind: str) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if kind == "A":
        return PaddedShortcut(outputs, stride)
    return nn.Sequential(_conv(inputs, outputs, 1, stride=stride), norm_layer(norm, outputs))
