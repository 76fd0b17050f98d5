"""Prior fusion: learned tokens read an image's features, then the features read the tokens.

The pieces of Hermes' network. Every *place* (a level of a U-Net) has tables of its own: one task
token per class, and a few modality tokens per modality. A sample brings the tokens of its task and
of its modality, together P, to the features X of the place:

    P <- P + Attend(P, X),   P <- P + FFN(P),   X <- X + Attend(X, P),   X <- X + FFN(X),

each after a layer norm. What goes in is called a prior, what comes out a posterior: the token has
seen this image. The posteriors of all places make the weights of the last layer.

Source: Gao et al., "Training Like a Medical Resident", CVPR 2024, section 3.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

TaskTokens = Int[Tensor, "B N"]
"""Rows of the task tables that each sample asks for; the null row fills a shorter list up."""


START = 0.1
"""Factor on the last layer of each branch of a block at the start."""


class CrossAttention(nn.Module):
    """Multi-head attention from one set of tokens to another, each behind its own layer norm."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.heads = max(1, width // head_width)
        inner = self.heads * head_width
        self.norm_query, self.norm_source = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width)

    def forward(
        self,
        tokens: Float[Tensor, "B N E"],
        source: Float[Tensor, "B M E"],
        readable: Bool[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B N E"]:
        """Return what each token reads; sources that are not ``readable`` do not exist for it."""
        query = self._split(self.query(self.norm_query(tokens)))
        key, value = self.key_value(self.norm_source(source)).chunk(2, dim=-1)
        mask = None if readable is None else readable[:, None, None, :]
        read = functional.scaled_dot_product_attention(
            query, self._split(key), self._split(value), attn_mask=mask
        )
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, N, head_width)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Return two linear layers with a GELU between."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


class PriorBlock(nn.Module):
    """Tokens read the image, then the image reads the tokens.

    What a block adds starts small, so that a U-Net with fusion starts as one without.
    """

    rate = 0.025
    """Learning rate relative to that of a head, see `fmtutor.bench.training`: attention does not
    survive the steps that AdamW takes at a convolution's rate."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.read_image = CrossAttention(width, head_width)
        self.read_tokens = CrossAttention(width, head_width)
        self.token_mlp = nn.Sequential(nn.LayerNorm(width), *mlp(width, 4 * width, width))
        self.image_mlp = nn.Sequential(nn.LayerNorm(width), *mlp(width, 4 * width, width))
        last = (self.read_image.out, self.read_tokens.out, self.token_mlp[-1], self.image_mlp[-1])
        with torch.no_grad():
            for layer in last:
                layer.weight *= START  # type: ignore[operator]
                layer.bias *= START  # type: ignore[operator]

    def forward(
        self,
        voxels: Float[Tensor, "B V E"],
        tokens: Float[Tensor, "B N E"],
        readable: Bool[Tensor, "B N"] | None,
    ) -> tuple[Float[Tensor, "B V E"], Float[Tensor, "B N E"]]:
        """Return both after one exchange."""
        tokens = tokens + self.read_image(tokens, voxels)
        tokens = tokens + self.token_mlp(tokens)
        voxels = voxels + self.read_tokens(voxels, tokens, readable)
        return voxels + self.image_mlp(voxels), tokens


class PriorFusion(nn.Module):
    """One place: its two tables of tokens and its blocks.

    Args:
        width: Features of the place.
        classes: Task tokens; one more, the last, is the null token.
        modalities: Modalities; one more, the last, stands for an unknown one.
        modality_tokens: Tokens per modality.
        blocks: Exchanges between tokens and image.
        head_width: Features per attention head.
    """

    def __init__(
        self,
        width: int,
        *,
        classes: int,
        modalities: int,
        modality_tokens: int,
        blocks: int,
        head_width: int,
    ) -> None:
        super().__init__()
        self.task_table = nn.Parameter(torch.empty(classes + 1, width))
        self.modality_table = nn.Parameter(torch.empty(modalities + 1, modality_tokens, width))
        nn.init.normal_(self.task_table)  # far apart: classes must have different weights soon
        nn.init.xavier_uniform_(self.modality_table)
        self.blocks = nn.ModuleList(PriorBlock(width, head_width) for _ in range(blocks))

    def forward(
        self, features: Float[Tensor, "B E H W D"], tasks: TaskTokens, modality: Int[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B E H W D"], Float[Tensor, "B N E"], Float[Tensor, "B M E"]]:
        """Return the features, and the posteriors of the task tokens and the modality tokens.

        The null token is not readable for the image, so a sample's answer does not depend on how
        far its list was filled up for the batch.
        """
        voxels = features.flatten(2).transpose(1, 2)  # (B, V, E)
        own = self.modality_table[modality]  # (B, M, E)
        tokens = torch.cat([self.task_table[tasks], own], dim=1)
        filler = tasks == len(self.task_table) - 1
        readable = None
        if bool(filler.any()):
            readable = torch.cat([~filler, filler.new_ones(own.shape[:2])], dim=1)
        for block in self.blocks:
            voxels, tokens = block(voxels, tokens, readable)
        fused = voxels.transpose(1, 2).unflatten(2, features.shape[2:])
        return fused, tokens[:, : tasks.shape[1]], tokens[:, tasks.shape[1] :]
