"""A light decoder over four depths of an encoder, whose work before the prompt is kept.

Each depth passes two convolutions and is doubled in resolution; all of them and the image itself
are then joined by two more convolutions. Only the deepest features know of the prompt, and a
convolution of joined maps is a sum of convolutions, so everything else is computed once an image:

    conv([a, b]; W) = conv(a; W_a) + conv(b; W_b)

Source: multi-layer aggregation: Zheng et al., "SETR", CVPR 2021, as in Gong et al.,
"3DSAM-adapter", 2023.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

DOUBLING = 2


class AggregationDecoder(nn.Module):
    """Features at four depths and the image to logits of one structure.

    Args:
        features: Features at each depth (E).
        inner: Features inside; 128 in 3DSAM-adapter.
        levels: Depths.
    """

    def __init__(self, features: int, inner: int, *, levels: int = 4) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(*_conv(features, inner), *_conv(inner, inner)) for _ in range(levels)
        )
        self.joined = nn.Conv3d(levels * inner + 1, inner, 3, padding=1, bias=False)
        self.norm = nn.InstanceNorm3d(inner)
        self.out = nn.Conv3d(inner, 2, 3, padding=1, bias=False)

    def before(
        self, levels: Sequence[Tensor], image: Float[Tensor, "B 1 H W D"]
    ) -> Float[Tensor, "B M h w d"]:
        """Return what all depths but the deepest, and the image, add to the joined features."""
        maps = [_doubled(head(x)) for head, x in zip(self.heads, levels, strict=False)]
        small = functional.interpolate(image, size=maps[0].shape[2:], mode="trilinear")
        known = torch.cat([*maps, small], 1)
        return functional.conv3d(known, self.joined.weight[:, : known.shape[1]], padding=1)

    def after(
        self, before: Float[Tensor, "B M h w d"], deepest: Float[Tensor, "B E h2 w2 d2"]
    ) -> Float[Tensor, "B 1 h w d"]:
        """Return logits at twice the tokens' resolution: structure less background.

        Args:
            before: Of the images, one row a question.
            deepest: The deepest features, after the prompt.
        """
        last = _doubled(self.heads[-1](deepest))
        weight = self.joined.weight[:, -last.shape[1] :]
        joined = before + functional.conv3d(last, weight, padding=1)
        both = self.out(functional.relu(self.norm(joined)))
        return both[:, 1:] - both[:, :1]


def _conv(features: int, inner: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv3d(features, inner, 3, padding=1, bias=False)
    return conv, nn.InstanceNorm3d(inner), nn.ReLU()


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=DOUBLING, mode="trilinear", align_corners=True)
