"""SAM-Med3D: SAM with every layer in 3D, trained from scratch on volumes.

A 2D SAM needs a prompt on every slice and does not know that slices are neighbours. SAM-Med3D
replaces patches by cubes, positions by 3D positions, and learns from volumes alone: one click in a
volume is answered by a mask of the whole structure, and its ablation says that this beats adapters
on a frozen 2D SAM. The price is its size of 128^3 voxels and 8^3 tokens: what is finer than a token
has to pass through its features.

Our own network keeps the design and changes what makes it slow to learn: a stem of convolutions,
8^3-voxel tokens, the stem's maps as details for the mask decoder, clicks that are drawn into the
mask prompt as well (`benchmarks/interaction/drawn.py` compares), and no learnt vector per place, so
that it takes regions of any size up to `Shape.image`. The published network is `paper()`,
oddities included (`fmtutor.nets.sam_shapes.sam_med3d`); its weights load as "sam-med3d".

Source: Wang et al., "SAM-Med3D: Towards General-purpose Segmentation Models for Volumetric Medical
Images", 2023.
Taught in: 10
"""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from fmtutor.core.ask import Ask, Part
from fmtutor.core.card import Card
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, conversation_loss
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.session import segment
from fmtutor.losses.promptable import rated_loss
from fmtutor.nets.sam import Sam, Shape
from fmtutor.nets.sam_shapes import sam_med3d
from fmtutor.paradigms import config_of

SMALL = Shape(
    image=(96, 96, 96), patch=8, features=128, depth=4, heads=4, window=4, global_blocks=(1, 3),
    prompt_features=128, decoder_heads=2, decoder_hidden=256, stem=(32, 64), details=True,
    absolute=False, drawn=2.0,
)  # fmt: skip
"""2.2 M parameters; 12^3 tokens at most, masks at half the voxels' resolution."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    shape: Shape = SMALL
    """The network, see `fmtutor.nets.sam.Shape`."""
    patch: tuple[int, ...] = (64, 64, 48)
    """Voxels of a training crop; at most ``shape.image``."""
    plan: Plan = field(default_factory=lambda: Plan(rounds=(1, 3), box=0.2))
    """The simulated interaction of a training step; published are 11 rounds."""
    batch: int = 1
    """Crops per step."""
    objects: int = 8
    """Objects asked of each crop; published: one."""
    steps: int = 1800
    """Optimiser steps."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    lr: float = 1e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.05
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels of a region of interest: those of a training crop."""
        return self.patch

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        shape = replace(
            SMALL, image=(16, 16, 16), features=32, depth=2, heads=2, window=2, global_blocks=(1,),
            prompt_features=32, decoder_heads=2, decoder_hidden=32, quality_hidden=16, stem=(8, 8),
        )  # fmt: skip
        small = cls(shape=shape, patch=(16, 16, 16), objects=2, lr=1e-2, steps=60)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: 2.2 M parameters, crops of 64 x 64 x 48 voxels."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: 384 features, depth 12, regions of 128^3."""
        shape = replace(
            SMALL, image=(128,) * 3, features=384, depth=12, heads=6, window=8,
            global_blocks=(2, 5, 8, 11), prompt_features=256, decoder_hidden=1024, stem=(32, 64),
        )  # fmt: skip
        plan = Plan(rounds=(1, 10), box=0.2)
        full = cls(shape=shape, patch=(96,) * 3, plan=plan, batch=4, objects=4, steps=60_000)
        return replace(full, **{"warmup_steps": 500, "lr": 4e-4, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network, 100.5 M parameters at 128^3, its rounds and rates."""
        plan = Plan(rounds=(11, 11), simulators=("foreground_first",), newest=True, mask_only=2)
        full = cls(shape=sam_med3d(), patch=(128,) * 3, plan=plan, batch=12, objects=1)
        return replace(full, **{"lr": 8e-4, "weight_decay": 0.1, "steps": 800_000, **changes})


def build(config: Config) -> Sam:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = Sam(config.shape)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return Dice of squares + cross-entropy + overlap error, a mean over the rounds."""
    return conversation_loss(model, batch, config_of(model).plan, rated_loss)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer clicks or boxes in a volume; the region is chosen without any label.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: Clicks, boxes, a mask to correct, or several of them, in voxels of the case.

    Raises:
        ValueError: The ask has another part, none of these, or lies outside the volume.
    """
    return segment(model, case, ask, system=CARD.name)


CARD = Card(
    name="SAM-Med3D",
    title="SAM-Med3D: Towards General-purpose Segmentation Models for Volumetric Medical Images",
    year=2023,
    paper="https://arxiv.org/abs/2310.15161",
    code="https://github.com/uni-medical/SAM-Med3D",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "paper() is the published network with the index of its relative positions, its sine twice "
        "and its swapped dense axes; quick() and gpu() index correctly",
        "quick() and gpu() have a convolutional stem, tokens of 8^3 voxels, the stem's maps in the "
        "mask decoder (as SAM 2), no learnt vector per place, and answer boxes",
        "the overlap of the single mask is taught too; as published it is untaught",
        "all clicks are given in every round, not only the newest; 1 to 3 rounds; several objects "
        "of one crop",
        "the last answer comes back without a gradient, in paper() too",
        "crops are not centred on the label; part of the objects are unnamed parts of the image",
        "clicks and boxes are drawn into the mask prompt too, except in paper(): by attention "
        "alone a short training does not find out what a click is",
        "a region of interest follows the clicks: the published script takes the label's centre",
    ),
    notebook="10",
)
