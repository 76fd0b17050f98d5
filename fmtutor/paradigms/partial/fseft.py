"""FSEFT's foundation model: one sigmoid channel per organ, and a loss that skips what is unknown.

The plainest answer to partial labels. All datasets share one channel per class name, so a spleen
from any hospital teaches the same weights. Sample b of the batch annotates the classes with
``w[b, k] = 1`` (``known``), and

    L = mean over b of  sum_k w[b,k] Dice[b,k] / sum_k w[b,k],

    Dice[b,k] = 1 - (2 sum(p y) + 1) / (sum(p) + sum(y) + 1),      p = sigmoid(z).

Nothing else is added: a 1x1x1 classifier on a strong backbone, and datasets drawn equally often.
What it cannot express is disagreement: if "liver" includes the tumour for one hospital and not for
the next, one channel has to serve both (compare `fmtutor.paradigms.partial.multitalent`).

Source: Silva-Rodríguez, Dolz, Ben Ayed, "Towards foundation models and few-shot
parameter-efficient fine-tuning for volumetric organ segmentation", Medical Image Analysis 2025.
Taught in: 02
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.axes import Image, Logits
from fmtutor.core.card import Card
from fmtutor.data.anatomy import read_table
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.engine.inference import Prediction, segment
from fmtutor.losses.partial import partial_loss
from fmtutor.nets.build import backbone
from fmtutor.nets.heads import LinearHead
from fmtutor.paradigms import config_of


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel per name, shared by the protocols that use it."""
    return Vocabulary.shared(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, its classes, and how it is trained."""

    classes: tuple[str, ...] = vocabulary([c.protocol for c in CENTRES.values()]).names
    """Name of each channel."""
    backbone: str = "unet3d"
    """A name in `fmtutor.nets.BACKBONES`."""
    channels: tuple[int, ...] = (16, 32, 64, 128)
    """Features of the backbone, see `fmtutor.nets.build`."""
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: tuple[int, int, int] = (64, 64, 32)
    """Voxels of a training patch and of the sliding window."""
    batch: int = 2
    """Patches per step."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""
    bce_weight: float = 0.0
    """Weight of an added binary cross-entropy; the published loss has none."""
    present_only: bool = False
    """Take Dice only over classes with a voxel in the patch; the published loss takes all."""

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls(channels=(8, 16), patch=(16, 16, 16), lr=2e-2, steps=80, warmup_steps=0)
        return replace(small, **changes)

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort; short runs need the help of cross-entropy."""
        return replace(cls(bce_weight=1.0, present_only=True), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU, the published backbone and patch, a tenth of the published steps."""
        return cls.paper(**{"steps": 25_000, "warmup_steps": 250, "batch": 4, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol; `batch` is that of one of its 4 GPUs (2 volumes of 3 patches).

        1000 epochs of 2,042 volumes at 8 volumes a step make 255,000 steps; warm-up 10 epochs.
        """
        published = cls(
            classes=tuple(row["name"] for row in read_table("taxonomies/fseft.csv")),
            backbone="swin_unetr",
            channels=(48,),
            spacing_mm=(1.5, 1.5, 1.5),
            patch=(96, 96, 96),
            batch=6,
            steps=255_000,
            warmup_steps=2_550,
            lr=1e-4,
        )
        return replace(published, **changes)

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for the channels of a vocabulary."""
        return replace(self, classes=words.names)


class Fseft(nn.Module):
    """A backbone and one 1x1x1 convolution with an output per class."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone = network
        self.classifier = LinearHead(network.out_channels, classes)

    def forward(self, image: Image) -> Logits:
        """Return one logit per class and voxel."""
        return self.classifier(self.backbone(image))


def build(config: Config) -> Fseft:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = Fseft(backbone(config.backbone, config.channels), len(config.classes))
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the masked Dice loss of a batch (plus cross-entropy where the config adds it)."""
    return partial_loss(
        model(batch.image),
        batch.target,
        batch.known,
        reduction="sample_mean",
        dice="volume",
        smooth="both",
        bce_weight=config_of(model).bce_weight,
        present_only=config_of(model).present_only,
    )


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment the classes asked for; without names, all of them.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone.

    Raises:
        ValueError: A class is not among the model's, or the ask has another part.
    """
    config = config_of(model)
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    return segment(
        model,
        case,
        names=config.classes,
        spacing_mm=config.spacing_mm,
        patch=config.patch,
        wanted=asked or None,
    )


CARD = Card(
    name="FSEFT",
    title="Towards foundation models and few-shot parameter-efficient fine-tuning for volumetric "
    "organ segmentation",
    year=2025,
    paper="https://doi.org/10.1016/j.media.2025.103596",
    code="https://github.com/jusiro/fewshot-finetuning",
    licence_code="no licence file",
    licence_weights="no licence file",
    deviations=(
        "quick() adds binary cross-entropy and takes Dice over present classes only: "
        "from a random start Dice alone gives rare classes almost no gradient in a short run. "
        "paper() has Dice alone, over all annotated classes, as published.",
        "quick() has a small 3D U-Net at 3 mm in place of Swin UNETR-48 at 1.5 mm.",
        "The published encoder starts from self-supervised weights; build() starts at random.",
        "Kidneys and lungs that a source merges are not split at the image's midline: such a "
        "source does not annotate the sides here.",
    ),
    notebook="02",
)
