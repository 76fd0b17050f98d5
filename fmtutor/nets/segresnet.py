"""SegResNet as a backbone: MONAI's network without its output convolution, under its own names.

Residual blocks before each norm (pre-activation), additive skips, trilinear up-sampling. SuPreM
publishes it with 16 first filters (4.70 M parameters).

Source: Myronenko 2018, arXiv 1810.11654. Base network: MONAI (Apache-2.0).
"""

import math

from jaxtyping import Float
from monai.networks.nets.segresnet import SegResNet as MonaiSegResNet
from torch import Tensor, nn


class SegResNet(nn.Module):
    """SegResNet; ``forward`` gives normalised, rectified features at input resolution.

    The published ``conv_final`` is norm, ReLU, 1^3 convolution: its first two stay here under the
    same name, the third (``conv_final.2.conv``) is a head.

    Args:
        in_channels: Channels of the image.
        filters: Features of the first level; 16 in the published weights. Group norm has
            8 groups as published, or the largest divisor of 8 that fits.
        blocks_down: Residual blocks per level of the encoder.
        blocks_up: The same of the decoder, one level fewer.
    """

    encoder_names = ("convInit", "down_layers")
    """Children that make the encoder."""
    decoder_names = ("up_samples", "up_layers", "conv_final")
    """Children that make the decoder."""

    def __init__(
        self,
        in_channels: int = 1,
        *,
        filters: int = 16,
        blocks_down: tuple[int, ...] = (1, 2, 2, 4),
        blocks_up: tuple[int, ...] = (1, 1, 1),
    ) -> None:
        super().__init__()
        whole = MonaiSegResNet(
            in_channels=in_channels,
            init_filters=filters,
            norm=("GROUP", {"num_groups": math.gcd(8, filters)}),
            blocks_down=blocks_down,
            blocks_up=blocks_up,
        )
        self.convInit = whole.convInit
        self.down_layers, self.up_samples = whole.down_layers, whole.up_samples
        self.up_layers = whole.up_layers
        self.conv_final = whole.conv_final[:2]
        self.out_channels = filters
        self.bottleneck_channels = filters * 2 ** (len(blocks_down) - 1)
        self.divisor = (2 ** (len(blocks_down) - 1),) * 3

    def encode(self, image: Float[Tensor, "B C H W D"]) -> list[Tensor]:
        """Return the features of every level, shallow to deep."""
        if any(side % step for side, step in zip(image.shape[2:], self.divisor, strict=True)):
            raise ValueError(
                f"image sides must be multiples of {self.divisor}, not {tuple(image.shape[2:])}; "
                "pad the patch."
            )
        x, features = self.convInit(image), []
        for level in self.down_layers:
            x = level(x)
            features.append(x)
        return features

    def decode(self, features: list[Tensor]) -> list[Tensor]:
        """Return decoded features, input resolution first."""
        decoded: list[Tensor] = []
        x = features[-1]
        steps = zip(self.up_samples, self.up_layers, features[-2::-1], strict=True)
        for up, level, skipped in steps:
            x = level(up(x) + skipped)
            decoded.insert(0, x)
        return [self.conv_final(decoded[0]), *decoded[1:]]

    def forward(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E H W D"]:
        """Return features at input resolution."""
        return self.decode(self.encode(image))[0]
