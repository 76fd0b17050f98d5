"""Prompts by what is seen where they are, in place of where they are.

SAM encodes a click by its coordinates. In a volume cut from anywhere coordinates say little, so
3DSAM-adapter takes the image's own features at the click as its token. With ten learnt tokens they
attend to each other; the image then reads those ten, and so learns what the clicked tissue is like.

Source: Gong et al., "3DSAM-adapter", 2023, section 3.3 (visual sampler).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.prompts import INSIDE, NOTHING, Prompts
from fmtutor.nets.class_decoder import rows_of
from fmtutor.nets.two_way import CrossAttention, Perceptron

QUERIES = 10


class VisualLayer(nn.Module):
    """Tokens of the clicks, then the image, are brought up to date.

    Args:
        features: Features of a token (E).
        heads: Attention heads.
        hidden: Features inside the perceptron.
    """

    def __init__(self, features: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(0.1 * torch.randn(1, QUERIES, features))
        self.self_attn = CrossAttention(features, heads, width=features)
        self.read = CrossAttention(features, heads, width=features // 2)
        self.mlp = Perceptron(features, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(features) for _ in range(4))

    def forward(
        self, image: Float[Tensor, "B cells E"], clicks: Float[Tensor, "B P E"]
    ) -> tuple[Float[Tensor, "B cells E"], Float[Tensor, "B P E"]]:
        """Return image and clicks after the layer; the image reads the learnt tokens alone."""
        tokens = torch.cat([self.queries.expand(len(clicks), -1, -1), clicks], 1)
        attended = self.norms[0](self.self_attn(tokens, tokens, tokens))
        tokens = self.norms[1](tokens + attended)
        queries, clicks = tokens[:, :QUERIES], tokens[:, QUERIES:]
        queries = self.norms[2](queries + self.mlp(queries))
        return self.norms[3](image + self.read(image, queries, queries)), clicks


class VisualPrompts(nn.Module):
    """Features that know what was clicked.

    Published clicks have no sign: all lie inside. Here one vector is added for each sign, which is
    zero at the start, so that corrections can say "not this".

    Args:
        features: Features of the image (E).
        heads: Attention heads.
        hidden: Features inside the perceptrons.
        depth: Layers.
    """

    def __init__(self, features: int, *, heads: int, hidden: int, depth: int = 2) -> None:
        super().__init__()
        self.signs = nn.Parameter(torch.zeros(2, features))
        self.no_point = nn.Parameter(torch.zeros(features))
        self.layers = nn.ModuleList(VisualLayer(features, heads, hidden) for _ in range(depth))

    def forward(
        self, image: Float[Tensor, "B E h w d"], prompts: Prompts, voxels: Sequence[int]
    ) -> Float[Tensor, "B E h w d"]:
        """Return the features after the clicks.

        Args:
            image: One row a question.
            prompts: Their points, in voxels of the volume.
            voxels: Voxels of the volume along each axis.
        """
        clicks = self.sampled(image, prompts, voxels)
        rows = rows_of(image)
        for layer in self.layers:
            rows, clicks = layer(rows, clicks)
        return rows.transpose(1, 2).reshape(image.shape)

    def sampled(
        self, image: Float[Tensor, "B E h w d"], prompts: Prompts, voxels: Sequence[int]
    ) -> Float[Tensor, "B P E"]:
        """Return the image's features at the clicks, interpolated, with their signs."""
        if not prompts.points.shape[1]:
            return image.new_zeros(len(image), 0, image.shape[1])
        size = torch.tensor(voxels, device=image.device)
        at = ((prompts.points.float() + 0.5) / size * 2 - 1).flip(-1)
        found = functional.grid_sample(
            image.float(), at[:, :, None, None], padding_mode="border", align_corners=False
        )
        kind = prompts.labels.unsqueeze(-1)
        signed = found[..., 0, 0].transpose(1, 2) + torch.where(
            kind == INSIDE, self.signs[1], self.signs[0]
        )
        return torch.where(kind == NOTHING, self.no_point, signed)
