"""A 2D image encoder turned into a 3D one, as 3DSAM-adapter does.

Almost all weights of a 2D vision transformer do not know how many axes an image has: attention and
perceptron act on tokens. What does know is replaced,

patches     the 2D patch convolution of every slice, then a convolution along depth alone
places      the 2D vectors of places, plus one learnt vector for each depth (zero at the start)
relative    a third table for depth, begun as the mean of the other two
windows     cubes, shifted by half a cube in every other block; no block attends to everything
adapters    before each block: down, convolution of 3^3 channel by channel, up, with a residual

and the old weights stay frozen.

Source: Gong et al., "3DSAM-adapter: Holistic Adaptation of SAM from 2D to 3D for Promptable Medical
Image Segmentation", 2023; shifted windows: Liu et al., "Swin Transformer", ICCV 2021.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.sam import INTENSITY, Shape
from fmtutor.nets.sam_start import fitted_table, start_from
from fmtutor.nets.vit import Block
from fmtutor.nets.window_attention import WindowAttention, join, split

LEVELS = 4
"""Depths of the encoder whose features are handed on."""
OWN = ("slice_embed.*", "depth_embed", "blocks.*.start.*", "necks.*")
"""Weights that no 2D encoder has."""
TRAINED = (*OWN, "blocks.*.norm1.*", "blocks.*.norm2.*", "blocks.*.attn.relative.2")
"""Weights that 3DSAM-adapter trains; all others stay as they came."""


class SpatialAdapter(nn.Module):
    """Look around in 3D, channel by channel, with a residual.

    The last step is a ReLU as published. It cannot begin at zero, where it gives no gradient.

    Args:
        features: Features of a token (E); half of them inside.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        inner = features // 2
        self.down, self.up = nn.Linear(features, inner), nn.Linear(inner, features)
        self.around = nn.Conv3d(inner, inner, 3, padding=1, groups=inner)

    def forward(self, x: Float[Tensor, "B h w d E"]) -> Float[Tensor, "B h w d E"]:
        """Return the tokens after the look."""
        inner = functional.relu(self.down(x)).movedim(-1, 1)
        mixed = functional.relu(self.around(inner)).movedim(1, -1)
        return x + functional.relu(self.up(mixed))


class ShiftedAttention(WindowAttention):
    """Attention in cubes that are shifted by some tokens.

    Swin rolls the grid and masks what met across the border; the windows that remain are those of
    a partition whose first window is shorter, which needs neither rolling nor a mask.

    Args:
        features: Features of a token (E).
        heads: Attention heads.
        window: Tokens along each side of a cube.
        shift: Tokens by which cubes are shifted; 0 for none.
    """

    def __init__(self, features: int, heads: int, *, window: int, shift: int) -> None:
        super().__init__(features, heads, reach=(window,) * 3, windowed=True)
        self.shift = shift

    def forward(self, x: Float[Tensor, "B h w d E"]) -> Float[Tensor, "B h w d E"]:
        """Return the attended tokens."""
        qkv, out = self.qkv(x), torch.empty_like(x)
        window = self.reach[0]
        along = [axis_pieces(size, window, self.shift) for size in x.shape[1:-1]]
        for h, height in along[0]:
            for w, width in along[1]:
                for d, depth in along[2]:
                    region, sides = (slice(None), h, w, d), (height, width, depth)
                    answer = self._attend(split(qkv[region], sides), sides)
                    out[region] = join(answer, sides, out[region].shape)
        return self.proj(out)


def axis_pieces(size: int, window: int, shift: int) -> list[tuple[slice, int]]:
    """Cut an axis into parts of equally long windows: a first short one, whole ones, a last one.

    Example:
        >>> axis_pieces(12, 8, 4)
        [(slice(0, 4, None), 4), (slice(4, 12, None), 8)]
    """
    first = min(shift, size)
    end = size - (size - first) % window
    pieces = [(slice(0, first), first), (slice(first, end), window), (slice(end, size), size - end)]
    return [(where, length) for where, length in pieces if where.stop > where.start]


class VolumeEncoder(nn.Module):
    """Volume to features at four depths of a 2D encoder made 3D.

    Args:
        shape: The 2D network.
        size: Voxels of the volume along H, W, D.
        scale: How many times finer the encoder sees it; its patches were made for larger images.
        window: Tokens along each side of an attention window.

    Raises:
        ValueError: The volume does not make whole patches.
    """

    def __init__(self, shape: Shape, size: Sequence[int], *, scale: int, window: int) -> None:
        super().__init__()
        if any(voxels * scale % shape.patch for voxels in size):
            raise ValueError(
                f"{scale} times a volume's sides must be multiples of the patch of {shape.patch}, "
                f"got {tuple(size)}; change size."
            )
        features, patch = shape.features, shape.patch
        tokens = [voxels * scale // patch for voxels in size]
        self.scale, self.intensity, self.in_channels = scale, shape.intensity, shape.in_channels
        self.patch_embed = nn.Conv2d(shape.in_channels, features, patch, stride=patch)
        self.slice_embed = nn.Conv3d(
            features, features, (1, 1, patch), stride=(1, 1, patch), groups=features
        )
        nn.init.constant_(self.slice_embed.weight, 1 / patch)
        nn.init.zeros_(self.slice_embed.bias)  # type: ignore[arg-type]
        self.pos_embed = nn.Parameter(torch.zeros(1, *tokens[:2], features))
        self.depth_embed = nn.Parameter(torch.zeros(1, tokens[2], features))
        self.blocks = nn.ModuleList()
        for number in range(shape.depth):
            shift = window // 2 if number % 2 == 0 else 0
            attention = ShiftedAttention(features, shape.heads, window=window, shift=shift)
            block = Block(features, attention)
            block.start = SpatialAdapter(features)
            self.blocks.append(block)
        self.ends = [-(-shape.depth * level // LEVELS) for level in range(1, LEVELS + 1)]
        self.necks = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(features, shape.prompt_features, 1, bias=False),
                nn.InstanceNorm3d(shape.prompt_features),
                nn.ReLU(),
            )
            for _ in range(LEVELS)
        )

    def forward(self, image: Float[Tensor, "B 1 H W D"]) -> list[Tensor]:
        """Return features (B, E, *tokens) after each quarter of the blocks."""
        x = self.tokens(self.seen(image)).movedim(1, -1)
        x = x + self.pos_embed.unsqueeze(3) + self.depth_embed[:, None, None]
        found = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            found += [neck(x.movedim(-1, 1)) for neck in self._necks_after(number)]
        return found

    def seen(self, image: Float[Tensor, "B 1 H W D"]) -> Float[Tensor, "B C H2 W2 D2"]:
        """Return the image as the 2D network knows its images: scale, channels, grey levels."""
        fine = functional.interpolate(image, scale_factor=self.scale, mode="trilinear")
        return INTENSITY[self.intensity](fine.expand(-1, self.in_channels, -1, -1, -1))

    def tokens(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E h w d"]:
        """Return the tokens; both convolutions are linear, so that one does the work of both."""
        along = self.slice_embed.weight[:, 0]  # (E, 1, 1, patch)
        weight = self.patch_embed.weight.unsqueeze(-1) * along[:, None]  # (E, C, p, p, p)
        assert self.patch_embed.bias is not None
        assert self.slice_embed.bias is not None
        bias = self.patch_embed.bias * along.flatten(1).sum(1) + self.slice_embed.bias
        return functional.conv3d(image, weight, bias, stride=self.patch_embed.kernel_size[0])

    def plain_tokens(self, image: Float[Tensor, "B C H W D"]) -> Float[Tensor, "B E h w d"]:
        """Return the same by slices: the published form."""
        flat = self.patch_embed(image.movedim(4, 1).flatten(0, 1))
        return self.slice_embed(flat.unflatten(0, (len(image), -1)).movedim(1, -1))

    def _necks_after(self, number: int) -> list[nn.Module]:
        pairs = zip(self.ends, self.necks, strict=True)
        return [neck for end, neck in pairs if end == number]


def inflate(encoder: VolumeEncoder, base: Mapping[str, Tensor]) -> None:
    """Copy a general 2D SAM's encoder into a 3D one.

    Args:
        encoder: Changed in place.
        base: State of the whole SAM; only its image encoder is read.

    Raises:
        ValueError: The two were not built of one `Shape`.
    """
    prefix = "image_encoder."
    flat = {
        name.removeprefix(prefix): value
        for name, value in base.items()
        if name.startswith(prefix) and not name.startswith(f"{prefix}neck.")
    }
    own = encoder.state_dict()
    for number in range(len(encoder.blocks)):
        table = f"blocks.{number}.attn.relative."
        if f"{table}1" in flat and f"{table}2" in own:
            distances = len(own[f"{table}2"])
            both = [fitted_table(flat[f"{table}{axis}"], distances) for axis in range(2)]
            flat |= {f"{table}0": both[0], f"{table}1": both[1], f"{table}2": sum(both) / 2}
    start_from(encoder, flat, new=OWN)
