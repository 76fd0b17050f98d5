"""SAM's image encoder: a vision transformer over a grid of patches, in 2D and 3D.

Patches become tokens, most blocks attend within windows and a few to the whole grid, and a neck
of two convolutions brings the features to the width of the prompts. The plain form of a window is
in `fmtutor.nets.window_attention`.

Two things are not in the published SAM, and off unless asked for: a stem of convolutions in place
of the one large patch convolution, and its maps handed to the mask decoder as details (as SAM 2
hands on those of its hierarchical encoder). A network from scratch needs far fewer steps with them.

Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A; Li et al., "Exploring Plain
Vision Transformer Backbones for Object Detection", ECCV 2022; stem: Xiao et al., "Early
Convolutions Help Transformers See Better", NeurIPS 2021; details: Ravi et al., "SAM 2", 2024.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.window_attention import Tokens, WindowAttention

Map = Float[Tensor, "B C *grid"]
CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONV = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a map (B, C, *grid), at each place by itself."""

    def __init__(self, channels: int, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Map) -> Map:
        """Return the normalised map."""
        last = functional.layer_norm(
            x.movedim(1, -1), self.weight.shape, self.weight, self.bias, self.eps
        )
        return last.movedim(-1, 1)


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(features, hidden), nn.Linear(hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., features)."""
        return self.lin2(functional.gelu(self.lin1(x)))


class Block(nn.Module):
    """One transformer block: attention, then a perceptron, each with a residual.

    Adapters are put into three places that are empty in SAM itself: ``start`` and ``middle``
    (functions of all tokens, before the attention and before the perceptron) and ``beside``
    (added to the perceptron's answer, from the same normed tokens).

    Args:
        features: Features of a token.
        attention: What attends.
    """

    def __init__(self, features: int, attention: WindowAttention) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(features, eps=1e-6)
        self.attn = attention
        self.norm2 = nn.LayerNorm(features, eps=1e-6)
        self.mlp = Mlp(features, 4 * features)
        self.start: nn.Module = nn.Identity()
        self.middle: nn.Module = nn.Identity()
        self.beside: nn.Module | None = None

    def forward(self, x: Tokens, *, plain: bool = False) -> Tokens:
        """Return the tokens after the block; ``plain`` computes padded tokens as tokens."""
        x = self.start(x)
        x = x + (self.attn.plain if plain else self.attn)(self.norm1(x))
        x = self.middle(x)
        normed = self.norm2(x)
        added = self.mlp(normed)
        return x + added if self.beside is None else x + added + self.beside(normed)


class ImageEncoder(nn.Module):
    """Image to embedding.

    Args:
        image: Voxels along each axis; 2 or 3 axes. Smaller images are allowed without absolute
            positions.
        patch: Voxels along each side of a patch.
        in_channels: Channels of the image.
        features: Features of a token (E).
        depth: Blocks.
        heads: Attention heads.
        out_features: Channels of the embedding.
        window: Tokens along each side of a window.
        global_blocks: Numbers of the blocks that attend to the whole grid.
        positions: Way of the relative positions, see `WindowAttention`.
        absolute: Whether a learnt vector is added at each place.
        stem: Channels of a stem of stride-2 convolutions, one for each halving but the last, which
            leads to the tokens; empty for SAM's one convolution.
    """

    def __init__(
        self,
        image: Sequence[int],
        *,
        patch: int,
        in_channels: int,
        features: int,
        depth: int,
        heads: int,
        out_features: int,
        window: int,
        global_blocks: Sequence[int],
        positions: str = "correct",
        absolute: bool = True,
        stem: Sequence[int] = (),
    ) -> None:
        super().__init__()
        dims, self.patch = len(image), patch
        grid = [size // patch for size in image]
        self.stem = _stem(in_channels, stem, dims)
        left = patch // 2 ** len(stem)  # what the stem leaves to the patch convolution
        channels = stem[-1] if stem else in_channels
        self.patch_embed = CONV[dims](channels, features, left, stride=left)
        self.pos_embed = nn.Parameter(torch.zeros(1, *grid, features)) if absolute else None
        reaches = [grid if n in global_blocks else [window] * dims for n in range(depth)]
        self.blocks = nn.ModuleList(
            Block(
                features,
                WindowAttention(
                    features,
                    heads,
                    reach=reach,
                    windowed=n not in global_blocks,
                    positions=positions,
                ),
            )
            for n, reach in enumerate(reaches)
        )
        self.neck = nn.Sequential(
            CONV[dims](features, out_features, 1, bias=False),
            ChannelNorm(out_features),
            CONV[dims](out_features, out_features, 3, padding=1, bias=False),
            ChannelNorm(out_features),
        )

    def forward(
        self, image: Map, *, plain: bool = False
    ) -> tuple[Float[Tensor, "B E *tokens"], list[Tensor]]:
        """Return the embedding (B, E, *tokens) and the maps of the stem, finest first.

        Args:
            image: (B, C, *grid); each side a multiple of the patch.
            plain: Compute padded tokens as tokens.

        Raises:
            ValueError: A side is no multiple of the patch.
        """
        if any(size % self.patch for size in image.shape[2:]):
            raise ValueError(
                f"an image's sides must be multiples of the patch of {self.patch} voxels, got "
                f"{tuple(image.shape[2:])}; crop or pad it."
            )
        details = []
        for layer in self.stem:
            image = layer(image)
            details.append(image)
        x = self.patch_embed(image).movedim(1, -1)
        if self.pos_embed is not None:
            x = x + self.pos_embed
        for block in self.blocks:
            x = block(x, plain=plain)
        return self.neck(x.movedim(-1, 1)), details


def _stem(in_channels: int, channels: Sequence[int], dims: int) -> nn.ModuleList:
    """Return convolutions that halve the image: each with another one, normed and activated.

    The norm is of each channel over the image (instance norm), as in the U-Nets here: right behind
    a grey image, a norm over the channels of a voxel takes out most of how bright it is. What that
    is worth was not measured.
    """
    widths = [in_channels, *channels]
    return nn.ModuleList(
        nn.Sequential(
            CONV[dims](before, after, 3, stride=2, padding=1),
            NORM[dims](after, affine=True),
            nn.GELU(),
            CONV[dims](after, after, 3, padding=1),
            NORM[dims](after, affine=True),
            nn.GELU(),
        )
        for before, after in itertools.pairwise(widths)
    )
