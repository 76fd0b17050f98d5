"""Med3D: one encoder for all datasets, one decoder for each.

The first answer to partial labels, and the ImageNet philosophy for volumes: every dataset gets a
decoder and an output of its own, so nobody's "background" speaks about anybody else's organs, and
all of them train one encoder. The decoders are kept light, so that the encoder has to learn what
is general; afterwards they are thrown away, and the encoder is what is published and reused.

A sample of task t goes through the encoder f and decoder g_t alone:

    z = g_t(f(x)),    L = cross-entropy(softmax(z), y) over the classes of t and its background,

where "background" is declared by the task: the complement of what it annotates. If the regions of
a task overlap (a lesion inside the liver), its outputs are sigmoids.

`encoder_of` takes the encoder out; `transfer` puts a new decoder on it, frozen or not. The
published weights (MedicalNet) load with ``hub.load("medicalnet-10", path)``.

Source: Chen, Ma, Zheng, "Med3D: Transfer Learning for 3D Medical Image Analysis", 2019.
Taught in: 02
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.axes import Image, Task
from fmtutor.core.card import Card
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.engine.inference import Prediction, segment
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.resnet3d import LightDecoder, ResNetEncoder
from fmtutor.paradigms import config_of
from fmtutor.paradigms.partial.task_loss import (
    one_versus_rest,
    own_task_loss,
    task_columns,
    tasks_of,
)
from fmtutor.paradigms.partial.votes import vote, voters_of


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out per protocol: the channels of one protocol are one decoder's outputs."""
    return Vocabulary.per_protocol(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The encoder, the classes of each decoder, and how all is trained."""

    tasks: tuple[tuple[str, ...], ...] = ()
    """Per task number, the names of its channels ("dataset/region"), in vocabulary order."""
    exclusive: tuple[bool, ...] = ()
    """Per task, whether its regions exclude each other: softmax then, sigmoids otherwise."""
    depth: int = 10
    """Layers of the ResNet: 10, 18, 34, 50, 101, 152 or 200."""
    width: float = 0.25
    """Factor on the published widths 64 to 512."""
    decoder_width: int = 16
    """Features of each decoder."""
    norm: str = "instance"
    """"batch" as published, or "instance", which suits small batches."""
    dice_weight: float = 1.0
    """Weight of a Dice loss beside the cross-entropy; the published loss has none."""
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: tuple[int, int, int] = (64, 64, 32)
    """Voxels of a training patch and of the sliding window."""
    batch: int = 2
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

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls.quick(patch=(16, 16, 16), decoder_width=16, lr=2e-2, steps=60, warmup_steps=0)
        return replace(small, **{"width": 0.125, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort."""
        centres = vocabulary([centre.protocol for centre in CENTRES.values()])
        return replace(cls().with_vocabulary(centres), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published ResNet-50 at 1.5 mm."""
        sizes = {"spacing_mm": (1.5, 1.5, 1.5), "patch": (128, 128, 96), "steps": 25_000}
        return cls.paper(**{**sizes, "dice_weight": 1.0, "batch": 4, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """What is known of the published protocol: ResNet-50, whole volumes of 448x448x56 voxels,
        cross-entropy, SGD 1e-3, weight decay 1e-3. Its pre-training loop was never released.
        """
        published = cls.quick(depth=50, width=1.0, decoder_width=32, norm="batch", dice_weight=0.0)
        geometry = {"spacing_mm": (0.9, 0.9, 6.0), "patch": (448, 448, 56), "batch": 1}
        recipe = {"steps": 200_000, "lr": 1e-3, "weight_decay": 1e-3}
        return replace(published, **{**geometry, **recipe, **changes})

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for a vocabulary laid out per protocol.

        Raises:
            ValueError: A channel is shared by protocols: then it has no decoder of its own.
        """
        tasks, exclusive = tasks_of(words, system="med3d")
        return replace(self, tasks=tasks, exclusive=exclusive)


class Med3d(nn.Module):
    """The shared encoder and a decoder per task."""

    def __init__(self, encoder: ResNetEncoder, config: Config) -> None:
        super().__init__()
        self.config, self.encoder = config, encoder
        width, norm = config.decoder_width, config.norm
        self.decoders = nn.ModuleList(
            nn.Sequential(
                LightDecoder(encoder.level_channels, width=width, norm=norm),
                LinearHead(width, len(names) + 1),  # the last one is the task's background
            )
            for names in config.tasks
        )

    def forward(self, image: Image, task: Task | None = None) -> Float[Tensor, "B O H W D"]:
        """Return the logits of each sample's own task, or without tasks the answers of all.

        Args:
            image: Normalised images.
            task: Which decoder each sample goes through.

        Returns:
            With tasks, L class logits (in the order of ``config.classes``), then one background
            logit per task; what is not of a sample's task is 0. Without, L logits whose sigmoids
            are the probabilities, whether a task has a softmax or not.
        """
        features = self.encoder(image)
        if task is None:
            every = [decoder(features) for decoder in self.decoders]
            pairs = zip(every, self.config.exclusive, strict=True)
            return torch.cat([one_versus_rest(z) if soft else z[:, :-1] for z, soft in pairs], 1)
        out = None
        for number in task.unique().tolist():
            rows = (task == number).nonzero()[:, 0]
            logits = self.decoders[number]([level[rows] for level in features])
            if out is None:
                channels = len(self.config.classes) + len(self.config.tasks)
                out = logits.new_zeros(len(image), channels, *image.shape[2:])
            out[rows[:, None], torch.tensor(self.columns(number), device=task.device)] = logits
        return out

    def columns(self, task: int) -> list[int]:
        """Return the output channels of a task, its background last."""
        tasks, classes = self.config.tasks, len(self.config.classes)
        return [*task_columns(tasks, task), classes + task]


def build(config: Config) -> Med3d:
    """Build the network; it keeps the configuration as ``model.config``.

    Raises:
        ValueError: The configuration has no tasks.
    """
    if not config.tasks:
        raise ValueError("Med3D needs tasks, got none; use Config.with_vocabulary or quick().")
    return Med3d(ResNetEncoder(config.depth, width=config.width, norm=config.norm), config)


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean over samples of each one's own task's loss."""
    config = config_of(model)
    output = model(batch.image, batch.task)
    classes = len(config.classes)
    task = batch.task.long()
    background = output[torch.arange(len(task), device=task.device), classes + task][:, None]
    return own_task_loss(
        output[:, :classes],
        background,
        batch,
        exclusive=config.exclusive,
        dice_weight=config.dice_weight,
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


def encoder_of(model: Med3d) -> ResNetEncoder:
    """Return the encoder, which is what Med3D publishes; its decoders are scaffolding."""
    return model.encoder


def transfer(model: Med3d, classes: Sequence[str], *, freeze: bool = False) -> Med3d:
    """Return a network for a new dataset: a copy of the encoder and one new decoder.

    Args:
        model: A pre-trained network; it is left as it is.
        classes: Regions of the new dataset, which exclude each other.
        freeze: Train the new decoder alone.
    """
    config = replace(config_of(model), tasks=(tuple(classes),), exclusive=(True,))
    encoder = deepcopy(encoder_of(model)).requires_grad_(not freeze)
    return Med3d(encoder, config)


CARD = Card(
    name="Med3D",
    title="Med3D: Transfer Learning for 3D Medical Image Analysis",
    year=2019,
    paper="https://arxiv.org/abs/1904.00625",
    code="https://github.com/Tencent/MedicalNet",
    licence_code="MIT",
    licence_weights="MIT",
    deviations=(
        "The pre-training loop was never released: routing, AdamW and sampling are ours.",
        "Each decoder is a light one with two skips, up to the input grid; MedicalNet's transfer "
        "head ends at stride 4 and shrinks the labels.",
        "Softmax over a task's classes with a background that the task declares; a task whose "
        "regions overlap has sigmoids with cross-entropy.",
        "quick() adds a Dice loss, has instance norm and a quarter of the width; paper() has "
        "cross-entropy and batch norm.",
        "Volumes keep their proportions: paper() has 448x448x56 voxels of 0.9x0.9x6 mm, where the "
        "original resizes every volume to that many voxels.",
        "A voxel belongs to a softmax class above probability 1/2; the original takes the "
        "largest, which is the same for one class and its background.",
        "Shortcuts of type A carry gradients; the original's cut them.",
    ),
    notebook="02",
)
