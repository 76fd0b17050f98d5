"""Hermes: tell the network which dataset is asking and what kind of scan it sees, as tokens.

A resident learns in many departments and knows of each case where it comes from. Hermes gives a
U-Net this context as *priors*: a learned token for each (dataset, class) pair, and a few for each
modality. A sample brings the tokens of its own dataset's classes and of its own modality; at
several levels they read the image, and the image reads them (`fmtutor.nets.prior_fusion`). What
comes out, the posterior t_k of class k over all levels, writes the last layer:

    z_k(v) = MLP(LN(t_k)) . f(v) + b_k.

Only tokens that are asked for have an output, so unknown classes take no part. The loss is
cross-entropy plus a Tversky loss that leans towards the error being made (`fmtutor.losses.
tversky`), and 0.01 of that of a classifier of the modality, where it is known. Tokens of one organ
from different datasets should come to lie near each other: `fmtutor.bench.figures_prompts`.

Source: Gao et al., "Training Like a Medical Resident: Context-Prior Learning Toward Universal
Medical Image Segmentation", CVPR 2024.
Taught in: 04
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.ask import Ask, Classes, Part, answerable
from fmtutor.core.card import Card
from fmtutor.core.tables import lookup
from fmtutor.data.batches import Batch
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES
from fmtutor.data.modalities import PHASES, modality_of
from fmtutor.data.regions import Protocol, Vocabulary
from fmtutor.data.taxonomies import protocols
from fmtutor.engine.inference import Prediction, segment
from fmtutor.losses.tversky import partial_tversky_loss
from fmtutor.nets.build import backbone
from fmtutor.nets.prior_network import AskedTasks, PriorNetwork, task_posteriors, task_priors
from fmtutor.nets.unet3d import UNet3d
from fmtutor.paradigms import config_of
from fmtutor.paradigms.partial.votes import vote, voters_of

__all__ = ["Config", "add_task", "build", "predict", "step", "task_posteriors", "task_priors"]

PUBLISHED: dict[str, Any] = {
    "channels": (32, 64, 128, 256, 320), "blocks": (2, 2, 4), "lr": 6e-4,
    "spacing_mm": (1.5, 1.5, 1.5), "patch": (128, 128, 128),
}  # fmt: skip


def vocabulary(teachers: Sequence[Protocol]) -> Vocabulary:
    """Lay the regions out as one channel, and so one task token, per protocol and region."""
    return Vocabulary.per_protocol(teachers)


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
    present_only: bool = False
    """Take Tversky over classes with a voxel in the patch alone; published: over all."""
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
                f"modality_of_task must name one modality per task, got {self.modality_of_task} "
                f'for {len(self.tasks)} tasks; use "" where it is unknown.'
            )
        for name in self.modality_of_task:
            self.modality_row(name)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all channels, task after task."""
        return tuple(name for task in self.tasks for name in task)

    def modality_row(self, name: str) -> int:
        """Return a modality's row in the modality tables; "", the unknown one, has the last.

        Raises:
            ValueError: There is no such modality.
        """
        rows = {modality: row for row, modality in enumerate(self.modalities)}
        return lookup(rows, name, "modality") if name else len(rows)

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        sizes = {"channels": (8, 8, 16), "head_width": 8, "modality_tokens": 2}
        recipe = {"patch": (16, 16, 16), "lr": 1e-2, "steps": 60, "warmup_steps": 0}
        return cls.quick(**{**sizes, **recipe, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """Minutes on a CPU, on the virtual cohort; fused at three places."""
        centres = vocabulary([centre.protocol for centre in CENTRES.values()])
        return replace(cls(present_only=True).with_vocabulary(centres), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU, on the virtual cohort: published sizes, a smaller batch and fewer steps."""
        recipe = {"batch": 2, "steps": 25_000, "warmup_steps": 250}
        return cls.quick(**{**PUBLISHED, **recipe, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published protocol: 71 tokens, 200 epochs of 400 steps, 16 patches over 8 GPUs; but
        `lr` is for AdamW, where the original's 2e-3 is for LAMB.
        """
        kinds = cls(modalities=("CT", "PET", "T1 MRI", "T2 MRI", "cine MRI"))
        published = kinds.with_vocabulary(vocabulary(protocols("hermes")))
        recipe = {"batch": 16, "steps": 80_000, "warmup_steps": 2_000}
        return replace(published, **{**PUBLISHED, **recipe, **changes})

    def with_vocabulary(self, words: Vocabulary) -> "Config":
        """Return the configuration for a vocabulary laid out per protocol.

        Tasks get their `modality_of` where it is among the config's modalities.

        Raises:
            ValueError: A channel is shared by protocols: then no task owns its token.
        """
        if words.names != vocabulary(words.protocols).names:
            raise ValueError(
                "Hermes needs one channel per protocol and region, got shared ones; "
                "make the vocabulary with hermes.vocabulary(protocols)."
            )
        found = [modality_of(protocol.name) for protocol in words.protocols]
        return replace(
            self,
            tasks=tuple(vocabulary([protocol]).names for protocol in words.protocols),
            modality_of_task=tuple(m if m in self.modalities else "" for m in found),
        )


def build(config: Config) -> PriorNetwork:
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
    model = PriorNetwork(
        network,
        [len(names) for names in config.tasks],
        modality_of_task=[config.modality_row(name) for name in config.modality_of_task],
        modalities=len(config.modalities),
        blocks=config.blocks,
        modality_tokens=config.modality_tokens,
        head_width=config.head_width,
    )
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: Batch) -> Tensor:
    """Return the loss over the known classes, plus the modality's where that is known."""
    config = config_of(model)
    output = model(batch.image, batch.task)
    classes = len(config.classes)
    loss = partial_tversky_loss(
        output[:, :classes], batch.target, batch.known, present_only=config.present_only
    )
    rows = [config.modality_row(config.modality_of_task[t]) for t in batch.task.tolist()]
    truth = torch.tensor(rows, device=output.device)
    taught = (truth < len(config.modalities)) & batch.known.any(1)  # it must teach something else
    if not bool(taught.any()):
        return loss
    guess = output[taught, classes:, 0, 0, 0]
    return loss + config.modality_weight * functional.cross_entropy(guess, truth[taught])


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
    model, config = getattr(model, "module", model), config_of(model)
    asked = answerable(ask, Classes, system=CARD.name).get(Classes, Classes()).names
    voters = voters_of(config.classes, asked)
    wanted = {full for found in voters.values() for full in found}
    tasks = [number for number, names in enumerate(config.tasks) if wanted & set(names)]
    every = segment(
        AskedTasks(model, tasks, None if modality is None else config.modality_row(modality)),
        case,
        names=[name for number in tasks for name in config.tasks[number]],
        spacing_mm=config.spacing_mm,
        patch=config.patch,
        wanted=sorted(wanted),
    )
    return vote(every, voters)


def add_task(
    model: PriorNetwork, name: str, regions: Sequence[str], *, modality: str = ""
) -> tuple[PriorNetwork, int]:
    """Return a network with one more dataset, and how many parameters that adds.

    Every weight is kept; the new rows of the token tables start as in `build`.

    Args:
        model: A trained network; it is left as it is.
        name: The dataset's name.
        regions: What it annotates.
        modality: Of its scans, "" where unknown.

    Raises:
        ValueError: The task has no class, or one that is there already.
    """
    config, modalities = config_of(model), (*config_of(model).modality_of_task, modality)
    added = tuple(f"{name}/{region}" for region in regions)
    if not added or {*config.classes} & {*added} or len({*added}) < len(added):
        raise ValueError(f"a new task needs new classes, got {added}; name it and its regions.")
    grown = build(replace(config, tasks=(*config.tasks, added), modality_of_task=modalities))
    grown.to(next(model.parameters()).device).train(model.training).take(model)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, grown))
    return grown, after - before


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
        "The image does not read the null tokens that fill a batch up: a sample's answer does not "
        "depend on its companions. In the original it reads them.",
        "A bias per class, set to a low start probability; the original has none.",
        "Tokens start from N(0, 1), blocks at a tenth of scale; the original: Xavier, torch's.",
        "Plain strided convolutions, not residual blocks and pooling; AdamW with a cosine, slower "
        "in the blocks, in place of LAMB and weight averaging.",
        "In our cohort a CT's contrast phase is the modality, one per task; centres of several "
        "phases have the unknown modality's tokens, as the original's MR of unknown sequence.",
        "At prediction a task has its training modality, unless one is given: the classifier "
        "cannot tell it, as it reads tokens that already name it.",
        "quick() fuses at 3 places with 1 block (published: 5 with 2, 2, 4, 2, 2) and takes "
        "Tversky over present classes only. Datasets are drawn as the recipe says.",
    ),
    notebook="04",
)
