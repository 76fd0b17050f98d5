"""MedSAM: SAM trained further on a million medical slices, asked by boxes alone.

A point is ambiguous (a part, the organ, the body?), a box hardly is. So MedSAM gives up points,
candidates and corrections, and keeps one question with one answer: a box around the structure.
The encoder and the mask decoder are trained on; the prompt encoder knows boxes already and is
frozen. In training each side of the tight box moves outward by a random amount, as a person's does.

Volumes are asked slice by slice.

Source: Ma et al., "Segment anything in medical images", Nature Communications 2024.
Taught in: 09
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Boxes, Part
from fmtutor.core.card import Card
from fmtutor.core.prompts import no_points
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.boxes import relaxed, tight
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.slice_session import segment_slices
from fmtutor.losses.promptable import medical_loss
from fmtutor.nets.freeze import train_only
from fmtutor.nets.sam import Sam, Shape
from fmtutor.nets.sam_shapes import medsam
from fmtutor.nets.sam_start import Base, start_from
from fmtutor.paradigms import config_of
from fmtutor.paradigms.interactive.sizes import SMALL, TINY

TRAINED = ("image_encoder", "mask_decoder")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    shape: Shape = SMALL
    """The network, see `fmtutor.nets.sam.Shape`; that of the base."""
    freeze: bool = True
    """Train only what MedSAM trains; False trains all, for a network without a base."""
    outward: float = 0.02
    """Largest outward movement of a box's side, as a share of the image; published: 20 of 1024."""
    batch: int = 4
    """Images per step."""
    objects: int = 4
    """Objects asked of each image; published: one."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 4e-4
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels of the image along each axis."""
        return self.shape.image

    @property
    def plan(self) -> Plan:
        """What a session has to know: one box, one mask, no candidates and no corrections."""
        return Plan(rounds=(1, 1), box=1.0, candidates=False, feedback=False)

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests: from scratch, so nothing is frozen."""
        small = cls(shape=TINY, freeze=False, outward=0.1, batch=2, objects=2, lr=4e-3)
        return replace(small, **{"steps": 50, "warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: the shape of our stand-in for general SAM."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: SAM ViT-B at a quarter of its resolution."""
        full = cls(shape=replace(medsam(), image=(256, 256)), batch=16, steps=30_000, lr=1e-4)
        return replace(full, **{"warmup_steps": 250, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network: SAM ViT-B at 1024 pixels, of which 93,729,252 weights train."""
        full = cls(shape=medsam(), outward=20 / 1024, batch=160, objects=1, steps=1_500_000)
        return replace(full, **{"lr": 1e-4, "warmup_steps": 0, **changes})


def build(config: Config, base: Base | None = None) -> Sam:
    """Build the network; it keeps the configuration as ``model.config``.

    Args:
        config: Its shape and what is trained.
        base: A general SAM to begin from, or its state.
    """
    model = Sam(config.shape)
    if base is not None:
        start_from(model, base)
    if config.freeze:
        train_only(model, *TRAINED)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return Dice of squares + cross-entropy of the single mask that answers each object's box."""
    rng = rng_of("medsam boxes", batch.seed)
    truth = batch.truth[:, 0]
    boxes = outward_boxes(truth.cpu().numpy(), config_of(model).outward, rng)
    prompts = replace(no_points(len(boxes), 2), boxes=boxes).to(batch.image.device)
    answer = model.decode(model.embed(batch.image), prompts)  # type: ignore[operator]
    return medical_loss(answer, truth, batch.known.flatten())


def outward_boxes(
    masks: Bool[np.ndarray, "N H W"], share: float, rng: np.random.Generator
) -> Float[Tensor, "N 2 2"]:
    """Return boxes around masks, each side moved outward by up to a share of the image.

    A mask without a voxel, which no loss is taken of, has the image for its box.
    """
    shape = masks.shape[1:]
    whole = np.ones(shape, bool)
    tights = [tight(mask if mask.any() else whole) for mask in masks]
    most = int(share * max(shape))
    loose = [relaxed(box, shape, rng, voxels=most) for box in tights]
    return torch.from_numpy(np.stack(loose)).float()


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer boxes slice by slice.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: Boxes in voxels of the case; every slice that a box spans is asked.

    Raises:
        ValueError: The ask has another part than boxes, or one lies outside of the volume.
    """
    return segment_slices(model, case, ask, system=CARD.name, kinds=(Boxes,))


CARD = Card(
    name="MedSAM",
    title="Segment anything in medical images",
    year=2024,
    paper="https://doi.org/10.1038/s41467-024-44824-z",
    code="https://github.com/bowang-lab/MedSAM",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "paper() is the published network and loads its weights; quick() begins from our stand-in "
        "for general SAM, a hundredth of its size",
        "images in [0, 1] by the rule that all systems here share (a wide window for CT, "
        "percentiles for MR); the published CT windows are narrow and chosen by organ, and its own "
        "scripts do not agree on them",
        "4 objects of each image a step; as published, the predicted overlap stays untaught",
        "a box around several objects fails, as it does in the original: ask for one at a time",
        "slices of one torso, grown into virtual patients, and of one brain, in place of 1.6 "
        "million pairs",
    ),
    notebook="09",
    exempt={"clicks": "it was taught boxes alone"},
)
"""Provenance."""
