"""UniSeg: a learnable prompt volume at the bottleneck tells one decoder which task is meant.

Med3D needs a decoder per task; a one-hot code (DoDNet) knows nothing of how tasks relate. UniSeg
keeps one network and learns a *universal prompt*: a small volume P with one channel per task and a
place for every voxel of the bottleneck. Three convolutions, FUSE, look at it together with the
image's own features and return one map per task, the *task prompts*; the map of the task in hand
is handed to the decoder as one channel more:

    F = encoder(x),   [Q_1 ... Q_T] = FUSE([F, P]),   z = head(decoder([F, Q_t])).

The prompts see the image and each other before a task is chosen, so what two tasks share is
learnt once; and encoder and FUSE run once however many tasks are asked, the decoder once a task.

The head has a background and as many channels as the largest task has classes; task t reads K_t
of them, as a softmax (Dice + cross-entropy) with the background that the task declares:

    p_k = exp(z_k) / (exp(z_0) + sum_{j=1..K_t} exp(z_j)).

Only differences z_k - z_0 matter to it, and they are what the model returns. If the regions of a
task overlap (a lesion inside the liver), each class alone competes with the background: a sigmoid
of z_k - z_0.

Source: Ye, Xie, Zhang, Chen, Xia, "UniSeg: A Prompt-driven Universal Segmentation Model as well as
A Strong Representation Learner", MICCAI 2023.
Taught in: 04
"""

from collections.abc import Sequence
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
from fmtutor.data.taxonomies import protocols
from fmtutor.engine.inference import Prediction, segment
from fmtutor.nets.unet3d import UNet3d
from fmtutor.nets.universal_prompt import AgainstBackground, UniversalPrompt, prompted_unet
from fmtutor.paradigms import config_of
from fmtutor.paradigms.partial.task_loss import (
    TaskAnswers,
    in_own_channels,
    one_versus_rest,
    own_task_loss,
    shared_outputs,
    tasks_of,
)
from fmtutor.paradigms.partial.votes import vote, voters_of


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out per protocol: the channels of one protocol are one task."""
    return Vocabulary.per_protocol(protocols)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, its tasks, and how it is trained."""

    tasks: tuple[tuple[str, ...], ...] = ()
    """Per task number, the names of its channels ("dataset/region"), in vocabulary order."""
    exclusive: tuple[bool, ...] = ()
    """Per task, whether its regions exclude each other: softmax then, sigmoids otherwise."""
    outputs: tuple[tuple[int, ...], ...] = ()
    """Per task, the class channel of the shared head that each class reads."""
    backbone: str = "half_unet3d"
    """"unet3d", "lean_unet3d" or "half_unet3d"."""
    channels: tuple[int, ...] = (24, 48, 96, 128)
    """Features per level of the backbone."""
    strides: tuple[tuple[int, int, int], ...] = ()
    """Of each level of a "unet3d", the input's first; none means the backbone's own."""
    fuse_width: int = 0
    """Features inside FUSE; 0 means a quarter of its input channels, as published."""
    prompt_scale: float = 10.0
    """Factor on the task's prompt before the decoder; 1 as published, see the CARD."""
    present_only: bool = False
    """Take Dice only over classes with a voxel in the patch; the published loss takes all."""
    deep_supervision: bool = False
    """Whether the coarser decoder levels have heads and losses of their own, as published."""
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    """Voxel edges that images are resampled to."""
    patch: tuple[int, int, int] = (64, 64, 24)
    """Voxels of a training patch and of the sliding window; the prompt fits no other size."""
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

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        net = {"backbone": "unet3d", "channels": (8, 16, 16), "patch": (16, 16, 16)}
        return cls.quick(**{**net, "lr": 2e-2, "steps": 60, "warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort."""
        centres = vocabulary([centre.protocol for centre in CENTRES.values()])
        return replace(cls(present_only=True).with_vocabulary(centres), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network, patch and spacing, with fewer steps."""
        return cls.paper(**{"steps": 25_000, "warmup_steps": 250, "prompt_scale": 10.0, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol: 11 tasks, 1000 epochs of 50 steps a task, batch 2.

        `lr` suits AdamW; the original has SGD at 1e-2.
        """
        net = {"backbone": "unet3d", "channels": (32, 64, 128, 256, 320, 320)}
        levels = {"strides": ((1, 1, 1), (2, 2, 1), *[(2, 2, 2)] * 4), "prompt_scale": 1.0}
        geometry = {"spacing_mm": (1.5, 1.5, 3.0), "patch": (192, 192, 64), "batch": 2}
        recipe = {"steps": 550_000, "warmup_steps": 0, "lr": 5e-4, "weight_decay": 3e-5}
        published = cls(deep_supervision=True).with_vocabulary(vocabulary(protocols("uniseg")))
        return replace(published, **{**net, **levels, **geometry, **recipe, **changes})

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for a vocabulary laid out per protocol.

        Raises:
            ValueError: A channel is shared by protocols: then it belongs to no task.
        """
        tasks, exclusive = tasks_of(words, system="uniseg")
        return replace(self, tasks=tasks, exclusive=exclusive, outputs=shared_outputs(tasks))


class UniSeg(nn.Module):
    """Encoder, universal prompt, decoder and shared output layer."""

    def __init__(self, network: UNet3d, config: Config) -> None:
        super().__init__()
        self.config, self.backbone = config, network
        features, tasks = network.bottleneck_channels, len(config.tasks)
        width = config.fuse_width or (features + tasks) // 4
        self.prompt = UniversalPrompt(
            features, tasks, width=width, patch=config.patch, divisor=network.divisor
        )
        # With deep supervision, heads at all decoder levels but the deepest.
        heads = max(1, len(network.level_channels) - 2) if config.deep_supervision else 1
        widths, classes = network.level_channels[:heads], 1 + max(map(max, config.outputs))
        self.heads = nn.ModuleList(AgainstBackground(width, classes) for width in widths)

    def forward(
        self, image: Image, task: Task | None = None, *, answer: Sequence[int] | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Return the logits of each sample's own task, or without tasks the answers of several.

        Args:
            image: Normalised images of the size of the training patch.
            task: Which task prompt each sample is decoded with.
            answer: Without ``task``: the tasks to decode every sample for; None is all.

        Returns:
            With tasks, logits relative to the background in the order of ``config.classes``, 0
            where not of a sample's task; in training with deep supervision a tuple, finest first.
            Without, logits of the tasks in ``answer`` whose sigmoids are the probabilities.
        """
        features, prompts = self.encode(image)
        if task is None:
            numbers = range(len(self.config.tasks)) if answer is None else answer
            return torch.cat([self._answer(features, prompts, number) for number in numbers], 1)
        own = prompts[torch.arange(len(task), device=task.device), task.long()]
        levels = self._decode(features, own[:, None])
        tasks, outputs = self.config.tasks, self.config.outputs
        maps = tuple(in_own_channels(logits, task, tasks, outputs) for logits in levels)
        return maps if self.training and self.config.deep_supervision else maps[0]

    def encode(self, image: Image) -> tuple[list[Tensor], Float[Tensor, "B T h w d"]]:
        """Return the features of every level and the prompts of every task."""
        features = self.backbone.encode(image)
        return features, self.prompt(features[-1])

    def _decode(self, features: list[Tensor], prompt: Tensor) -> list[Tensor]:
        """Decode with one prompt (B, 1, h, w, d) per sample, into one map for each head."""
        prompted = torch.cat((features[-1], self.config.prompt_scale * prompt), 1)
        levels = self.backbone.decode([*features[:-1], prompted])
        return [head(level) for head, level in zip(self.heads, levels, strict=False)]

    def _answer(self, features: list[Tensor], prompts: Tensor, number: int) -> Tensor:
        logits = self._decode(features, prompts[:, number : number + 1])[0]
        logits = logits[:, list(self.config.outputs[number])]
        if not self.config.exclusive[number]:
            return logits
        return one_versus_rest(torch.cat((logits, torch.zeros_like(logits[:, :1])), 1))


def build(config: Config) -> UniSeg:
    """Build the network; it keeps the configuration as ``model.config``.

    Raises:
        ValueError: No tasks, a backbone that takes no prompt, or a patch that it cannot halve.
    """
    if not config.tasks:
        raise ValueError("UniSeg needs tasks, got none; use Config.with_vocabulary or quick().")
    return UniSeg(unet(config, prompt_channels=1), config)


def unet(config: Config, *, prompt_channels: int) -> UNet3d:
    """Return its backbone."""
    own = {"strides": config.strides} if config.strides else {}
    return prompted_unet(config.backbone, config.channels, prompt_channels=prompt_channels, **own)


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean of the samples' own tasks' losses, over levels with weights 2^-l."""
    config, output = config_of(model), model(batch.image, batch.task)
    levels = output if isinstance(output, tuple) else (output,)
    total, weights = output[0].new_zeros(()), [0.5**level for level in range(len(levels))]
    for weight, logits in zip(weights, levels, strict=True):
        h, w, d = (f // c for f, c in zip(batch.image.shape[2:], logits.shape[2:], strict=True))
        image, target = (x[:, :, ::h, ::w, ::d] for x in (batch.image, batch.target))
        thin = replace(batch, image=image, target=target)
        zero = torch.zeros_like(logits[:, :1])  # the logits are relative to the background
        loss = own_task_loss(
            logits, zero, thin, exclusive=config.exclusive, present_only=config.present_only
        )
        total = total + loss * (weight / sum(weights))
    return total


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment the regions asked for; only their tasks are decoded.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone: "dataset/region" names the task; a bare region is the vote of the
            tasks that have one; without names, every task is answered.

    Raises:
        ValueError: No channel has a name asked for, or the ask has another part.
    """
    config = config_of(model)
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    voters = voters_of(config.classes, asked)
    wanted = {full for found in voters.values() for full in found}
    numbers = [n for n, names in enumerate(config.tasks) if wanted & set(names)]
    every = segment(
        TaskAnswers(model, numbers),
        case,
        names=[name for number in numbers for name in config.tasks[number]],
        spacing_mm=config.spacing_mm,
        patch=config.patch,
        wanted=sorted(wanted),
    )
    return vote(every, voters)


CARD = Card(
    name="UniSeg",
    title="UniSeg: A Prompt-driven Universal Segmentation Model as well as A Strong Representation "
    "Learner",
    year=2023,
    paper="https://arxiv.org/abs/2304.03493",
    code="https://github.com/yeerwen/UniSeg",
    licence_code="non-commercial",
    licence_weights="non-commercial",
    deviations=(
        "Every sample is decoded with the prompt of its own task; the original takes the task of "
        "the first sample for the whole batch, and fills each batch from one task.",
        "AdamW with a cosine in place of SGD (1e-2, polynomial decay).",
        "One input channel, spacing and intensity window; the original has a first convolution "
        "each for 1, 2 and 4 modalities, of 3x3x1, and plans the rest per task.",
        "A task whose regions overlap has a sigmoid of each class against the background; all "
        "published tasks have a softmax.",
        "Dice is taken over each sample, not the batch, without the background; targets of coarser "
        "levels take every n-th voxel.",
        "A voxel belongs to a softmax class above probability 1/2; the original takes the largest.",
        "Without a task all are answered, and a bare region by the mean of its tasks; the original "
        "asks the user for one task.",
        "Classes of one name read the same channel of the head in every task; the original gives "
        "each task the first channels, which is the same where no class is shared.",
        "quick() has a half-resolution U-Net without deep supervision, and Dice over the classes "
        "present in the patch only.",
        "quick() and gpu() hand the decoder ten times the prompt: AdamW moves a weight by at most "
        "the learning rate, and 300 steps of quick() with the published 1 did not come to heed it.",
    ),
    notebook="04",
)
