"""The dataset-specific network: a U-Net whose shape follows from the data by rules, as in nnU-Net.

The other side of every comparison with a foundation model. nnU-Net's point is that a plain U-Net,
configured by a few rules from the shapes and spacings of *one* dataset, is hard to beat. The rules
give target spacing, patch, pooling and batch (see `fmtutor.paradigms.reference.planning`).

The loss is cross-entropy + soft Dice over a softmax, at every decoder level l with weight 2^-l
(normalised, the deepest dropped). If regions overlap, sigmoids take the place of the softmax.

Source: Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical
image segmentation", Nature Methods 2021.
Taught in: 02
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.axes import Image
from fmtutor.core.card import Card
from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import KNOWN_STRUCTURES
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.engine.inference import Prediction, segment
from fmtutor.losses.declared import declared_softmax_loss
from fmtutor.losses.partial import partial_loss
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.unet3d import UNet3d
from fmtutor.paradigms import config_of
from fmtutor.paradigms.reference.planning import Plan, Shape, Spacing, plan


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel per name; meant for the one protocol of one dataset."""
    return Vocabulary.shared(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A plan, the classes, and how it is trained."""

    classes: tuple[str, ...] = KNOWN_STRUCTURES
    """Name of each channel."""
    overlapping: bool = False
    """Whether regions overlap: sigmoids then, a softmax with declared background otherwise."""
    spacing_mm: Spacing = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: Shape = (64, 64, 32)
    """Voxels of a training patch and of the sliding window."""
    strides: tuple[Shape, ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    """Stride of each level."""
    channels: tuple[int, ...] = (16, 32, 64, 128)
    """Features per level."""
    batch: int = 2
    """Patches per step."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 3e-5
    """Decoupled weight decay."""

    @classmethod
    def of(cls, rules: Plan, **changes: Any) -> "Config":
        """Take the network from a plan."""
        return cls(**{**vars(rules), **changes})

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        rules = plan([(16, 16, 16)], [(3.0, 3.0, 3.0)], memory_gib=0.1, width=8, widest=16)
        return cls.of(rules, lr=2e-2, steps=60, warmup_steps=0, **changes)

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU: what the rules say for the virtual cohort and a quarter GiB."""
        rules = plan([(122, 101, 80)], [(3.0, 3.0, 3.0)], memory_gib=0.25, width=16, widest=128)
        return cls.of(rules, **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the same rules with its memory, 25,000 steps."""
        rules = plan([(244, 202, 160)] * 50, [(1.5, 1.5, 1.5)] * 50, memory_gib=12.0)
        return cls.of(rules, **{"steps": 25_000, "warmup_steps": 250, "lr": 1e-3, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published length (1000 epochs of 250 steps), planned for a dataset such as LiTS."""
        rules = plan([(512, 512, 482)] * 131, [(0.767, 0.767, 1.0)] * 131)
        return cls.of(rules, **{"steps": 250_000, "warmup_steps": 0, "lr": 1e-3, **changes})

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for the channels of a vocabulary."""
        overlapping = any(
            len(frozenset().union(*(r.structures for r in protocol.regions)))
            < sum(len(r.structures) for r in protocol.regions)
            for protocol in words.protocols
        )
        return replace(self, classes=words.names, overlapping=overlapping)


class NnUNet(nn.Module):
    """A U-Net with a 1x1x1 head at every supervised decoder level."""

    def __init__(self, backbone: UNet3d, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        widths = backbone.level_channels[: max(1, len(backbone.level_channels) - 2)]
        self.heads = nn.ModuleList(LinearHead(width, outputs) for width in widths)

    def forward(self, image: Image) -> Tensor | tuple[Tensor, ...]:
        """Return logits on the input grid; in training those of every level, finest first.

        The classes come first; a softmax system has its background as the last channel.
        """
        levels = self.backbone.decode(self.backbone.encode(image))
        if not self.training:
            return self.heads[0](levels[0])
        return tuple(head(level) for head, level in zip(self.heads, levels, strict=False))


def build(config: Config) -> NnUNet:
    """Build the network; it keeps the configuration as ``model.config``."""
    outputs = len(config.classes) + (not config.overlapping)
    model = NnUNet(UNet3d(1, config.channels, strides=config.strides), outputs)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss averaged over levels with weights 2^-l."""
    output = model(batch.image)
    levels = output if isinstance(output, tuple) else (output,)
    total = sum(0.5**level for level in range(len(levels)))
    return sum(  # type: ignore[return-value]
        0.5**level / total * level_loss(logits, batch) for level, logits in enumerate(levels)
    )


def level_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return cross-entropy + Dice at one level; the target is thinned to the level's grid."""
    h, w, d = (
        fine // coarse for fine, coarse in zip(batch.image.shape[2:], logits.shape[2:], strict=True)
    )
    target, known = batch.target[:, :, ::h, ::w, ::d], batch.known
    classes = target.shape[1]
    if logits.shape[1] == classes:
        return partial_loss(logits, target, known, reduction="pair_mean", smooth="both")
    return declared_softmax_loss(logits[:, :classes], logits[:, classes:], target, known)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment the classes asked for; without names, all of them.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone.

    Returns:
        With a softmax, a prediction of every class and the background, which compete; where
        classes are named, their masks alone.

    Raises:
        ValueError: A class is not among the model's, or the ask has another part.
    """
    config = config_of(model)
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    chosen = [lookup({name: name for name in config.classes}, name, "class") for name in asked]
    geometry = {"spacing_mm": config.spacing_mm, "patch": config.patch}
    if config.overlapping:
        return segment(model, case, names=config.classes, wanted=chosen or None, **geometry)
    names = (*config.classes, "background")
    every = segment(model, case, names=names, activation="softmax", **geometry)
    if not chosen:
        return every
    return Prediction.from_masks({name: every.mask(name) for name in chosen}, case)


CARD = Card(
    name="nnU-Net-like",
    title="nnU-Net: a self-configuring method for deep learning-based biomedical image "
    "segmentation",
    year=2021,
    paper="https://doi.org/10.1038/s41592-020-01008-z",
    code="https://github.com/MIC-DKFZ/nnUNet",
    licence_code="Apache-2.0",
    licence_weights="see Zenodo 4003545",
    deviations=(
        "AdamW with a cosine in place of SGD (1e-2, Nesterov 0.99, polynomial decay 0.9).",
        "Rules for one 3D network at full resolution only: no 2D network, cascade, ensemble or "
        "choice among them by cross-validation, and no post-processing rule.",
        "Every convolution is 3x3x3; nnU-Net takes 1 along thick slices at the fine levels.",
        "Memory is an estimate from the feature maps, not a table of measured networks.",
        "Classes that a sample does not annotate leave the softmax, which nnU-Net cannot do.",
        "Intensities are windowed as for the other systems, not z-scored per dataset.",
        "Targets of coarser levels take every n-th voxel.",
    ),
    notebook="02",
)
