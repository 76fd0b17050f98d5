"""Swin UNETR's self-supervised pre-training: restore, say how it was turned, find the other view.

Images are plenty, labels are dear: let the encoder answer questions whose answers the image holds
itself. Two views v of each crop x are made (`fmtutor.data.pretext`): turned by a random multiple of
90 degrees, then cut out in places. From the deepest features of a view alone, three heads answer

    which turn was it?                      CE(rotation, r)         (where a body has its back)
    which other view shows the same crop?   NT-Xent(contrast, tau)  (what a place looks like)
    what did it look like before the cuts?  L1(reconstruction, x)   (what lies beside what)

    L = w1 CE + w2 NT-Xent + w3 L1,     all weights 1 as published; a weight of 0 drops the term.

The heads are thrown away. What is kept is the transformer: `encoder_state` gives its tensors under
the names that they have in a Swin UNETR, and `load_encoder` puts them there. It segments nothing,
so there is no ``predict``.

Source: Tang et al., "Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image
Analysis", CVPR 2022.
Taught in: 05
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from torch import Tensor, nn

from fmtutor.core.axes import Image
from fmtutor.core.card import Card
from fmtutor.data.pretext import TURNS, PretextBatch, PretextConfig
from fmtutor.data.transforms import HU_WINDOW
from fmtutor.engine.checkpoint import mismatches
from fmtutor.losses.contrastive import TERMS, pretext_loss, pretext_terms
from fmtutor.nets.pretext_heads import ReconstructionHead, TokenHead
from fmtutor.nets.swin_encoder import STRIDE, SwinEncoder
from fmtutor.nets.swin_unetr import SwinUnetr
from fmtutor.paradigms import config_of

ENCODER = "swinViT."
"""Beginning of the names of the transformer's tensors in a Swin UNETR."""
CONTRAST_FEATURES = 512


@dataclass(frozen=True, kw_only=True)
class Config:
    """The encoder, the pretext tasks, and how they are trained."""

    feature_size: int = 12
    """Features of the encoder's first stage."""
    window: int = 4
    """Tokens along each side of an attention window."""
    merging: str = "legacy"
    """One of `fmtutor.nets.swin_unetr.MERGINGS`; published weights need "legacy"."""
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    """Transformer blocks per stage."""
    patch: tuple[int, int, int] = (64, 64, 32)
    """Voxels of a crop; multiples of 32, and at least two such blocks: one token for each head."""
    spacing_mm: tuple[float, float, float] = (5.0, 5.0, 5.0)
    """Voxel edges that images are resampled to."""
    window_hu: tuple[float, float] = HU_WINDOW
    """Intensities that become 0 and 1, in HU."""
    plane: str = "HW"
    """Axes of the plane that crops are turned in."""
    rotation_weight: float = 1.0
    """Weight of the cross-entropy of the turn; 0 leaves the term out."""
    contrast_weight: float = 1.0
    """Weight of NT-Xent; 0 leaves the term out."""
    reconstruction_weight: float = 1.0
    """Weight of the mean absolute error of the restored crop; 0 leaves the term out."""
    temperature: float = 0.5
    """tau of NT-Xent."""
    batch: int = 2
    """Crops per step, each in two views; NT-Xent needs crops of two places."""
    steps: int = 600
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 5e-4
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""

    def __post_init__(self) -> None:
        views, weights = self.views, self.weights  # `views` checks the plane and the intensities
        if any(side % STRIDE for side in views.size) or prod(views.size) < 2 * STRIDE**3:
            raise ValueError(
                f"patch sides must be multiples of {STRIDE}, and two or more such blocks in all "
                f"(a token for each head), got {self.patch}; take (64, 64, 32)."
            )
        if not weights or min(weights.values()) < 0:
            raise ValueError(
                f"weights of the terms must be 0 or more and one above 0, got {self.weights}."
            )
        if "contrast" in weights and self.batch < 2:
            raise ValueError(
                f"NT-Xent compares crops, so batch must be at least 2, got {self.batch}; raise it "
                "or set contrast_weight to 0."
            )

    @property
    def views(self) -> PretextConfig:
        """How crops and their views are made."""
        return PretextConfig(
            size=self.patch,
            batch=self.batch,
            spacing_mm=self.spacing_mm,
            window_hu=self.window_hu,
            plane=self.plane,
        )

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term that is computed."""
        each = (self.rotation_weight, self.contrast_weight, self.reconstruction_weight)
        return {term: weight for term, weight in zip(TERMS, each, strict=True) if weight}

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests: two tokens."""
        small = cls(window=2, depths=(1,) * 4, patch=(64, 32, 32), plane="WD", lr=5e-4, steps=6)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU: the encoder of "small_swin_unetr", four tokens a crop."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network on the grid and in the window of the few-shot family."""
        sizes = {"spacing_mm": (1.5,) * 3, "window_hu": HU_WINDOW, "plane": "HW", "steps": 10_000}
        return cls.paper(**{**sizes, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol; `batch` is that of one GPU (2 volumes of 2 crops)."""
        published = cls(
            feature_size=48,
            window=7,
            patch=(96, 96, 96),
            spacing_mm=(1.5, 1.5, 2.0),
            window_hu=(-1000.0, 1000.0),
            plane="WD",
            batch=4,
            steps=100_000,
            warmup_steps=500,
            lr=4e-4,
            weight_decay=0.1,
        )
        return replace(published, **changes)


class SwinSsl(nn.Module):
    """The encoder, and a head for each pretext task."""

    def __init__(self, encoder: SwinEncoder) -> None:
        super().__init__()
        features = encoder.out_channels
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {
                "rotation": TokenHead(features, TURNS, token=0),
                "contrast": TokenHead(features, CONTRAST_FEATURES, token=1),
                "reconstruction": ReconstructionHead(features),
            }
        )

    def forward(self, views: Image, terms: Sequence[str] = TERMS) -> dict[str, Tensor]:
        """Answer some of the pretext tasks; the heads of the others are not run.

        Args:
            views: Crops, turned and cut out.
            terms: Of `fmtutor.losses.contrastive.TERMS`.
        """
        deepest = self.encoder(views)
        return {name: self.heads[name](deepest) for name in terms}


def build(config: Config) -> SwinSsl:
    """Build the encoder and its heads; they keep the configuration as ``model.config``."""
    encoder = SwinEncoder(
        config.feature_size, window=config.window, merging=config.merging, depths=config.depths
    )
    model = SwinSsl(encoder)
    model.config = config  # type: ignore[assignment]
    return model


def losses(model: nn.Module, batch: PretextBatch) -> dict[str, Tensor]:
    """Return the loss of each term that has a weight, before it is weighted."""
    config = config_of(model)
    answers = model(batch.views, tuple(config.weights))
    return pretext_terms(
        answers, rotation=batch.rotation, target=batch.target, temperature=config.temperature
    )


def step(model: nn.Module, batch: PretextBatch) -> Tensor:
    """Return the weighted sum of the terms."""
    return pretext_loss(losses(model, batch), config_of(model).weights)


def encoder_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the encoder's tensors by the names that they have in a `SwinUnetr`: ``swinViT. ...``.

    Args:
        model: A network of `build`, also one that is wrapped for several GPUs.
    """
    encoder = getattr(model, "module", model).encoder
    return {name: tensor.detach().clone() for name, tensor in encoder.state_dict().items()}


def load_encoder(backbone: SwinUnetr, state: Mapping[str, Tensor]) -> None:
    """Put a pre-trained encoder into a Swin UNETR; its convolutions stay as they are.

    Args:
        backbone: Of the feature size, attention window and depths of the encoder, and of its
            patch merging, which the names do not show: another one loads and gives wrong features.
        state: Of `encoder_state`; or ``hub.load("swin-unetr-ssl", path).state_dict()``.

    Raises:
        ValueError: A tensor of the transformer is missing, unexpected or of another shape; all of
            them are listed and the backbone is left as it was.

    Example:
        >>> load_encoder(fseft_model.backbone, encoder_state(model))  # doctest: +SKIP
    """
    whole = backbone.state_dict()
    own = {name: tensor for name, tensor in whole.items() if name.startswith(ENCODER)}
    if problems := mismatches(own, state):
        raise ValueError(
            f"the encoder must have every tensor of the backbone's {ENCODER[:-1]} and no other: "
            f"{'; '.join(problems)}; build the backbone with the encoder's sizes."
        )
    backbone.load_state_dict({**whole, **state})


CARD = Card(
    name="Swin UNETR SSL",
    title="Self-Supervised Pre-Training of Swin Transformers for 3D Medical Image Analysis",
    year=2022,
    paper="https://arxiv.org/abs/2111.14791",
    code="https://github.com/Project-MONAI/research-contributions",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "virtual patients grown from one torso, in place of 5,050 CT: chest, head and neck, colon",
        "quick() has 12 features, attention windows of 4 tokens, crops of 64 x 64 x 32 voxels of "
        "5 mm and soft-tissue intensities; gpu() is the published network at 1.5 mm, with these "
        "intensities",
        "quick() and gpu() turn crops about the foot-head axis, as the paper says; paper() turns "
        "the second and third axis, as the released code does",
        "up to 30 % of the voxels become noise and up to 30 % those of another crop, as in the "
        "released code; the paper's text says 30 % in all",
        "what is pasted is the other crop before its own cuts; the released code takes it as it "
        "is at that moment, cut or not",
        "crops whose deepest stage has one token (32^3) are refused: the contrast has no token of "
        "its own there, and instance norm no second value",
        "NT-Xent compares the crops of one process, as released; with 2 crops a view has 2 others "
        "to be told from, with 4 it has 6",
        "images are resampled to the configuration's spacing; the released loader leaves that to "
        "its user",
        "the released weights come from another reconstruction head (one transposed convolution) "
        "than the released code's, and load without heads",
    ),
    notebook="05",
)
