"""Hermes: tell the network which dataset is asking and what kind of scan it sees, as tokens.

A resident learns from many departments at once and knows of every case where it comes from. Hermes
gives a U-Net this context as *priors*: a learned token for each (dataset, class) pair, and a few
for each imaging modality. A sample brings the tokens of its own dataset's classes and of its own
modality; at several levels they read the image, and the image reads them (`fmtutor.nets.
prior_fusion`). What comes out, the posterior t_k of class k over all levels, writes the last layer:

    z_k(v) = MLP(LN(t_k)) . f(v) + b_k.

Only tokens that were asked for have an output, so nothing else can be wrong: unknown classes take
no part. The loss is cross-entropy plus a Tversky loss that leans towards the error being made
(`fmtutor.losses.tversky`), with 0.01 of the cross-entropy of a classifier that reads the modality
off its tokens' posteriors, where the modality is known.

Tokens of the same organ from different datasets should come to lie near each other: see
`task_priors`, `task_posteriors` and `fmtutor.bench.figures_prompts`.

Source: Gao et al., "Training Like a Medical Resident: Context-Prior Learning Toward Universal
Medical Image Segmentation", CVPR 2024.
Taught in: 04
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.axes import Image, Logits, Task
from fmtutor.core.card import Card
from fmtutor.core.tables import lookup
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.engine.inference import Prediction, segment
from fmtutor.losses.tversky import partial_tversky_loss
from fmtutor.nets.build import backbone
from fmtutor.nets.prior_fusion import FusedUNet, PosteriorClassifier, mlp
from fmtutor.nets.unet3d import UNet3d
from fmtutor.paradigms import config_of
from fmtutor.paradigms.partial.votes import vote, voters_of

PHASES = {"none": "CT plain", "arterial": "CT arterial", "portal": "CT portal"}
"""Contrast phase of a virtual centre to the modality it stands for."""


def vocabulary(protocols: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel, and so one task token, per protocol and region."""
    return Vocabulary.per_protocol(protocols)


def modality_of_centre(name: str) -> str:
    """Return the modality of a virtual centre whose scans all have one phase, else ""."""
    phases = CENTRES[name].domain.phases if name in CENTRES else ()
    return PHASES.get(phases[0][0], "") if len(phases) == 1 else ""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, the tokens, and how all is trained."""

    tasks: tuple[tuple[str, ...], ...] = ()
    """Per task number, the names of its channels ("dataset/region"), in vocabulary order."""
    modality_of_task: tuple[str, ...] = ()
    """Per task, the modality of all its scans; "" where it is unknown or mixed."""
    modalities: tuple[str, ...] = tuple(PHASES.values())
    """The modalities that have tokens of their own; the unknown one has some as well."""
    modality_tokens: int = 10
    """Tokens per modality."""
    modality_weight: float = 0.01
    """Weight of the modality classifier's cross-entropy."""
    backbone: str = "unet3d"
    """A U-Net: "unet3d", "lean_unet3d" or "half_unet3d"."""
    channels: tuple[int, ...] = (16, 32, 64, 128)
    """Features per level of the backbone."""
    blocks: tuple[int, ...] = (1, 1)
    """Fusion blocks of the coarsest levels, the deepest last; on the way down and on the way up."""
    head_width: int = 32
    """Features per attention head."""
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

    def __post_init__(self) -> None:
        if len(self.modality_of_task) != len(self.tasks):
            raise ValueError(
                f"modality_of_task must name one modality per task, got "
                f"{len(self.modality_of_task)} for {len(self.tasks)} tasks; "
                'use "" where it is unknown.'
            )
        for name in self.modality_of_task:
            if name:
                lookup(dict.fromkeys(self.modalities), name, "modality")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all channels, task after task."""
        return tuple(name for task in self.tasks for name in task)

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        sizes = {"channels": (16, 16, 16), "head_width": 8, "modality_tokens": 2}
        return cls.quick(**{
            **sizes, "patch": (16, 16, 16), "lr": 1e-2, "steps": 60, "warmup_steps": 0, **changes
        })  # fmt: skip

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort; fused at three places."""
        centres = vocabulary([centre.protocol for centre in CENTRES.values()])
        return replace(cls().with_vocabulary(centres), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network and spacing, a smaller batch and fewer steps."""
        return cls.paper(**{"steps": 25_000, "warmup_steps": 250, "batch": 2, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published sizes and protocol: 200 epochs of 400 steps, 16 patches over 8 GPUs.

        `lr` is for AdamW; the original's 2e-3 is for LAMB.
        """
        published = cls.quick(
            channels=(32, 64, 128, 256, 320),
            blocks=(2, 2, 4),
            spacing_mm=(1.5, 1.5, 1.5),
            patch=(128, 128, 128),
            batch=16,
            steps=80_000,
            warmup_steps=2_000,
            lr=6e-4,
        )
        return replace(published, **changes)

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for a vocabulary laid out per protocol.

        Tasks named as our virtual centres get the modality of these; others get "".

        Raises:
            ValueError: A channel is shared by protocols: then no task owns its token.
        """
        if words.names != vocabulary(words.protocols).names:
            raise ValueError(
                "Hermes needs one channel per protocol and region, got shared ones; "
                "make the vocabulary with hermes.vocabulary(protocols)."
            )
        return replace(
            self,
            tasks=tuple(vocabulary([protocol]).names for protocol in words.protocols),
            modality_of_task=tuple(modality_of_centre(p.name) for p in words.protocols),
        )


class Hermes(nn.Module):
    """The fused U-Net, the classifier that the task posteriors write, and the modality's."""

    def __init__(self, network: UNet3d, config: Config) -> None:
        super().__init__()
        self.config = config
        classes = len(config.classes)
        self.unet = FusedUNet(
            network,
            config.blocks,
            classes=classes,
            modalities=len(config.modalities),
            modality_tokens=config.modality_tokens,
            head_width=config.head_width,
        )
        width = self.unet.token_width
        self.classifier = PosteriorClassifier(width, network.out_channels, classes)
        self.modality_norm = nn.LayerNorm(width)
        self.modality_classifier = mlp(width, width, len(config.modalities))

    def forward(self, image: Image, task: Task) -> Float[Tensor, "B O H W D"]:
        """Return L class logits (0 where they are not of the sample's task), then one map per
        modality, whose logit is the same in every voxel.

        Args:
            image: Normalised images.
            task: Whose tokens each sample brings.
        """
        config = self.config
        rows = [columns(config, number) for number in task.tolist()]
        longest, null = max(map(len, rows)), len(config.classes)
        filled = [[*row, *[null] * (longest - len(row))] for row in rows]
        tokens = torch.tensor(filled, device=image.device)
        known = [modality_row(config, config.modality_of_task[t]) for t in task.tolist()]
        modality = torch.tensor(known, device=image.device)
        logits, of_modality, _ = self.answer(self.unet.shallow(image), tokens, modality, image)
        out = logits.new_zeros(len(image), null + len(config.modalities), *image.shape[2:])
        sample, place = (tokens != null).nonzero(as_tuple=True)
        out[sample, tokens[sample, place]] = logits[sample, place]
        out[:, null:] = of_modality[:, :, None, None, None].to(out.dtype)
        return out

    def answer(
        self,
        shallow: list[Tensor],
        tokens: Int[Tensor, "B N"],
        modality: Int[Tensor, " B"],
        image: Image,
    ) -> tuple[Logits, Float[Tensor, "B M"], Float[Tensor, "B N T"]]:
        """Return the logits of each token, those of the modalities, and the task posteriors.

        Args:
            shallow: Features of `FusedUNet.shallow`, which all tasks share.
            tokens: Rows of the task tables.
            modality: Rows of the modality tables, the last for an unknown modality.
            image: Whose grid the logits are on.
        """
        features, of_tasks, of_modality = self.unet.fused(shallow, tokens, modality)
        logits = self.classifier(features, of_tasks, tokens)
        if logits.shape[2:] != image.shape[2:]:  # linear, so the order with the dot is free
            logits = functional.interpolate(logits, size=image.shape[2:], mode="trilinear")
        pooled = self.modality_norm(of_modality).mean(1)
        return logits, self.modality_classifier(pooled), of_tasks


def columns(config: Config, task: int) -> list[int]:
    """Return the channels of a task, which are also its rows in the task tables."""
    sizes = [len(names) for names in config.tasks]
    first = sum(sizes[:task])
    return list(range(first, first + sizes[task]))


def modality_row(config: Config, name: str) -> int:
    """Return a modality's row in the modality tables; the last is that of the unknown ("").

    Raises:
        ValueError: There is no such modality.
    """
    rows = {modality: row for row, modality in enumerate(config.modalities)}
    return lookup(rows, name, "modality") if name else len(rows)


def build(config: Config) -> Hermes:
    """Build the network; it keeps the configuration as ``model.config``.

    Raises:
        ValueError: The configuration has no tasks, or its backbone is no U-Net of ours.
    """
    if not config.tasks:
        raise ValueError("Hermes needs tasks, got none; use Config.with_vocabulary or quick().")
    network = backbone(config.backbone, config.channels)
    if not isinstance(network, UNet3d):
        raise ValueError(
            f"Hermes fuses priors into the levels of a U-Net, got {config.backbone!r}; "
            "use 'unet3d', 'lean_unet3d' or 'half_unet3d'."
        )
    return Hermes(network, config)


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss over the known classes, plus the modality's where that is known."""
    config = config_of(model)
    output = model(batch.image, batch.task)
    classes = len(config.classes)
    loss = partial_tversky_loss(output[:, :classes], batch.target, batch.known)
    rows = [modality_row(config, config.modality_of_task[t]) for t in batch.task.tolist()]
    truth = torch.tensor(rows, device=output.device)
    taught = (truth < len(config.modalities)) & batch.known.any(1)  # it must teach something else
    if not bool(taught.any()):
        return loss
    guess = output[taught, classes:, 0, 0, 0]
    return loss + config.modality_weight * functional.cross_entropy(guess, truth[taught])


class _Questions(nn.Module):
    """The network asked for whole tasks, one after the other, over one shallow pass."""

    def __init__(self, model: Hermes, tasks: Sequence[int], modality: str | None) -> None:
        super().__init__()
        self.model, self.tasks, config = model, tasks, model.config
        names = [config.modality_of_task[t] if modality is None else modality for t in tasks]
        self.rows = [modality_row(config, name) for name in names]

    def forward(self, image: Image) -> Logits:
        """Return the logits of these tasks' classes."""
        return torch.cat([logits for logits, _ in self.answers(image)], dim=1)

    def answers(self, image: Image) -> list[tuple[Tensor, Tensor]]:
        """Return the logits and the task posteriors of each task."""
        shallow, found = self.model.unet.shallow(image), []
        for task, row in zip(self.tasks, self.rows, strict=True):
            own = columns(self.model.config, task)
            tokens = torch.tensor(own, device=image.device).expand(len(image), -1)
            modality = torch.full((len(image),), row, device=image.device)
            logits, _, posteriors = self.model.answer(shallow, tokens, modality, image)
            found.append((logits, posteriors))
        return found


def predict(
    model: nn.Module, case: Case, ask: Ask | Part, *, modality: str | None = None
) -> Prediction:
    """Segment the regions asked for: "dataset/region", or a bare region for the datasets' vote.

    All tokens of a task are asked together, as in training, so an answer does not depend on what
    else is asked for.

    Args:
        model: A network of `build`.
        case: Any volume; it is resampled, and the answer is on its own grid.
        ask: `Classes` alone; without names, every channel.
        modality: One of the config's, or "" for the tokens of an unknown one. None gives each task
            the tokens it was trained with.

    Raises:
        ValueError: No channel or modality has a name asked for, or the ask has another part.
    """
    model = getattr(model, "module", model)
    config = model.config
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    voters = voters_of(config.classes, asked)
    wanted = {full for found in voters.values() for full in found}
    tasks = [number for number, names in enumerate(config.tasks) if wanted & set(names)]
    every = segment(
        _Questions(model, tasks, modality),
        case,
        names=[name for number in tasks for name in config.tasks[number]],
        spacing_mm=config.spacing_mm,
        patch=config.patch,
        wanted=sorted(wanted),
    )
    return vote(every, voters)


def task_priors(model: Hermes) -> Float[Tensor, "L T"]:
    """Return the learned token of each class, joined over the places."""
    return torch.cat([place.task_table[:-1] for place in model.unet.places], dim=1).detach()


@torch.no_grad()
def task_posteriors(model: Hermes, image: Image) -> Float[Tensor, "L T"]:
    """Return what the tokens have become after reading an image, a mean over the batch."""
    tasks = range(len(model.config.tasks))
    found = _Questions(model, tasks, None).answers(image)
    return torch.cat([posteriors.mean(0) for _, posteriors in found])


def add_task(
    model: Hermes, name: str, regions: Sequence[str], *, modality: str = ""
) -> tuple[Hermes, int]:
    """Return a network with one more dataset, and how many parameters that adds.

    Every weight is kept; the new rows of the token tables start as in `build`.

    Args:
        model: A trained network; it is left as it is.
        name: The dataset's name.
        regions: What it annotates.
        modality: Of its scans, "" where unknown.

    Raises:
        ValueError: A class of this name is there, or no modality has that name.
    """
    config = model.config
    added = tuple(f"{name}/{region}" for region in regions)
    if not added or set(added) & set(config.classes) or len(set(added)) < len(added):
        raise ValueError(
            f"a new task needs new classes, got {added}; give it a name of its own and its regions."
        )
    larger = replace(
        config,
        tasks=(*config.tasks, added),
        modality_of_task=(*config.modality_of_task, modality),
    )
    grown = build(larger).to(next(model.parameters()).device).train(model.training)
    state, old = grown.state_dict(), model.state_dict()
    for key, value in old.items():
        if key.endswith("task_table") or key == "classifier.bias":
            state[key][: len(value) - 1], state[key][-1] = value[:-1], value[-1]
        else:
            state[key] = value
    grown.load_state_dict(state)
    return grown, _count(grown) - _count(model)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


CARD = Card(
    name="Hermes",
    title="Training Like a Medical Resident: Context-Prior Learning Toward Universal Medical "
    "Image Segmentation",
    year=2024,
    paper="https://arxiv.org/abs/2306.02416",
    code="https://github.com/yhygao/universal-medical-image-segmentation",
    licence_code="no licence file",
    licence_weights="none stated; on a file share",
    deviations=(
        "The image does not read the null tokens that fill a batch up, so a sample's answer does "
        "not depend on its companions; the original lets it read them.",
        "Each class has a bias of its own, set to a low start probability; the original has none.",
        "Plain convolutions with strides and LeakyReLU in place of residual blocks and pooling.",
        "AdamW with a cosine in place of LAMB (2e-3); no running average of the weights unless "
        "the recipe asks for one.",
        "In our cohort the modality is the contrast phase of a CT; centres of several phases have "
        "the tokens of an unknown modality, as the original's MR of unknown sequence.",
        "At prediction a task has the modality it was trained with, unless one is given: the "
        "classifier cannot tell it, as it reads tokens that already name it.",
        "quick() fuses at 3 places with one block each; published are 5 with 2, 2, 4, 2, 2.",
        "The original draws datasets with weights set by hand; ours come from the recipe.",
    ),
    notebook="04",
)
