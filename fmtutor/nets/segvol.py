"""SegVol's network: a 3D SAM whose patches may be flat, and which is also asked by name.

The encoder is a plain vision transformer: every block attends to the whole grid, places are learnt
one by one. The frozen vector of a structure's name enters twice: as one more token among the
prompts, and, projected, as a direction in the upscaled image; what points along it is the
structure, so the similarity of text and image is added to every mask.

Source: Du et al., "SegVol: Universal and Interactive Volumetric Medical Image Segmentation",
NeurIPS 2024, section 2.2; Kirillov et al., "Segment Anything", ICCV 2023.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.prompts import Answer, Prompts
from fmtutor.nets.mask_decoder import MaskDecoder, _rows
from fmtutor.nets.prompt_encoder import PromptEncoder
from fmtutor.nets.two_way import match_places
from fmtutor.nets.vit import Block, ChannelNorm
from fmtutor.nets.window_attention import WindowAttention

Steps = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """Everything that decides which tensors the network has."""

    image: tuple[int, int, int] = (64, 64, 48)
    """Voxels of the image along H, W, D; places are learnt, so it is always this."""
    strides: Steps = ((2, 2, 1), (2, 2, 2), (2, 2, 2))
    """Of the convolutions that lead to the tokens; their product is the patch, (8, 8, 4) here.
    More than one: all but the last are a stem, whose last two maps the mask decoder reads."""
    stem: tuple[int, ...] = (16, 32)
    """Channels of the stem."""
    features: int = 160
    """Features of a token."""
    depth: int = 6
    """Blocks, all of them global."""
    heads: int = 5
    """Attention heads."""
    prompt_features: int = 128
    """Features of prompts and embedding; 768, those of the tokens, as published."""
    decoder_heads: int = 8
    """Attention heads of the mask decoder."""
    decoder_hidden: int = 256
    """Features inside its perceptrons."""
    text: int = 384
    """Length of a name's vector."""
    matched: float = 3.0
    """Begin with tokens and image matched by place, this sharply (`two_way.match_places`); 0 begins
    by chance, as published."""

    @property
    def patch(self) -> tuple[int, int, int]:
        """Voxels of a token along each axis."""
        h, w, d = (prod(stride[axis] for stride in self.strides) for axis in range(3))
        return h, w, d

    def __post_init__(self) -> None:
        if len(self.stem) != len(self.strides) - 1 or len(self.stem) == 1:
            raise ValueError(
                f"a stem has a width for each stride but the last, and none or two at least, got "
                f"widths {self.stem} for {len(self.strides)} strides; change one."
            )
        if any(size % side for size, side in zip(self.image, self.patch, strict=True)):
            raise ValueError(
                f"an image's sides are multiples of the patch {self.patch}, got {self.image}."
            )


@dataclass(frozen=True, eq=False)
class TextEmbedding:
    """What is kept of B images."""

    map: Float[Tensor, "B E h w d"]
    details: tuple[Tensor, ...]
    """Maps of the stem at twice and four times the tokens' resolution."""


class VolumeEncoder(nn.Module):
    """Volume to embedding: (stem,) patches, transformer, neck.

    Args:
        shape: What is built.
    """

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        grid = [size // side for size, side in zip(shape.image, shape.patch, strict=True)]
        widths = (1, *shape.stem)
        self.stem = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(before, after, 3, stride=stride, padding=1),
                ChannelNorm(after),
                nn.GELU(),
                nn.Conv3d(after, after, 3, padding=1),
                ChannelNorm(after),
                nn.GELU(),
            )
            for (before, after), stride in zip(
                itertools.pairwise(widths), shape.strides[:-1], strict=True
            )
        )
        last = shape.strides[-1]
        self.patch_embed = nn.Conv3d(widths[-1], shape.features, last, stride=last)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, *grid, shape.features))
        self.blocks = nn.ModuleList(
            Block(
                shape.features,
                WindowAttention(
                    shape.features, shape.heads, reach=grid, windowed=False, positions="none"
                ),
            )
            for _ in range(shape.depth)
        )
        same = shape.features == shape.prompt_features
        self.neck = nn.Identity() if same else nn.Conv3d(shape.features, shape.prompt_features, 1)
        self.norm = ChannelNorm(shape.prompt_features)

    def forward(
        self, image: Float[Tensor, "B 1 H W D"]
    ) -> tuple[Float[Tensor, "B E h w d"], list[Tensor]]:
        """Return the embedding (B, E, h, w, d) and the maps of the stem, finest first."""
        details = []
        for layer in self.stem:
            image = layer(image)
            details.append(image)
        x = self.patch_embed(image).movedim(1, -1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(self.neck(x.movedim(-1, 1))), details


class TextMaskDecoder(MaskDecoder):
    """SAM's mask decoder, to whose masks the similarity of text and image is added.

    A mask is w . image, the similarity t . image: their sum is (w + t) . image, one product.

    Args:
        features: Features of tokens, embedding and text (E).
        options: Of `MaskDecoder`.
    """

    def __init__(self, features: int, **options: int | Sequence[int]) -> None:
        super().__init__(features, 3, **options)  # type: ignore[arg-type]
        self.direction = nn.Linear(features, features // 8)

    def answer(
        self,
        embedding: TextEmbedding,
        place: Float[Tensor, "1 E h w d"],
        sparse: Float[Tensor, "R N E"],
        *,
        dense: Float[Tensor, "R E h w d"],
        text: Float[Tensor, "R E"],
        named: Float[Tensor, " R"],
    ) -> tuple[Float[Tensor, "R 1 *low"], Float[Tensor, "R 1"]]:
        """Return mask logits and their quality.

        Args:
            embedding: Of B images; R is a multiple of B.
            place: (1, E, h, w, d), the places of the tokens.
            sparse: Tokens of the prompts.
            dense: (R, E, h, w, d), added to the embedding.
            text: Projected vectors of the names.
            named: 1 where there is a name, 0 where not.
        """
        times = len(sparse) // len(embedding.map)
        source = embedding.map.repeat_interleave(times, 0) + dense
        own = torch.cat([self.iou_token, self.mask_tokens]).expand(len(sparse), -1, -1)
        tokens, cells = self.transformer(
            torch.cat([own, sparse], 1), _rows(source), _rows(place).to(source.dtype)
        )
        image = self._upscaled(
            cells.transpose(1, 2).reshape(source.shape), embedding.details, times
        )
        weights = self.hyper[0](tokens[:, 1]) + self.direction(text) * named[:, None]
        masks = torch.einsum("nc,nc...->n...", weights, image)[:, None]
        return masks, self.iou_head(tokens[:, 0])[:, :1]


class TextPromptedVit(nn.Module):
    """Encoder, prompt encoder with text, mask decoder; its interface is that of any promptable.

    Args:
        shape: What is built.
    """

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.shape = shape
        self.image_encoder = VolumeEncoder(shape)
        self.prompt_encoder = PromptEncoder(shape.prompt_features, 3)
        self.prompt_encoder.mask.requires_grad_(False)  # the last answer is never read
        self.text = nn.Linear(shape.text, shape.prompt_features)
        self.no_text = nn.Parameter(torch.randn(shape.prompt_features))
        self.mask_decoder = TextMaskDecoder(
            shape.prompt_features,
            heads=shape.decoder_heads,
            hidden=shape.decoder_hidden,
            quality_hidden=shape.decoder_hidden,
            details=tuple(reversed(shape.stem[-2:])),
        )
        if shape.matched:
            match_places(self.mask_decoder.transformer, shape.matched)

    def embed(self, image: Float[Tensor, "B 1 H W D"]) -> TextEmbedding:
        """Return the embedding of images in [0, 1] of just ``shape.image`` voxels.

        Raises:
            ValueError: They have another size.
        """
        if tuple(image.shape[2:]) != self.shape.image:
            raise ValueError(
                f"places are learnt one by one for images of {self.shape.image} voxels, got "
                f"{tuple(image.shape[2:])}; crop or resample."
            )
        found, stem = self.image_encoder(image)
        return TextEmbedding(found, tuple(reversed(stem[-2:])))

    def decode(
        self, embedding: TextEmbedding, prompts: Prompts, *, candidates: bool = False
    ) -> Answer:
        """Return one mask for each row of prompts (M = 1).

        Args:
            embedding: Of B images.
            prompts: K rows for each image, image by image. Points, boxes and text, in any
                combination; a row of text that is 0 has no name. The last mask is not read.
            candidates: Changes nothing.
        """
        vector = prompts.text
        if vector is None:
            vector = embedding.map.new_zeros(len(prompts), self.shape.text)
        named = (vector != 0).any(1).to(embedding.map.dtype)
        text = self.text(vector.to(self.text.weight.dtype))
        token = torch.where(named[:, None] > 0, text, self.no_text)
        sparse = self.prompt_encoder.sparse(prompts, self.shape.image)
        grid = embedding.map.shape[2:]
        low, quality = self.mask_decoder.answer(
            embedding,
            self.prompt_encoder.place.dense(grid),
            torch.cat([sparse.to(token.dtype), token[:, None]], 1),
            dense=self.prompt_encoder.dense(prompts.with_mask(None), grid, self.shape.image),
            text=text,
            named=named,
        )
        logits = functional.interpolate(
            low, size=self.shape.image, mode="trilinear", align_corners=False
        )
        return Answer(logits=logits, quality=quality, low=low)
