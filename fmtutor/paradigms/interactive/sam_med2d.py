"""SAM-Med2D: a frozen SAM encoder with one adapter a block, and a long simulated conversation.

MedSAM trains the whole encoder, and needs the machines for it. SAM-Med2D freezes it, at a quarter
of its resolution, and puts beside every perceptron a small module that gates channels and looks at
the neighbours (`fmtutor.nets.sam_adapters.GatedAdapter`). Those, the prompt encoder and the mask
decoder are trained, on points, boxes and masks alike:

    round 1          a box or one click; its loss trains adapters, prompts and decoder
    rounds 2 to 9    1, 3, 5 or 9 clicks on errors, or the last mask alone; the image's embedding
                     has no gradient any more, so that they train prompts and decoder only

Source: Cheng et al., "SAM-Med2D", 2023.
Taught in: 09
"""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from fmtutor.core.ask import Ask, Boxes, Clicks, Part, PreviousMask
from fmtutor.core.card import Card
from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, conversation_loss
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.slice_session import segment_slices
from fmtutor.losses.promptable import sam_loss
from fmtutor.nets.freeze import train_only
from fmtutor.nets.sam import Embedding, Sam, Shape
from fmtutor.nets.sam_adapters import add_gated_adapters
from fmtutor.nets.sam_shapes import sam_med2d
from fmtutor.nets.sam_start import Base, start_from
from fmtutor.paradigms import config_of
from fmtutor.paradigms.interactive.sizes import SMALL, TINY

TRAINED = ("image_encoder.blocks.*.beside.*", "prompt_encoder", "mask_decoder")
CLICKS = (1, 3, 5, 9)
KINDS = (Clicks, Boxes, PreviousMask)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    shape: Shape = SMALL
    """The network, see `fmtutor.nets.sam.Shape`; that of the base."""
    freeze: bool = True
    """Train only what SAM-Med2D trains; False trains all, for a network without a base."""
    plan: Plan = field(default_factory=lambda: plan_of(4, 4))
    """The simulated interaction of a training step; published: 9 rounds."""
    batch: int = 4
    """Images per step."""
    objects: int = 4
    """Objects asked of each image; published: 5."""
    steps: int = 600
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 8e-4
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of the image along each axis."""
        return self.shape.image

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests: from scratch, so nothing is frozen."""
        small = cls(shape=TINY, freeze=False, plan=plan_of(1, 2), batch=2, objects=2, lr=4e-3)
        return replace(small, **{"steps": 70, "warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: the shape of our stand-in for general SAM."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published network; it takes SAM ViT-B for its base."""
        full = cls(shape=sam_med2d(), plan=plan_of(9, 9), batch=16, steps=30_000, lr=1e-4)
        return replace(full, **{"warmup_steps": 250, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network and conversation."""
        return cls.gpu(**{"batch": 50, "objects": 5, "steps": 1_000_000, **changes})


def plan_of(fewest: int, most: int) -> Plan:
    """Return a conversation of so many rounds: the last one and another add no click."""
    return Plan(
        rounds=(fewest, most), simulators=("uniform",), clicks=CLICKS, box=0.5,
        mask_only=2 if fewest > 2 else 1, candidates=True,
    )  # fmt: skip


class SamMed2d(Sam):
    """SAM with an adapter in every block, which is shown its last mask as probabilities."""

    def decode(self, embedding: Embedding, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Return masks for prompts, as `Sam.decode`."""
        if prompts.mask is not None:
            prompts = prompts.with_mask(prompts.mask.sigmoid())
        return super().decode(embedding, prompts, candidates=candidates)


@dataclass(eq=False)
class AdaptersOnce:
    """A network whose encoder learns from its first answer alone."""

    model: Any
    answers: int = 0

    def embed(self, image: Tensor) -> Embedding:
        """Return the embedding of images."""
        return self.model.embed(image)

    def decode(self, embedding: Embedding, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Answer prompts; from the second time on the embedding has no gradient."""
        if self.answers:
            details = tuple(detail.detach() for detail in embedding.details)
            embedding = replace(embedding, map=embedding.map.detach(), details=details)
        self.answers += 1
        return self.model.decode(embedding, prompts, candidates=candidates)


def build(config: Config, base: Base | None = None) -> SamMed2d:
    """Build the network; it keeps the configuration as ``model.config``.

    Args:
        config: Its shape and what is trained.
        base: A general SAM to begin from, or its state.
    """
    model = SamMed2d(config.shape)
    if base is not None:
        start_from(model, base)
    add_gated_adapters(model.image_encoder)
    if config.freeze:
        train_only(model, *TRAINED)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return the mean over the rounds of 20 focal + Dice + overlap error."""
    return conversation_loss(AdaptersOnce(model), batch, config_of(model).plan, sam_loss)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer clicks, boxes and masks to correct slice by slice.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: In voxels of the case; a slice without a prompt stays empty.

    Raises:
        ValueError: The ask has another part, or lies outside of the volume.
    """
    return segment_slices(model, case, ask, system=CARD.name, kinds=KINDS)


CARD = Card(
    name="SAM-Med2D",
    title="SAM-Med2D",
    year=2023,
    paper="https://arxiv.org/abs/2308.16184",
    code="https://github.com/OpenGVLab/SAM-Med2D",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "gpu() and paper() are the published network and load its weights; quick() begins from our "
        "stand-in for general SAM, a hundredth of its size, and talks 4 rounds in place of 9",
        "one optimiser step for the whole conversation; the original takes one after each round",
        "three candidates in the first round, the single mask afterwards; the original asks for "
        "candidates in every round and goes on with the one of the highest expected overlap",
        "sides of training boxes move one by one; the original's noise shifts both corners alike, "
        "so its boxes are never loose",
        "the adapters end in a layer norm as published, so they change the encoder before the "
        "first step; the base's answers come back with that norm at zero",
        "slices of one torso, grown into virtual patients, and of one brain, in place of 19.7 "
        "million masks",
    ),
    notebook="09",
)
"""Provenance."""
