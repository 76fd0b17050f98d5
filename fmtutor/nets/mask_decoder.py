"""SAM's mask decoder: a token for each candidate mask becomes the weights of a 1x1 convolution.

Tokens for the overlap (IoU) and for four masks join the prompts in the two-way transformer. The
image is then upscaled four times, and each mask is the product of its token, sent through a small
perceptron, with every place. Mask 0 answers alone; masks 1 to 3 answer an ambiguous prompt, and
the predicted overlap says which to take.

Source: Kirillov et al., "Segment Anything", ICCV 2023, section 3 and appendix A; the optional
details of the image encoder are added where the upscaling reaches their size, as in SAM 2.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.nets.two_way import TwoWayTransformer
from fmtutor.nets.vit import CONV, UP_CONV, ChannelNorm, Map

CANDIDATES = 3
"""Masks for an ambiguous prompt, besides the single one."""


class Layers(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        sizes: Features in, after each hidden layer, and out.
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., last size)."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class MaskDecoder(nn.Module):
    """Embedding and prompts to masks at four times the tokens' resolution.

    Args:
        features: Features of tokens and embedding (E).
        dims: Axes of the image.
        heads: Attention heads of the transformer.
        hidden: Features inside its perceptrons.
        quality_hidden: Features inside the head of the overlap.
        details: Channels of the encoder's maps at twice and at four times the tokens' resolution;
            empty for none.
    """

    def __init__(
        self,
        features: int,
        dims: int,
        *,
        heads: int = 8,
        hidden: int = 2048,
        quality_hidden: int = 256,
        details: Sequence[int] = (),
    ) -> None:
        super().__init__()
        up, tokens = UP_CONV[dims], CANDIDATES + 1
        self.transformer = TwoWayTransformer(features, heads=heads, hidden=hidden)
        self.iou_token = nn.Parameter(torch.randn(1, features))
        self.mask_tokens = nn.Parameter(torch.randn(tokens, features))
        self.up1 = up(features, features // 4, 2, stride=2)
        self.norm = ChannelNorm(features // 4)
        self.up2 = up(features // 4, features // 8, 2, stride=2)
        sizes = (features // 4, features // 8)
        self.details = nn.ModuleList(
            CONV[dims](channels, size, 1)
            for channels, size in zip(details, sizes[: len(details)], strict=True)
        )
        self.hyper = nn.ModuleList(
            Layers(features, features, features, features // 8) for _ in range(tokens)
        )
        self.iou_head = Layers(features, quality_hidden, quality_hidden, tokens)

    def forward(
        self,
        embedding: Float[Tensor, "images E *tokens"],
        place: Float[Tensor, "1 E *tokens"],
        sparse: Float[Tensor, "B N E"],
        dense: Float[Tensor, "B E *tokens"],
        *,
        details: Sequence[Tensor] = (),
        candidates: bool = False,
    ) -> tuple[Float[Tensor, "B M *low"], Float[Tensor, "B M"]]:
        """Return mask logits, (B, M, *low) at four times the tokens' resolution, and their quality.

        Args:
            embedding: (images, E, *tokens); B is a multiple of its length.
            place: (1, E, *tokens), the places of the tokens.
            sparse: (B, N, E) tokens of points and boxes.
            dense: (B, E, *tokens) of the last answer.
            details: Maps of the encoder at twice and four times the resolution, one row an image.
            candidates: Give the three candidates in place of the single mask.
        """
        times = len(sparse) // len(embedding)
        source = embedding.repeat_interleave(times, 0) + dense
        own = torch.cat([self.iou_token, self.mask_tokens]).expand(len(sparse), -1, -1)
        tokens, cells = self.transformer(
            torch.cat([own, sparse], 1), _rows(source), _rows(place).to(source.dtype)
        )
        image = self._upscaled(cells.transpose(1, 2).reshape(source.shape), details, times)
        kept = slice(1, None) if candidates else slice(0, 1)
        weights = torch.stack(
            [layers(tokens[:, 1 + n]) for n, layers in list(enumerate(self.hyper))[kept]], 1
        )
        masks = torch.einsum("nmc,nc...->nm...", weights, image)
        return masks, self.iou_head(tokens[:, 0])[:, kept]

    def _upscaled(self, image: Map, details: Sequence[Tensor], times: int) -> Tensor:
        """Return the image at four times the resolution; details are projected once an image."""
        added = [
            layer(detail).repeat_interleave(times, 0)
            for layer, detail in zip(self.details, details, strict=True)
        ]
        image = self.up1(image)
        if added:
            image = image + added[0]
        image = self.up2(functional.gelu(self.norm(image)))
        if len(added) > 1:
            image = image + added[1]
        return functional.gelu(image)


def _rows(x: Map) -> Float[Tensor, "B cells C"]:
    """Return a map's cells as rows."""
    return x.flatten(2).transpose(1, 2)
