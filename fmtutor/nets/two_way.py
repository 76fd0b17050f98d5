"""The two-way transformer of SAM's mask decoder: prompts read the image, the image reads prompts.

Each layer attends four times: tokens among themselves, tokens to the image, a perceptron on the
tokens, and the image to the tokens. Places are added to queries and keys at every attention, never
to values, so they are not forgotten on the way.

Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A, "Lightweight mask decoder".
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Rows = Float[Tensor, "B N E"]
Cells = Float[Tensor, "B cells E"]
Places = Float[Tensor, "#B cells E"]


class CrossAttention(nn.Module):
    """Multi-head attention of one set of rows to another, at a width of its own.

    Args:
        features: Features of a row.
        heads: Attention heads; they divide ``width``.
        width: Features inside; SAM attends between tokens and image at half width.
    """

    def __init__(self, features: int, heads: int, *, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(features, width)
        self.k_proj = nn.Linear(features, width)
        self.v_proj = nn.Linear(features, width)
        self.out_proj = nn.Linear(width, features)

    def forward(self, query: Rows, key: Cells, value: Cells) -> Rows:
        """Return one row for each query."""
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        q, k, v = (rows.unflatten(-1, (self.heads, -1)).transpose(1, 2) for rows in (q, k, v))
        out = functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Two linear layers with a ReLU between."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(features, hidden), nn.Linear(hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., features)."""
        return self.lin2(functional.relu(self.lin1(x)))


class TwoWayLayer(nn.Module):
    """One layer: self-attention, tokens to image, perceptron, image to tokens.

    Args:
        features: Features of tokens and image (E).
        heads: Attention heads.
        hidden: Features inside the perceptron.
        first: In the first layer the tokens still are their own places, which are not added again.
    """

    def __init__(self, features: int, heads: int, hidden: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = CrossAttention(features, heads, width=features)
        self.norm1 = nn.LayerNorm(features)
        self.cross_attn_token_to_image = CrossAttention(features, heads, width=features // 2)
        self.norm2 = nn.LayerNorm(features)
        self.mlp = Perceptron(features, hidden)
        self.norm3 = nn.LayerNorm(features)
        self.cross_attn_image_to_token = CrossAttention(features, heads, width=features // 2)
        self.norm4 = nn.LayerNorm(features)

    def forward(
        self, tokens: Rows, image: Cells, token_place: Rows, image_place: Places
    ) -> tuple[Rows, Cells]:
        """Return tokens and image after the layer."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_place
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        read = self.cross_attn_token_to_image(tokens + token_place, image + image_place, image)
        tokens = self.norm2(tokens + read)
        tokens = self.norm3(tokens + self.mlp(tokens))
        told = self.cross_attn_image_to_token(image + image_place, tokens + token_place, tokens)
        return tokens, self.norm4(image + told)


class TwoWayTransformer(nn.Module):
    """Two layers (or ``depth``), and a last look of the tokens at the image.

    Args:
        features: Features of tokens and image (E).
        heads: Attention heads.
        hidden: Features inside the perceptrons.
        depth: Layers.
    """

    def __init__(
        self, features: int, *, heads: int = 8, hidden: int = 2048, depth: int = 2
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayLayer(features, heads, hidden, first=number == 0) for number in range(depth)
        )
        self.final_attn_token_to_image = CrossAttention(features, heads, width=features // 2)
        self.norm_final_attn = nn.LayerNorm(features)

    def forward(self, tokens: Rows, image: Cells, image_place: Places) -> tuple[Rows, Cells]:
        """Return tokens (B, N, E) and image (B, cells, E) after all layers.

        Args:
            tokens: (B, N, E); what they are at the start is added as their place throughout.
            image: (B, cells, E).
            image_place: (B or 1, cells, E).
        """
        token_place: torch.Tensor = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_place, image_place)
        read = self.final_attn_token_to_image(tokens + token_place, image + image_place, image)
        return self.norm_final_attn(tokens + read), image


@torch.no_grad()
def match_places(transformer: TwoWayTransformer, sharpness: float) -> None:
    """Start the attentions between tokens and image with one projection for queries and keys.

    What is alike then attends to each other from the first step on, more sharply than by chance.
    It does not by itself make a click attend its own place: with many narrow heads the content of
    the image outweighs the Fourier features. The published SAM starts by chance.

    Args:
        transformer: Changed in place; only its initial weights are.
        sharpness: Factor on both projections.
    """
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]  # type: ignore[list-item]
    for attention in attentions:
        attention.q_proj.weight.mul_(sharpness)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.q_proj.bias.zero_()
        attention.k_proj.bias.zero_()
