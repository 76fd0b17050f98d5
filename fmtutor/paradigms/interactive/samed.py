"""SAMed: SAM without prompts, one mask token for each class, LoRA in the encoder.

The cheapest way to make an automatic system of SAM: ask nothing (the prompt encoder's "no mask"
vector is all that enters), give the mask decoder one token for the background and one for each
organ, and let the frozen encoder change by LoRA of rank 4 on queries and values alone: 0.16 % of
ViT-B's weights. What was lost: it answers its classes and nothing else. What was kept: the encoder,
so the file to share is the decoder and the low-rank factors.

A batch's objects are the classes, in the order of `Config.classes`; what is not known of an image
leaves its softmax.

Source: Zhang and Liu, "Customized Segment Anything Model for Medical Image Segmentation", 2023.
Taught in: 09
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from fmtutor.core.ask import Ask, Part
from fmtutor.core.card import Card
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.slice_classes import classes_of, segment_classes
from fmtutor.losses.slice_classes import slice_classes_loss
from fmtutor.nets.class_decoder import NEW, ClassSam
from fmtutor.nets.freeze import train_only
from fmtutor.nets.low_rank_qv import LowRankQV, replace_qkv
from fmtutor.nets.sam import Shape
from fmtutor.nets.sam_shapes import vit_b
from fmtutor.nets.sam_start import Base, start_from
from fmtutor.paradigms import config_of
from fmtutor.paradigms.interactive.sizes import SMALL, TINY

TRAINED = ("image_encoder.blocks.*.attn.qkv.low_rank_*", "prompt_encoder", "mask_decoder")
SYNAPSE = (
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "aorta", "pancreas",
)  # fmt: skip
"""The eight organs of the paper's CT data."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    classes: tuple[str, ...] = SYNAPSE
    """What the objects of a batch are, in this order."""
    shape: Shape = SMALL
    """The network, see `fmtutor.nets.sam.Shape`; that of the base."""
    freeze: bool = True
    """Train only what SAMed trains; False trains all, for a network without a base."""
    rank: int = 4
    """Rank of the changes to queries and values."""
    batch: int = 8
    """Images per step."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.1
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of the image along each axis."""
        return self.shape.image

    @property
    def objects(self) -> int:
        """Objects of each image: the classes."""
        return len(self.classes)

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests: from scratch, so nothing is frozen."""
        small = cls(classes=("bright", "dark"), shape=TINY, freeze=False, batch=2, lr=4e-3)
        return replace(small, **{"steps": 80, "warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: the shape of our stand-in for general SAM."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network, SAM ViT-B at 512 pixels."""
        full = cls(shape=replace(vit_b(), image=(512, 512)), batch=12, steps=20_000, lr=5e-3)
        return replace(full, **{"warmup_steps": 250, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network and recipe."""
        return cls.gpu(**{"batch": 24, **changes})


def build(config: Config, base: Base | None = None) -> ClassSam:
    """Build the network; it keeps the configuration as ``model.config``.

    Args:
        config: Its shape, its classes and what is trained.
        base: A general SAM to begin from, or its state; tokens and their heads are new.
    """
    model = ClassSam(config.shape, len(config.classes))
    if base is not None:
        start_from(model, base, new=NEW)
    replace_qkv(model.image_encoder, lambda linear: LowRankQV(linear, config.rank))
    if config.freeze:
        train_only(model, *TRAINED)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return 0.2 cross-entropy + 0.8 Dice over the classes that each image annotates.

    Raises:
        ValueError: The batch has not one object for each class.
    """
    check_classes(batch, config_of(model).classes)
    return slice_classes_loss(model(batch.image), batch.target, batch.known)


def check_classes(batch: ObjectBatch, classes: tuple[str, ...]) -> None:
    """Refuse a batch whose objects cannot be the classes."""
    if batch.objects != len(classes):
        raise ValueError(
            f"an automatic system learns one object a class, {len(classes)} in all, got "
            f"{batch.objects}; give the objects in the order of config.classes."
        )


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment every slice of a volume into the system's classes.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: `Classes`; those named exist in the answer anyway, as they exclude each other.

    Raises:
        ValueError: The ask has another part, or a class that the network does not know.
    """
    config = config_of(model)
    classes_of(ask, config.classes, system=CARD.name)
    return segment_classes(model, model, case, classes=config.classes, size=config.size[0])


CARD = Card(
    name="SAMed",
    title="Customized Segment Anything Model for Medical Image Segmentation",
    year=2023,
    paper="https://arxiv.org/abs/2304.13785",
    code="https://github.com/hitachinsk/SAMed",
    licence_code="MIT",
    licence_weights="MIT",
    deviations=(
        "quick() begins from our stand-in for general SAM, a hundredth of ViT-B, at 128 pixels",
        "the loss is taken at the image's resolution; the original takes it at the decoder's, a "
        "quarter of that",
        "cosine decay of the learning rate in place of a polynomial",
        "classes that an image does not annotate leave its softmax; the original has full labels",
    ),
    notebook="09",
    exempt={
        "prompts": "it answers no prompt: its classes are fixed",
        "clicks": "it answers no prompt: its classes are fixed",
        "boxes": "it answers no prompt: its classes are fixed",
        "seed": "its step draws nothing",
        "zero_gradient": "what is unknown has no logit of its own: it leaves the softmax",
    },
)
"""Provenance."""
