"""SAM whole: an image is embedded once, then every prompt is answered from the embedding.

The same blocks make the 2D network of SAM, MedSAM and SAM-Med2D and the 3D one of SAM-Med3D; what
the published weights need beyond the paper is one argument each (`Shape`).

Source: Kirillov et al., "Segment Anything", ICCV 2023; Wang et al., "SAM-Med3D", 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.prompts import Answer, Prompts
from fmtutor.core.tables import lookup
from fmtutor.nets.mask_decoder import MaskDecoder
from fmtutor.nets.prompt_encoder import PromptEncoder
from fmtutor.nets.two_way import match_places
from fmtutor.nets.vit import ImageEncoder, Map

SAM_MEAN, SAM_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of the red, green and blue of SAM's pictures, in grey levels of 0 to 255."""
INTERPOLATION = {2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Everything that decides which tensors a SAM has and what they mean."""

    image: tuple[int, ...] = (64, 64)
    """Voxels of the image along each axis, 2 or 3 axes."""
    patch: int = 8
    """Voxels along each side of a patch."""
    in_channels: int = 1
    """1 for grey; 3 for SAM's own weights (grey is given three times)."""
    features: int = 128
    """Features of the image encoder's tokens."""
    depth: int = 6
    """Blocks of the image encoder."""
    heads: int = 4
    """Its attention heads."""
    window: int = 4
    """Tokens along each side of an attention window."""
    global_blocks: tuple[int, ...] = (2, 5)
    """Blocks that attend to the whole image."""
    prompt_features: int = 128
    """Features of prompts and embedding."""
    decoder_heads: int = 8
    """Attention heads of the mask decoder."""
    decoder_hidden: int = 256
    """Features inside its perceptrons."""
    quality_hidden: int = 64
    """Features inside the head of the predicted overlap."""
    stem: tuple[int, ...] = ()
    """Channels of a convolutional stem, one for each halving; empty for SAM's one convolution."""
    details: bool = False
    """Hand the stem's maps to the mask decoder, as SAM 2 does."""
    absolute: bool = True
    """Add a learnt vector at each place of the image."""
    boxes: bool = True
    """Answer boxes."""
    positions: str = "correct"
    """Relative positions: "correct", "sammed3d" for the published SAM-Med3D, or "none"."""
    waves: tuple[str, ...] = ("sin", "cos")
    """Fourier features of a place; SAM-Med3D has ("sin", "cos", "sin")."""
    point_axes: tuple[int, ...] | None = None
    """Image axis behind each component of a click; SAM's x comes first: (1, 0)."""
    dense_axes: tuple[int, ...] | None = None
    """The same for the tokens; in SAM-Med3D (1, 0, 2), although its clicks have (0, 1, 2)."""
    matched: float = 0.0
    """Sharpness of the attentions between tokens and image at the start of a training from scratch,
    see `fmtutor.nets.two_way.match_places`; 0 leaves it to chance, as published."""
    drawn: float = 0.0
    """Radius, in voxels of a mask, of the blob that a click draws into the last mask, so that the
    image is told where the click is; 0 leaves that to the attention, as published."""
    intensity: str = "unit"
    """What the encoder sees of an image in [0, 1]: a key of `INTENSITY`."""

    def __post_init__(self) -> None:
        if len(self.image) not in (2, 3):
            raise ValueError(f"an image has 2 or 3 axes, got {self.image}; change image.")
        if self.details and len(self.stem) < 2:
            raise ValueError(
                f"details need a stem of two halvings at least, got stem {self.stem}; add one."
            )
        lookup(INTENSITY, self.intensity, "intensity")


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a SAM keeps of an image."""

    map: Tensor
    """(B, E, *tokens)."""
    details: tuple[Tensor, ...]
    """The stem's maps that the decoder reads, at twice and four times the tokens' resolution."""
    image: tuple[int, ...]
    """Voxels of the image along each axis."""


class Sam(nn.Module):
    """Image encoder, prompt encoder, mask decoder.

    Args:
        shape: What is built.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        dims, self.shape = len(shape.image), shape
        self.image_encoder = ImageEncoder(
            shape.image,
            patch=shape.patch,
            in_channels=shape.in_channels,
            features=shape.features,
            depth=shape.depth,
            heads=shape.heads,
            out_features=shape.prompt_features,
            window=shape.window,
            global_blocks=shape.global_blocks,
            positions=shape.positions,
            absolute=shape.absolute,
            stem=shape.stem,
        )
        self.prompt_encoder = PromptEncoder(
            shape.prompt_features,
            dims,
            boxes=shape.boxes,
            waves=shape.waves,
            point_axes=shape.point_axes,
            dense_axes=shape.dense_axes,
            drawn=shape.drawn,
        )
        self.mask_decoder = MaskDecoder(
            shape.prompt_features,
            dims,
            heads=shape.decoder_heads,
            hidden=shape.decoder_hidden,
            quality_hidden=shape.quality_hidden,
            details=tuple(reversed(shape.stem[-2:])) if shape.details else (),
        )
        if shape.matched:
            match_places(self.mask_decoder.transformer, shape.matched)

    def embed(self, image: Map, *, plain: bool = False) -> Embedding:
        """Return the embedding of images (B, 1, *grid) in [0, 1]; the slow part, done once.

        Args:
            image: Sides are multiples of the patch, and those of ``shape.image`` where places are
                learnt one by one (``absolute``).
            plain: Compute padded tokens as tokens, as the published code does.
        """
        seen = INTENSITY[self.shape.intensity](
            image.expand(-1, self.shape.in_channels, *image.shape[2:])
        )
        found, stem = self.image_encoder(seen, plain=plain)
        details = tuple(reversed(stem[-2:])) if self.shape.details else ()
        return Embedding(found, details, tuple(image.shape[2:]))

    def decode(self, embedding: Embedding, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Return masks for prompts; the fast part, done at every click.

        Args:
            embedding: Of B images.
            prompts: K rows for each image, image by image.
            candidates: Three candidates in place of the single mask.
        """
        grid = embedding.map.shape[2:]
        low, quality = self.mask_decoder(
            embedding.map,
            self.prompt_encoder.place.dense(grid),
            self.prompt_encoder.sparse(prompts, embedding.image),
            self.prompt_encoder.dense(prompts, grid, embedding.image),
            details=embedding.details,
            candidates=candidates,
        )
        logits = functional.interpolate(
            low, size=embedding.image, mode=INTERPOLATION[low.dim() - 2], align_corners=False
        )
        return Answer(logits=logits, quality=quality, low=low)

    def low_shape(self, image: Sequence[int]) -> tuple[int, ...]:
        """Return the voxels of `Answer.low` for an image of so many voxels."""
        return tuple(4 * size // self.shape.patch for size in image)


def as_sam(image: Map) -> Map:
    """Return grey levels less SAM's mean over its spread; three channels, in [0, 1] before."""
    mean, std = (
        image.new_tensor(v).view(1, -1, *[1] * (image.dim() - 2)) for v in (SAM_MEAN, SAM_STD)
    )
    return (image * 255 - mean) / std


def as_zscore(image: Map) -> Map:
    """Return the image less the mean over the spread of its voxels above 0 (SAM-Med3D).

    The spread is the estimate from a sample (one less in the count), as TorchIO's is.
    """
    axes = tuple(range(1, image.dim()))
    inside = image > 0
    count = inside.sum(axes, keepdim=True).clamp_min(2)
    mean = (image * inside).sum(axes, keepdim=True) / count
    spread = (((image - mean) ** 2 * inside).sum(axes, keepdim=True) / (count - 1)).sqrt()
    return (image - mean) / spread.clamp_min(1e-6)


INTENSITY = {"unit": lambda image: image, "sam": as_sam, "zscore": as_zscore}
"""How an image in [0, 1] is shown to the encoder: as it is (MedSAM), SAM's way, SAM-Med3D's way."""
