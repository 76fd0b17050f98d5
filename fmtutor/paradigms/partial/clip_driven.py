"""CLIP-Driven Universal Model: the name of a class, as text, writes the head that segments it.

One channel per class name, as in `fmtutor.paradigms.partial.fseft`, but no channel has weights of
its own. A frozen text encoder turns "A computed tomography of a liver" into a vector e_k; the
bottleneck of the image, pooled, is a vector g; and a *linear* controller writes the parameters of
a three-layer head from the two:

    theta_k = A g + B relu(T e_k) + c,      z_k = head(features; theta_k),   8-8-8-1 units.

A new class costs a sentence, not a parameter, and classes whose names are alike begin alike. The
loss is that of partial labels: sigmoid BCE and Dice over the classes that the case's dataset
annotates, so no class excludes another and a tumour may lie in its organ.

What to know: the vectors of CLIP for anatomical names are almost collinear (mean cosine 0.875), so
they are mostly an identity card; `center_text` spreads them. As g is pooled from the window, two
neighbouring windows have different heads.

Source: Liu et al., "CLIP-Driven Universal Model for Organ Segmentation and Tumor Detection",
ICCV 2023, equations 1 and 2.
Taught in: 03
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.axes import Image, Known, Logits
from fmtutor.core.card import Card
from fmtutor.data.anatomy import read_table
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.engine.inference import Prediction, segment
from fmtutor.losses.partial import partial_loss
from fmtutor.nets.build import backbone
from fmtutor.nets.class_vectors import class_vectors
from fmtutor.nets.dynamic_head import dynamic_head
from fmtutor.nets.head_parameters import HeadController, HeadShape
from fmtutor.nets.working_grid import finest_features, to_input_grid
from fmtutor.paradigms import config_of

HEAD = HeadShape()
"""8-8-8-1: 153 parameters per sample and class."""


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel per name, shared by the protocols that use it."""
    return Vocabulary.shared(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, its classes, where their vectors come from, and how it is trained."""

    classes: tuple[str, ...] = vocabulary([c.protocol for c in CENTRES.values()]).names
    """Name of each channel."""
    text: str = "minilm"
    """Vectors of the names: a bank of `fmtutor.nets.text` by name or path, or a control: "one_hot",
    "random" (orthogonal), "shuffled" (MiniLM's vectors under wrong names)."""
    text_size: int = 512
    """Length of the vectors of "one_hot" and "random", so the most classes they can tell apart."""
    center_text: bool = False
    """Take the mean vector of the bank off each; the published form does not."""
    vision_size: int = 256
    """Length of the pooled image and of the projected text."""
    backbone: str = "half_unet3d"
    """A name in `fmtutor.nets.BACKBONES`."""
    channels: tuple[int, ...] = (24, 48, 96, 128)
    """Features of the backbone, see `fmtutor.nets.build`."""
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: tuple[int, int, int] = (64, 64, 24)
    """Voxels of a training patch and of the sliding window."""
    batch: int = 1
    """Patches per step."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""
    dice: str = "volume"
    """Form of Dice, see `fmtutor.losses.partial`; the published weights were trained with "slice",
    an oversight that gives a perfect prediction of a small organ a loss near 0.9."""
    present_only: bool = False
    """Take Dice only over classes with a voxel in the patch; the published loss takes all."""

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        net = {"channels": (8, 16), "backbone": "unet3d", "patch": (16, 16, 16)}
        small = {
            "text": "one_hot",
            "text_size": 16,
            "vision_size": 16,
            "lr": 1e-2,
            "steps": 60,
            "warmup_steps": 0,
        }
        return cls.quick(**{**net, **small, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort."""
        return replace(cls(present_only=True), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published backbone and patch on the virtual cohort."""
        own = {"classes": cls().classes, "text": "minilm", "dice": "volume", "present_only": True}
        return cls.paper(**{**own, "steps": 25_000, "warmup_steps": 250, "batch": 4, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol: Swin UNETR-48, or with ``backbone="genesis_unet"`` the U-Net.

        CLIP's vectors are the reader's to make (`fmtutor.bench.text_bank`): until then "random"
        stands for them, of the same length. 2,000 epochs of 2,099 volumes at 8 a step.
        """
        published = cls(
            classes=tuple(row["name"] for row in read_table("taxonomies/clip_driven.csv")),
            text="random", backbone="swin_unetr", channels=(48,), dice="slice",
            spacing_mm=(1.5, 1.5, 1.5), patch=(96, 96, 96),
            batch=2, steps=525_000, warmup_steps=26_250, lr=1e-4,
        )  # fmt: skip
        return replace(published, **changes)

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for the channels of a vocabulary."""
        return replace(self, classes=words.names)


class Controller(HeadController):
    """(image, text) -> parameters of the head; linear, so its text part is the same everywhere."""

    def image_part(self, image: Float[Tensor, "B V"]) -> Float[Tensor, "B P"]:
        """Return A g."""
        return nn.functional.linear(image, self.weight[:, : image.shape[1]])

    def text_part(self, text: Float[Tensor, "L V"]) -> Float[Tensor, "L P"]:
        """Return B relu(T e) + c."""
        return nn.functional.linear(text, self.weight[:, -text.shape[1] :], self.bias)


class ClipDriven(nn.Module):
    """Backbone, pooled image, projected text, controller, dynamic head.

    Args:
        network: A backbone with ``encode`` and ``decode``.
        embedding: One vector per class; kept as a buffer, not trained.
        vision_size: Length of the pooled image and of the projected text.
    """

    def __init__(
        self, network: nn.Module, embedding: Float[Tensor, "L E"], *, vision_size: int
    ) -> None:
        super().__init__()
        self.backbone = network
        fine, deep = network.out_channels, network.bottleneck_channels
        self.reduce = nn.Sequential(
            nn.GroupNorm(math.gcd(16, fine), fine), nn.ReLU(), nn.Conv3d(fine, HEAD.width, 1)
        )
        self.pool = nn.Sequential(
            nn.GroupNorm(math.gcd(16, deep), deep), nn.ReLU(), nn.AdaptiveAvgPool3d(1),
            nn.Conv3d(deep, vision_size, 1),
        )  # fmt: skip
        self.register_buffer("embedding", embedding)
        self.text_to_vision = nn.Linear(embedding.shape[1], vision_size)
        self.controller = Controller(2 * vision_size, HEAD)
        self._cached: tuple[Any, Tensor] | None = None

    def forward(self, image: Image, known: Known | None = None) -> Logits:
        """Return one logit per class and voxel; where ``known`` is False, 0 without gradient."""
        levels = self.backbone.encode(image)
        pooled = self.controller.image_part(self.pool(levels[-1]).flatten(1))
        theta = pooled[:, None] + self.text_parameters()[None]
        logits = dynamic_head(self.reduce(finest_features(self.backbone, levels)), theta, known)
        return to_input_grid(self.backbone, logits, None if known is None else known.any(0))

    def text_parameters(self) -> Float[Tensor, "L P"]:
        """Return what the names alone say about each head; without gradients it is kept.

        The key holds the version of every tensor, so that loading or training forgets it.
        """
        parts = (*self.text_to_vision.parameters(), *self.controller.parameters(), self.embedding)
        key = tuple((t.data_ptr(), t._version, t.dtype) for t in parts)
        if not torch.is_grad_enabled() and self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        text = self.text_to_vision(self.embedding).relu()
        parameters = self.controller.text_part(text)
        self._cached = None if torch.is_grad_enabled() else (key, parameters)
        return parameters


def build(config: Config) -> ClipDriven:
    """Build the network; it keeps the configuration as ``model.config``.

    Raises:
        ValueError: There are no classes, or the bank lacks one.
    """
    vectors = text_vectors(config)
    network = backbone(config.backbone, config.channels)
    model = ClipDriven(network, vectors, vision_size=config.vision_size)
    model.config = config  # type: ignore[assignment]
    return model


def text_vectors(config: Config) -> Float[Tensor, "L E"]:
    """Return the vector of each class, see `fmtutor.nets.class_vectors`."""
    return class_vectors(
        config.text, config.classes, size=config.text_size, centred=config.center_text
    )


def add_classes(model: ClipDriven, names: Sequence[str]) -> ClipDriven:
    """Return the same network with further classes: new vectors, not one new parameter.

    Args:
        model: A network of `build`; it is left as it is. Its own vectors are kept, also where they
            came from a checkpoint; the new ones are those of ``config.text``.
        names: Classes of its bank that it does not have yet.

    Raises:
        ValueError: A class is there already, or the bank lacks it.
    """
    config = config_of(model)
    if there := [name for name in names if name in config.classes]:
        raise ValueError(f"new classes must be new, but the model has {there}; leave them out.")
    wider = replace(config, classes=(*config.classes, *names))
    grown = build(wider)
    state = model.state_dict()
    new = grown.embedding[len(config.classes) :].to(state["embedding"])
    grown.load_state_dict({**state, "embedding": torch.cat([state["embedding"], new])})
    return grown.to(new.device).train(model.training)


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean of BCE + Dice over the known (sample, class) pairs of a batch."""
    config = config_of(model)
    return partial_loss(
        model(batch.image, batch.known),
        batch.target,
        batch.known,
        reduction="pair_mean",
        dice=config.dice,
        present_only=config.present_only,
    )


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment the classes asked for; without names, all of them.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone.

    Raises:
        ValueError: A class is not among the model's (`add_classes` adds one), or the ask has
            another part.
    """
    config = config_of(model)
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    return segment(
        model, case, names=config.classes, spacing_mm=config.spacing_mm, patch=config.patch,
        wanted=asked or None,
    )  # fmt: skip


CARD = Card(
    name="CLIP-Driven Universal Model",
    title="CLIP-Driven Universal Model for Organ Segmentation and Tumor Detection",
    year=2023,
    paper="https://arxiv.org/abs/2301.00785",
    code="https://github.com/ljwztc/CLIP-Driven-Universal-Model",
    licence_code="CC BY-NC-ND 4.0",
    licence_weights="CC BY-NC-ND 4.0",
    deviations=(
        "MiniLM's vectors of the class names in place of CLIP ViT-B/32's, which are not ours to "
        "ship; all vectors of a bank are scaled by one factor to a root mean square of 1.",
        "Dice over the volume; the published weights were trained with a Dice per sagittal slice "
        '(paper() has it as dice="slice"). quick() takes Dice over present classes only.',
        "Group norms have 16 groups where the channels are a multiple of 16, else fewer.",
        "The head is computed in its lean form, equal to the published one.",
        "The controller starts from a sensible head in its bias and moves slower than the rest.",
        "Raw probabilities: no post-processing by largest components or organ gating.",
    ),
    notebook="03",
)
