"""SAM-Med2D's adapter: a gate over channels and a look at half resolution, beside the perceptron.

The encoder of SAM stays as it is; one small module in every block learns what pictures of the
body need. Its answer is added to the perceptron's, from the same normed tokens.

Source: Cheng et al., "SAM-Med2D", 2023, section 3.2. The published one is 2D; it works in 3D alike.
"""

from typing import cast

from torch import nn

from fmtutor.nets.vit import CONV, UP_CONV, Block, ImageEncoder
from fmtutor.nets.window_attention import Tokens

SQUEEZE = 4
"""How many times fewer features the gate has inside."""


class GatedAdapter(nn.Module):
    """Gate the channels by their means, look around at half resolution, add, norm.

    As published the answer is normed last, so it does not start at zero: the adapters change the
    encoder before the first step.

    Args:
        features: Features of a token.
        dims: Axes of the grid of tokens.
    """

    def __init__(self, features: int, dims: int = 2) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            nn.Linear(features, features // SQUEEZE, bias=False),
            nn.ReLU(),
            nn.Linear(features // SQUEEZE, features, bias=False),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(
            CONV[dims](features, features, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            UP_CONV[dims](features, features, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )
        self.norm = nn.LayerNorm(features)
        for module in (*self.channel, *self.spatial):
            if hasattr(module, "weight"):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tokens) -> Tokens:
        """Return what is added to the tokens.

        Raises:
            ValueError: The grid has an odd side, which half the resolution does not give back.
        """
        grid = x.shape[1:-1]
        if any(size % 2 for size in grid):
            raise ValueError(
                f"gated adapters need an even number of tokens along each axis, got "
                f"{tuple(grid)}; choose an image of a multiple of two patches."
            )
        gate = self.channel(x.flatten(1, -2).mean(1))  # (B, E)
        gated = x * gate.view(len(x), *[1] * len(grid), -1)
        around = self.spatial(gated.movedim(-1, 1)).movedim(1, -1)
        return self.norm(x + around)


def add_gated_adapters(encoder: ImageEncoder) -> list[GatedAdapter]:
    """Put an adapter into every block of an image encoder, and return them.

    Raises:
        ValueError: A block has something beside its perceptron already.
    """
    dims = len(encoder.patch_embed.kernel_size)
    blocks = [cast(Block, block) for block in encoder.blocks]
    for number, block in enumerate(blocks):
        if block.beside is not None:
            raise ValueError(
                f"one adapter fits beside a perceptron, and block {number} has "
                f"{type(block.beside).__name__}; build a new encoder."
            )
    adapters = []
    for block in blocks:
        adapter = GatedAdapter(block.norm1.normalized_shape[0], dims)
        block.beside = adapter
        adapters.append(adapter)
    return adapters
