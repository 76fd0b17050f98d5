"""MultiTalent: one sigmoid channel per dataset *and* region, so that protocols may contradict.

"Liver" includes the tumour in one dataset and excludes it in the next; the aorta ends where each
protocol says. MultiTalent lets every dataset keep its own channels: nothing is shared but the
network below the heads, so nothing has to agree, and regions of one dataset may overlap. For the
(dataset, region) pairs r that a sample b annotates,

    L = sum_b sum_{r known in b} mean BCE(z[b,r], y[b,r])  +  sum_r (1 - batch Dice_r)

    batch Dice_r = 2 TP_r / (2 TP_r + FP_r + FN_r),  soft counts over the whole batch,

summed over regions, never averaged, so a region keeps its gradient however many others there are.
With deep supervision the same loss is taken at each decoder level l, weighted by 2^-l (normalised,
the deepest level dropped).

Source: Ulrich et al., "MultiTalent: A Multi-Dataset Approach to Medical Image Segmentation",
MICCAI 2023.
Taught in: 02
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
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
from fmtutor.paradigms.partial.votes import vote, voters_of


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel per protocol and region; nothing is shared."""
    return Vocabulary.per_protocol(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, its channels, and how it is trained."""

    classes: tuple[str, ...] = vocabulary([c.protocol for c in CENTRES.values()]).names
    """Name of each channel, "dataset/region"."""
    backbone: str = "unet3d"
    """A name in `fmtutor.nets.BACKBONES`; deep supervision needs "unet3d"."""
    channels: tuple[int, ...] = (16, 32, 64, 128)
    """Features per level of the backbone."""
    deep_supervision: bool = True
    """Whether the coarser decoder levels have heads and losses of their own."""
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: tuple[int, int, int] = (64, 64, 32)
    """Voxels of a training patch and of the sliding window."""
    batch: int = 2
    """Patches per step; the Dice is taken over all of them together."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls(channels=(8, 16, 16), patch=(16, 16, 16), lr=2e-2, steps=80)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network and spacing, a tenth of the published steps."""
        return cls.paper(**{"steps": 25_000, "warmup_steps": 250, "batch": 2, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol: 47 channels, 1000 epochs of 250 steps, batch 4.

        `lr` is that of its Swin UNETR variant, which has AdamW as we do; its U-Net has SGD.
        """
        rows = read_table("taxonomies/multitalent.csv")
        published = cls(
            classes=tuple(f"{row['protocol']}/{row['name']}" for row in rows),
            channels=(32, 64, 128, 256, 320, 320),
            spacing_mm=(1.0, 1.0, 1.5),
            patch=(192, 192, 96),
            batch=4,
            steps=250_000,
            warmup_steps=0,
            lr=5e-4,
            weight_decay=3e-5,
        )
        return replace(published, **changes)

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for the channels of a vocabulary."""
        return replace(self, classes=words.names)


class MultiTalent(nn.Module):
    """A backbone with a bank of 1x1x1 heads: every channel, at every supervised level."""

    def __init__(self, network: nn.Module, classes: int, *, deep: bool) -> None:
        super().__init__()
        self.backbone, self.deep = network, deep
        widths = (network.out_channels,)
        if deep:  # all decoder levels but the deepest, and the finest in any case
            widths = network.level_channels[: max(1, len(network.level_channels) - 2)]
        self.heads = nn.ModuleList(LinearHead(width, classes) for width in widths)

    def forward(self, image: Image) -> Tensor | tuple[Tensor, ...]:
        """Return logits on the input grid; in training with deep supervision, of every level."""
        if not (self.deep and self.training):
            return self.heads[0](self.backbone(image))
        levels = self.backbone.decode(self.backbone.encode(image))  # finest first
        return tuple(head(level) for head, level in zip(self.heads, levels, strict=False))


def build(config: Config) -> MultiTalent:
    """Build the network; it keeps the configuration as ``model.config``.

    Raises:
        ValueError: Deep supervision is asked of a backbone without decoder levels.
    """
    network = backbone(config.backbone, config.channels)
    if config.deep_supervision and not hasattr(network, "level_channels"):
        raise ValueError(
            f"deep supervision needs the decoder levels of 'unet3d', got {config.backbone!r}; "
            "set deep_supervision=False."
        )
    model = MultiTalent(network, len(config.classes), deep=config.deep_supervision)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss summed over known regions, averaged over levels with weights 2^-l."""
    output = model(batch.image)
    levels = output if isinstance(output, tuple) else (output,)
    weights = torch.tensor([0.5**level for level in range(len(levels))])
    weights = weights / weights.sum()
    return sum(  # type: ignore[return-value]
        weight * region_loss(logits, batch)
        for weight, logits in zip(weights.tolist(), levels, strict=True)
    )


def region_loss(logits: Logits, batch: Batch) -> Tensor:
    """Return the loss at one level; the target is thinned to the level's grid."""
    h, w, d = (
        fine // coarse for fine, coarse in zip(batch.image.shape[2:], logits.shape[2:], strict=True)
    )
    target = batch.target[:, :, ::h, ::w, ::d]
    return partial_loss(
        logits, target, batch.known, reduction="class_sum", dice="batch", smooth="none"
    )


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment the regions asked for.

    "liver_unit/liver" is that dataset's reading of the liver. A bare "liver" is the vote of all
    datasets that have one: the mean of their probabilities. Without names, every channel is
    answered under its full name.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone.

    Raises:
        ValueError: No channel has a name asked for, or the ask has another part.
    """
    config = config_of(model)
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    voters = voters_of(config.classes, asked)
    every = segment(
        model,
        case,
        names=config.classes,
        spacing_mm=config.spacing_mm,
        patch=config.patch,
        wanted=sorted({full for found in voters.values() for full in found}),
    )
    return vote(every, voters)


CARD = Card(
    name="MultiTalent",
    title="MultiTalent: A Multi-Dataset Approach to Medical Image Segmentation",
    year=2023,
    paper="https://arxiv.org/abs/2303.14444",
    code="https://github.com/MIC-DKFZ/MultiTalent",
    licence_code="Apache-2.0",
    licence_weights="see Zenodo 8297767",
    deviations=(
        "AdamW with a cosine in place of SGD (1e-2, Nesterov 0.99, polynomial decay).",
        "The Dice term is 1 - Dice in place of -Dice: a constant per region, no other gradient.",
        "The batch Dice is taken over the patches of one process, not gathered over GPUs.",
        "Targets of coarser levels take every n-th voxel.",
        "The published patch and pooling are planned by nnU-Net; paper() has the patch of the "
        "Swin UNETR variant and pools all axes alike.",
        "A bare region name is answered by the mean of its datasets; the original writes one file "
        "per region and one per dataset.",
    ),
    notebook="02",
)
