"""SuPreM: complete the labels first, then train a plain network on all of them.

The contrast to masking. Instead of a loss that copes with missing labels, the labels are made whole
before training: a first model fills in what no annotator drew, annotators revise its most
suspicious answers (this is how AbdomenAtlas grew to 9,262 CTs with 25 structures), and then every
sample teaches every class. With all L classes known, and P_b the classes of sample b that have a
voxel in its patch,

    L = 1/(B L) sum_{b,k} BCE(z[b,k], y[b,k])  +  mean_{b, k in P_b} Dice[b,k],

    Dice[b,k] = 1 - 2 sum(p y) / (sum(p) + sum(y) + 1),      p = sigmoid(z).

Nothing is unknown any more, but whatever the first model got wrong is now taught as the truth.
The completion stands in `fmtutor.data.completion`; here it is taken as done. A class that is
unknown all the same is skipped, as by every system.

Source: Li, Yuille, Zhou, "How Well Do Supervised 3D Models Transfer to Medical Imaging Tasks?",
ICLR 2024; labels: Qu et al., "AbdomenAtlas-8K", NeurIPS 2023; Li et al., "AbdomenAtlas", 2024.
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

DICE_FORMS = ("volume", "slice")


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel per name, shared by the protocols that use it."""
    return Vocabulary.shared(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, its classes, and how it is trained."""

    classes: tuple[str, ...] = vocabulary([c.protocol for c in CENTRES.values()]).names
    """Name of each channel."""
    backbone: str = "half_unet3d"
    """A name in `fmtutor.nets.BACKBONES`."""
    channels: tuple[int, ...] = (24, 48, 96, 128)
    """Features of the backbone, see `fmtutor.nets.build`."""
    dice: str = "volume"
    """"volume", or "slice": the published code's Dice, slice by slice (see CARD)."""
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

    def __post_init__(self) -> None:
        if self.dice not in DICE_FORMS:
            raise ValueError(f"dice must be one of {DICE_FORMS}, got {self.dice!r}; pick one.")

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls(backbone="unet3d", channels=(8, 16), patch=(16, 16, 16), lr=2e-2, steps=60)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort with completed labels."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU, the published network and patch, at the rate of a batch of 4."""
        sizes = {"steps": 25_000, "warmup_steps": 250, "batch": 4, "lr": 5e-4, "dice": "volume"}
        return cls.paper(**{**sizes, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol of the SegResNet; `batch` is that of one of its 8 GPUs.

        800 epochs of 2,100 volumes, a patch of each, at 8 x 16 patches a step make 13,125 steps;
        warm-up 20 epochs. The 25 classes are those of AbdomenAtlas 1.1.
        """
        published = cls(
            classes=tuple(row["name"] for row in read_table("taxonomies/abdomen_atlas_25.csv")),
            backbone="segresnet",
            channels=(16,),
            dice="slice",
            spacing_mm=(1.5, 1.5, 1.5),
            patch=(96, 96, 96),
            batch=16,
            steps=13_125,
            warmup_steps=328,
            lr=1e-3,
        )
        return replace(published, **changes)

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for the channels of a vocabulary."""
        return replace(self, classes=words.names)


class Suprem(nn.Module):
    """A backbone and one 1x1x1 convolution with an output per class."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone = network
        self.classifier = LinearHead(network.out_channels, classes)

    def forward(self, image: Image) -> Logits:
        """Return one logit per class and voxel."""
        return self.classifier(self.backbone(image))


def build(config: Config) -> Suprem:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = Suprem(backbone(config.backbone, config.channels), len(config.classes))
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return cross-entropy over all known classes plus Dice over those present in the patch."""
    return partial_loss(
        model(batch.image),
        batch.target,
        batch.known,
        reduction="pair_mean",
        dice=config_of(model).dice,
        smooth="denominator",
        present_only=True,
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
    name="SuPreM",
    title="How Well Do Supervised 3D Models Transfer to Medical Imaging Tasks?",
    year=2024,
    paper="https://openreview.net/forum?id=AhizIPytk4",
    code="https://github.com/MrGiovanni/SuPreM",
    licence_code="CC BY-NC-ND 4.0, with a note on pending patents",
    licence_weights="CC BY-NC-ND 4.0",
    deviations=(
        "quick() and gpu() take the Dice over the patch; the published code takes it slice by "
        "slice (a patch without its batch axis), which paper() keeps as dice='slice'.",
        "A patch without any class costs no Dice; the published code adds a constant 1.",
        "quick() has the lean U-Net of the comparison at 3 mm; paper() has SegResNet with 16 "
        "filters, 25 plain outputs in the order of AbdomenAtlas 1.1.",
        "The released weights of the U-Net and the Swin UNETR have 32 outputs in the order of "
        "CLIP-Driven and a text-driven head; they are not this network.",
        "The steps of paper() count one patch per volume and epoch; the published loader's count "
        "and its SmartCache are not repeated. AdamW decays along a cosine.",
        "On the virtual cohort one model completes the labels and nobody revises them; "
        "AbdomenAtlas had three models and annotators for the most suspicious answers.",
        "Positive and negative patch centres are drawn as for every system here, not 2:1.",
    ),
    notebook="02",
)
