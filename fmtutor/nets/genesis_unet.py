"""The U-Net of Models Genesis, which CLIP-Driven, SuPreM and FSEFT publish weights for.

Four levels of two convolutions (32-64, 64-128, 128-256, 256-512 channels), each a convolution with
bias, a batch norm that takes the statistics of the batch in evaluation too (see
`fmtutor.nets.norms.BatchStatisticsNorm`), and a ReLU; max pooling down, transposed convolution up.
Module names are those of the published checkpoints, so that a loader needs no translation.

Source: Zhou et al., Models Genesis, Medical Image Analysis 2021; 19.08 M parameters, of which the
encoder has 7.03 M and the decoder 12.05 M.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.nets.norms import norm_layer


class GenesisConv(nn.Module):
    """Convolution with bias, norm, ReLU, under the published names."""

    def __init__(self, inputs: int, outputs: int, *, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.bn1 = norm_layer(norm, outputs)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.bn1(self.conv1(x)))


class GenesisDown(nn.Module):
    """One level of the encoder: to half its width, then to its width."""

    def __init__(self, inputs: int, outputs: int, *, norm: str) -> None:
        super().__init__()
        half = outputs // 2
        first = GenesisConv(inputs, half, norm=norm)
        self.ops = nn.Sequential(first, GenesisConv(half, outputs, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        return self.ops(x)


class GenesisUp(nn.Module):
    """One level of the decoder: up by 2 at full width, skip, two convolutions."""

    def __init__(self, inputs: int, outputs: int, *, norm: str) -> None:
        super().__init__()
        self.up_conv = nn.ConvTranspose3d(inputs, inputs, 2, stride=2)
        first = GenesisConv(inputs + outputs, outputs, norm=norm)
        self.ops = nn.Sequential(first, GenesisConv(outputs, outputs, norm=norm))

    def forward(self, coarse: Tensor, skipped: Tensor) -> Tensor:
        return self.ops(torch.cat((self.up_conv(coarse), skipped), 1))


class GenesisUNet(nn.Module):
    """The published layout as a backbone: features of 64 channels, no head.

    Args:
        in_channels: Channels of the image.
        width: Features of the first level; 64 is the published one, smaller is for trials.
        norm: "batch_statistics" as published; others for comparison.

    Example:
        >>> sum(p.numel() for p in GenesisUNet(1).parameters())
        19073600
    """

    encoder_names = ("down_tr64", "down_tr128", "down_tr256", "down_tr512")
    """Children that make the encoder, shallow to deep."""
    decoder_names = ("up_tr256", "up_tr128", "up_tr64")
    """Children that make the decoder, deep to shallow."""

    def __init__(
        self, in_channels: int = 1, *, width: int = 64, norm: str = "batch_statistics"
    ) -> None:
        super().__init__()
        w = width
        self.down_tr64 = GenesisDown(in_channels, w, norm=norm)
        self.down_tr128 = GenesisDown(w, 2 * w, norm=norm)
        self.down_tr256 = GenesisDown(2 * w, 4 * w, norm=norm)
        self.down_tr512 = GenesisDown(4 * w, 8 * w, norm=norm)
        self.up_tr256 = GenesisUp(8 * w, 4 * w, norm=norm)
        self.up_tr128 = GenesisUp(4 * w, 2 * w, norm=norm)
        self.up_tr64 = GenesisUp(2 * w, w, norm=norm)
        self.pool = nn.MaxPool3d(2)
        self.out_channels, self.bottleneck_channels = w, 8 * w
        self.divisor = (8, 8, 8)

    def encode(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return the features of the four levels, shallow to deep."""
        features = [self.down_tr64(image)]
        for name in self.encoder_names[1:]:
            features.append(getattr(self, name)(self.pool(features[-1])))
        return features

    def decode(self, features: list[Tensor]) -> list[Tensor]:
        """Return decoded features, input resolution first."""
        decoded: list[Tensor] = []
        x = features[-1]
        for name, skipped in zip(self.decoder_names, features[-2::-1], strict=True):
            x = getattr(self, name)(x, skipped)
            decoded.insert(0, x)
        return decoded

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return features at input resolution."""
        return self.decode(self.encode(image))[0]
