"""DoDNet: one network for all tasks, whose last three layers are written anew for each task.

A task (a dataset with its classes) is a one-hot vector t. With the pooled bottleneck g of the image
it goes through one linear layer, the controller, which gives the parameters of the head:

    theta = C [g; t] + c,      z = head(features; theta),      8 - 8 - O units, O outputs a task.

So encoder, decoder and controller learn from everybody, and what makes a task itself is one column
of C: 162 numbers at the published size. Nothing is said about classes of other tasks: they have no
output when this task is asked. Compare `fmtutor.paradigms.partial.clip_driven`, where a sentence
takes the place of the one-hot vector, and `fmtutor.paradigms.partial.med3d`, where a whole decoder
takes the place of the column.

Loss: sigmoid BCE and Dice over the regions that the task annotates. Organ and tumour are two
outputs, and the organ's region holds its tumour where the dataset says so.

Source: Zhang, Xie, Xia, Shen, "DoDNet: Learning to Segment Multi-Organ and Tumors from Multiple
Partially Labeled Datasets", CVPR 2021, equations 2 and 3.
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
from fmtutor.core.axes import Image, Logits, Task
from fmtutor.core.card import Card
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.engine.inference import Prediction, segment
from fmtutor.losses.partial import partial_loss
from fmtutor.nets.build import backbone
from fmtutor.nets.dynamic_head import dynamic_head
from fmtutor.nets.head_parameters import HeadController, HeadShape
from fmtutor.nets.working_grid import finest_features, to_input_grid
from fmtutor.paradigms import config_of
from fmtutor.paradigms.partial.votes import vote, voters_of

MOTS = ("liver", "kidney", "hepatic_vessel", "pancreas", "colon", "lung", "spleen")
"""The seven tasks of the paper, each with the outputs organ and tumour."""


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out per protocol: the channels of one protocol are one task's outputs."""
    return Vocabulary.per_protocol(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, the regions of each task, and how it is trained."""

    tasks: tuple[tuple[str, ...], ...] = ()
    """Per task number, the names of its outputs ("dataset/region"), in vocabulary order."""
    backbone: str = "half_unet3d"
    """A name in `fmtutor.nets.BACKBONES`; "residual_unet" is the published one."""
    channels: tuple[int, ...] = (24, 48, 96, 128)
    """Features of the backbone, see `fmtutor.nets.build`."""
    present_only: bool = False
    """Take Dice only over classes with a voxel in the patch; the published loss takes all."""
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: tuple[int, int, int] = (64, 64, 24)
    """Voxels of a training patch and of the sliding window."""
    batch: int = 1
    """Patches per step; a batch may mix tasks."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all channels, task after task."""
        return tuple(name for task in self.tasks for name in task)

    @property
    def outputs(self) -> int:
        """Outputs of the head: those of the task with the most."""
        return max((len(task) for task in self.tasks), default=0)

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        net = {"channels": (8, 16), "backbone": "unet3d", "patch": (16, 16, 16)}
        small = {"lr": 1e-2, "steps": 50, "warmup_steps": 0}
        return cls.quick(**{**net, **small, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort."""
        centres = vocabulary([centre.protocol for centre in CENTRES.values()])
        return replace(cls(present_only=True).with_vocabulary(centres), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network and patch on the virtual cohort."""
        own = {"tasks": cls.quick().tasks, "spacing_mm": (1.5, 1.5, 1.5), "patch": (128, 128, 96)}
        return cls.paper(**{**own, "steps": 25_000, "batch": 4, "present_only": True, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol: seven tasks of organ and tumour, patches of 192x192x64 voxels."""
        published = cls(
            tasks=tuple((f"{name}/{name}", f"{name}/{name}_lesion") for name in MOTS),
            backbone="residual_unet",
            channels=(32, 64, 128, 256, 256),
            spacing_mm=(0.8, 0.8, 1.5),
            patch=(192, 192, 64),
            batch=2,
            steps=250_000,
            warmup_steps=0,
            lr=1e-3,
        )
        return replace(published, **changes)

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for a vocabulary laid out per protocol.

        Raises:
            ValueError: A channel is shared by protocols: then it is not one task's output.
        """
        if words.names != vocabulary(words.protocols).names:
            raise ValueError(
                "DoDNet needs one channel per protocol and region, got shared ones; make the "
                "vocabulary with dodnet.vocabulary(protocols)."
            )
        names = iter(words.names)
        tasks = tuple(tuple(next(names) for _ in p.regions) for p in words.protocols)
        return replace(self, tasks=tasks)


class TaskColumns(nn.Embedding):
    """What each task adds to the parameters of the head: the columns that one-hot vectors pick."""

    rate = 0.3
    """Learning rate relative to that of a linear head, see `fmtutor.bench.training`: a column is
    all that a task has of its own, and it learns in its own steps alone."""


class TaskController(nn.Module):
    """(pooled image, one-hot task) -> parameters of the head: theta = A g + C t + c.

    Args:
        features: Length of the pooled image.
        tasks: Number of tasks.
        shape: Sizes of the head.
    """

    def __init__(self, features: int, tasks: int, shape: HeadShape) -> None:
        super().__init__()
        self.image = HeadController(features, shape)
        self.task = TaskColumns(tasks, shape.count)
        bound = (features + tasks) ** -0.5  # as a linear layer over both would start
        nn.init.uniform_(self.task.weight, -bound, bound)

    def forward(self, image: Float[Tensor, "B E"]) -> Float[Tensor, "B T P"]:
        """Return the parameters of every task's head for pooled images."""
        return self.image(image)[:, None] + self.task.weight


class DodNet(nn.Module):
    """Backbone, pooled image, controller, dynamic head per task."""

    def __init__(self, network: nn.Module, config: Config) -> None:
        super().__init__()
        self.backbone, self.config = network, config
        fine, deep = network.out_channels, network.bottleneck_channels
        self.shape = HeadShape(outputs=config.outputs)
        self.reduce = nn.Sequential(
            nn.GroupNorm(math.gcd(16, fine), fine), nn.ReLU(), nn.Conv3d(fine, self.shape.width, 1)
        )
        self.pool = nn.Sequential(
            nn.GroupNorm(math.gcd(16, deep), deep), nn.ReLU(), nn.AdaptiveAvgPool3d(1)
        )
        self.controller = TaskController(deep, len(config.tasks), self.shape)
        columns = [
            task * config.outputs + place
            for task, names in enumerate(config.tasks)
            for place in range(len(names))
        ]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)

    def forward(self, image: Image, task: Task | None = None) -> Logits:
        """Return one logit per class of every task and voxel.

        Args:
            image: Normalised images.
            task: Task of each sample; channels of other tasks are 0. None answers all tasks: the
                features are computed once, and each head is a thousandth of them.
        """
        levels = self.backbone.encode(image)
        theta = self.controller(self.pool(levels[-1]).flatten(1))
        asked = None
        if task is not None:
            asked = nn.functional.one_hot(task.long(), len(self.config.tasks)).bool()
        features = self.reduce(finest_features(self.backbone, levels))
        every = dynamic_head(features, theta, asked, shape=self.shape)
        logits = every.index_select(1, self.columns)
        used = None if asked is None else asked.any(0)[self.columns // self.shape.outputs]
        return to_input_grid(self.backbone, logits, used)


def build(config: Config) -> DodNet:
    """Build the network; it keeps the configuration as ``model.config``.

    Raises:
        ValueError: The configuration has no tasks.
    """
    if not config.tasks:
        raise ValueError("DoDNet needs tasks, got none; use Config.with_vocabulary or quick().")
    return DodNet(backbone(config.backbone, config.channels), config)


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean of BCE + Dice over the known (sample, class) pairs of a batch."""
    return partial_loss(
        model(batch.image, batch.task),
        batch.target,
        batch.known,
        reduction="pair_mean",
        present_only=config_of(model).present_only,
    )


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment the regions asked for: "dataset/region", or a bare region for the datasets' vote.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone; without names, every channel.

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
    name="DoDNet",
    title="DoDNet: Learning to Segment Multi-Organ and Tumors from Multiple Partially Labeled "
    "Datasets",
    year=2021,
    paper="https://arxiv.org/abs/2011.10217",
    code="https://github.com/jianpengz/DoDNet",
    licence_code="GPL-3.0",
    licence_weights="GPL-3.0",
    deviations=(
        "A task has as many outputs as its dataset has regions; in the paper all have two. Heads "
        "are as wide as the largest task needs, and spare outputs are dropped.",
        "BCE and Dice are averaged over all known pairs together; the original averages samples "
        "within organ and tumour first. quick() takes Dice over present classes only.",
        "AdamW with a cosine in place of SGD (1e-2, Nesterov 0.99, polynomial decay). The "
        "controller starts from a sensible head in its bias; a task's column moves faster than "
        "the rest, what reads the image slower.",
        "quick() has a small U-Net with instance norm; paper() has the published residual U-Net.",
        "The head is computed in its lean form, equal to the published one, and only for the "
        "sample's own task.",
        "No post-processing: the original keeps the largest component of organs and drops small "
        "tumour components.",
    ),
    notebook="03",
)
