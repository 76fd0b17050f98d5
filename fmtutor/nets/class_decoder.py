"""SAM's mask decoder with a token for each class: automatic segmentation without a prompt.

SAM's mask tokens are candidates for one question. Given one token for each class and one for the
background, and no prompt, the same decoder answers all classes at once, as a softmax. Optionally it
goes on upscaling until the masks have the image's own resolution (MA-SAM), where SAM and SAMed stop
at four times that of the tokens.

Source: Zhang and Liu, SAMed, 2023; Chen et al., MA-SAM, 2023.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.prompts import Prompts, no_points
from fmtutor.nets.mask_decoder import Layers, MaskDecoder
from fmtutor.nets.sam import Embedding, Sam, Shape
from fmtutor.nets.two_way import match_places
from fmtutor.nets.vit import UP_CONV, ChannelNorm

NEW = ("*mask_tokens", "*hyper.*", "*iou_head.*", "*further.*")
"""Weights that no general SAM has: they belong to the number of tokens, or to more upscaling."""


class ClassDecoder(MaskDecoder):
    """Embedding, and prompts if there are any, to one mask for the background and each class.

    Args:
        shape: The general SAM whose decoder this is.
        classes: Without the background.
        doublings: How often the tokens' resolution is doubled, 2 or more; SAM doubles twice.
    """

    def __init__(self, shape: Shape, classes: int, *, doublings: int = 2) -> None:
        if classes < 1 or doublings < 2:
            raise ValueError(
                f"a decoder has a class and two doublings at least, got {classes} and {doublings}."
            )
        features, dims = shape.prompt_features, len(shape.image)
        super().__init__(
            features,
            dims,
            heads=shape.decoder_heads,
            hidden=shape.decoder_hidden,
            quality_hidden=shape.quality_hidden,
        )
        tokens, last = classes + 1, features // 8
        further: list[nn.Module] = []
        for _ in range(doublings - 2):
            halved = max(4, last // 2)
            up = UP_CONV[dims](last, halved, 2, stride=2)
            further += [ChannelNorm(last), nn.GELU(), up]
            last = halved
        self.further = nn.Sequential(*further)
        self.mask_tokens = nn.Parameter(torch.randn(tokens, features))
        self.hyper = nn.ModuleList(
            Layers(features, features, features, last) for _ in range(tokens)
        )
        self.iou_head = Layers(features, shape.quality_hidden, shape.quality_hidden, tokens)

    def classes(
        self, embedding: Tensor, place: Tensor, sparse: Float[Tensor, "B N E"], dense: Tensor
    ) -> Float[Tensor, "B L1 *low"]:
        """Return one map of logits for the background and each class.

        Args:
            embedding: (images, E, *tokens); B is a multiple of its length.
            place: (1, E, *tokens), the places of the tokens.
            sparse: (B, N, E) tokens of points and boxes; N is 0 without a prompt.
            dense: (B, E, *tokens) of the last answer.
        """
        source = embedding.repeat_interleave(len(sparse) // len(embedding), 0) + dense
        own = torch.cat([self.iou_token, self.mask_tokens]).expand(len(sparse), -1, -1)
        tokens, cells = self.transformer(
            torch.cat([own, sparse], 1), rows_of(source), rows_of(place).to(source.dtype)
        )
        image = functional.gelu(self.norm(self.up1(cells.transpose(1, 2).reshape(source.shape))))
        image = functional.gelu(self.further(self.up2(image)))
        weights = [layers(tokens[:, 1 + n]) for n, layers in enumerate(self.hyper)]
        return torch.einsum("nmc,nc...->nm...", torch.stack(weights, 1), image)


def rows_of(x: Float[Tensor, "B E *tokens"]) -> Float[Tensor, "B cells E"]:
    """Return a map's cells as rows."""
    return x.flatten(2).transpose(1, 2)


class ClassSam(Sam):
    """A SAM that answers all its classes at once.

    Args:
        shape: The general SAM that it is made of; without details.
        classes: Without the background.
        doublings: As of `ClassDecoder`.
    """

    def __init__(self, shape: Shape, classes: int, *, doublings: int = 2) -> None:
        super().__init__(shape)
        self.mask_decoder = ClassDecoder(shape, classes, doublings=doublings)
        if shape.matched:
            match_places(self.mask_decoder.transformer, shape.matched)

    def class_maps(
        self, embedding: Embedding, prompts: Prompts | None = None
    ) -> Float[Tensor, "B L1 *grid"]:
        """Return logits of the background and each class on the image's grid.

        Args:
            embedding: Of the images.
            prompts: None asks for nothing in particular: one row an image.
        """
        grid, encoder = embedding.map.shape[2:], self.prompt_encoder
        asked = prompts or no_points(len(embedding.map), len(grid), embedding.map.device)
        low = cast(ClassDecoder, self.mask_decoder).classes(
            embedding.map,
            encoder.place.dense(grid),
            encoder.sparse(asked, embedding.image),
            encoder.dense(asked, grid, embedding.image),
        )
        return functional.interpolate(low, size=embedding.image, mode="bilinear")

    def forward(self, image: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B L1 H W"]:
        """Return logits of the background and each class, without a prompt."""
        return self.class_maps(self.embed(image))
