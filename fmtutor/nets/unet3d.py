"""A 3D U-Net with an explicit split: encoder, decoder, and (elsewhere) a head.

The network of nnU-Net's plain kind: instance norm, LeakyReLU, strided convolutions down, one
skip per level. It ends in features at input resolution; what is predicted from them is a head's
affair (`fmtutor.nets.heads`), so pre-training, probing and adaptation share one backbone.

Source: Ronneberger et al. 2015; Isensee et al., Nature Methods 2021.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.norms import norm_layer

Stride = int | tuple[int, int, int]

ACTIVATIONS = {
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "gelu": nn.GELU,
}


class ConvBlock(nn.Sequential):
    """Convolution 3x3x3, norm, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: Stride = 1,
        norm: str = "instance",
        activation: str = "leaky_relu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm = norm_layer(norm, outputs)
        self.act = ACTIVATIONS[activation]()


class Up(nn.Module):
    """Reduce the channels on the coarse grid, where it is cheap, then go to the finer grid."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: tuple[int, int, int], mode: str
    ) -> None:
        super().__init__()
        self.scale, self.mode = stride, mode
        if mode == "transposed":
            self.conv: nn.Module = nn.ConvTranspose3d(inputs, outputs, stride, stride=stride)
        else:
            self.conv = nn.Conv3d(inputs, outputs, 1)

    def forward(self, coarse: Tensor) -> Tensor:
        fine = self.conv(coarse)
        if self.mode == "transposed":
            return fine
        return functional.interpolate(
            fine, scale_factor=tuple(map(float, self.scale)), mode=self.mode
        )


class UNetEncoder(nn.Module):
    """Levels of convolutions; each but the first starts with a strided one."""

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        strides: Sequence[Stride],
        convs: Sequence[int],
        **block: str,
    ) -> None:
        super().__init__()
        inputs = (in_channels, *channels[:-1])
        self.levels = nn.ModuleList(
            _stage(i, o, depth, stride=stride, **block)
            for i, o, depth, stride in zip(inputs, channels, convs, strides, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of every level, shallow to deep."""
        features = []
        for level in self.levels:
            image = level(image)
            features.append(image)
        return features


class UNetDecoder(nn.Module):
    """From the deepest level back to the input grid, taking in a skip at each level."""

    def __init__(
        self,
        channels: Sequence[int],
        *,
        strides: Sequence[Stride],
        convs: Sequence[int],
        up: str,
        skip: str,
        prompt_channels: int = 0,
        **block: str,
    ) -> None:
        super().__init__()
        self.skip = skip
        widths = [*channels[:-1], channels[-1] + prompt_channels]
        self.ups, self.levels = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(channels) - 1)):
            fine, coarse = widths[level], widths[level + 1]
            self.ups.append(Up(coarse, fine, stride=triple(strides[level + 1]), mode=up))
            inputs = 2 * fine if skip == "concat" else fine
            self.levels.append(_stage(inputs, fine, convs[level], stride=1, **block))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return the decoded features, shallow (input grid) to deep."""
        decoded: list[Tensor] = []
        x = features[-1]
        for up, level, skipped in zip(self.ups, self.levels, features[-2::-1], strict=True):
            x = up(x)
            x = level(torch.cat((skipped, x), 1) if self.skip == "concat" else x + skipped)
            decoded.insert(0, x)
        return decoded


class UNet3d(nn.Module):
    """Encoder and decoder; ``forward`` gives features at input resolution.

    Args:
        in_channels: Channels of the image.
        channels: Features per level, fine to coarse; a small first number makes a cheap net, as
            full-resolution convolutions take most of the time.
        strides: Per level, an int or (H, W, D); the first is that of the input, usually 1.
            Default: 2 at every level but the first.
        norm: "instance", "batch", "batch_statistics" (batch norm that uses the batch's
            statistics in evaluation too), "group" or "none".
        convs_per_level: One number, or one per level; the decoder takes the same.
        activation: "leaky_relu", "relu" or "gelu".
        up: "transposed", "trilinear" or "nearest".
        skip: "concat" or "add".
        prompt_channels: Channels that ``decode`` gets behind those of the bottleneck, for systems
            that tell the decoder what is asked; with any, encode and decode are called apart.

    Raises:
        ValueError: Options or lengths that do not fit.

    Example:
        >>> net = UNet3d(1, (4, 8, 16), strides=(1, (2, 2, 1), 2))
        >>> net.divisor, net(torch.zeros(1, 1, 8, 8, 6)).shape
        ((4, 4, 2), torch.Size([1, 4, 8, 8, 6]))
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        *,
        strides: Sequence[Stride] | None = None,
        norm: str = "instance",
        convs_per_level: int | Sequence[int] = 2,
        activation: str = "leaky_relu",
        up: str = "transposed",
        skip: str = "concat",
        prompt_channels: int = 0,
    ) -> None:
        super().__init__()
        strides = (1, *[2] * (len(channels) - 1)) if strides is None else tuple(strides)
        convs = (
            [convs_per_level] * len(channels)
            if isinstance(convs_per_level, int)
            else list(convs_per_level)
        )
        _check(channels, strides, convs, {"activation": activation, "up": up, "skip": skip})
        block = {"norm": norm, "activation": activation}
        self.encoder = UNetEncoder(in_channels, channels, strides=strides, convs=convs, **block)
        self.decoder = UNetDecoder(
            channels,
            strides=strides,
            convs=convs,
            up=up,
            skip=skip,
            prompt_channels=prompt_channels,
            **block,
        )
        self.out_channels = channels[0]
        self.bottleneck_channels = channels[-1]
        self.level_channels = tuple(channels)
        self.input_stride = triple(strides[0])
        sides = [triple(stride) for stride in strides]
        self.divisor = tuple(math.prod(side[axis] for side in sides) for axis in range(3))

    def encode(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return the features of every level, shallow to deep; the last is the bottleneck."""
        _check_sides(image, self.divisor)
        return self.encoder(image)

    def decode(self, features: list[Tensor]) -> list[Tensor]:
        """Return decoded features, input resolution first, for deep supervision."""
        decoded = self.decoder(features)
        decoded[0] = self.resize(decoded[0])
        return decoded

    def finest(self, features: list[Tensor]) -> Tensor:
        """Return the finest decoded features on the grid that the decoder ends on."""
        return self.decoder(features)[0]

    def resize(self, maps: Tensor) -> Tensor:
        """Return maps of the decoder's finest grid at input resolution.

        A linear head may be applied before or after: both are linear maps. A head with hidden
        layers is cheaper before.
        """
        if self.input_stride == (1, 1, 1):
            return maps
        scale = tuple(map(float, self.input_stride))
        return functional.interpolate(maps, scale_factor=scale, mode="trilinear")

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return features at input resolution, ``out_channels`` of them."""
        return self.decode(self.encode(image))[0]


def triple(stride: Stride) -> tuple[int, int, int]:
    """Return a stride as (H, W, D)."""
    return (stride, stride, stride) if isinstance(stride, int) else tuple(stride)  # type: ignore[return-value]


def _stage(
    inputs: int, outputs: int, depth: int, *, stride: Stride = 1, norm: str, activation: str
) -> nn.Sequential:
    first = ConvBlock(inputs, outputs, stride=stride, norm=norm, activation=activation)
    rest = (ConvBlock(outputs, outputs, norm=norm, activation=activation) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


def _check(
    channels: Sequence[int], strides: Sequence[Stride], convs: list[int], options: dict[str, str]
) -> None:
    if not len(channels) == len(strides) == len(convs) or len(channels) < 2:
        raise ValueError(
            f"channels, strides and convs_per_level need one entry per level, at least 2, not "
            f"{len(channels)}, {len(strides)} and {len(convs)}; give them equal lengths."
        )
    allowed = {
        "activation": tuple(ACTIVATIONS),
        "up": ("transposed", "trilinear", "nearest"),
        "skip": ("concat", "add"),
    }
    for name, value in options.items():
        if value not in allowed[name]:
            raise ValueError(
                f"{name} must be one of {allowed[name]}, not {value!r}; pick one of them."
            )


def _check_sides(image: Tensor, divisor: tuple[int, ...]) -> None:
    if any(side % step for side, step in zip(image.shape[2:], divisor, strict=True)):
        raise ValueError(
            f"image sides must be multiples of {divisor}, not {tuple(image.shape[2:])}; "
            "pad the patch."
        )
