"""SAM: one network that answers any prompt, for any object, in any picture.

The image is embedded once by a large encoder. A prompt (points, a box, a rough mask) becomes a few
tokens, and a light decoder turns embedding and tokens into a mask in milliseconds, so a person can
correct the answer as often as needed. One click may mean a part or the whole, hence three candidate
masks, of which only the best one is trained, and a predicted overlap that ranks them.

It knows no classes: whatever is clicked is the object. That is what lets it segment what it was
never taught, and why it asks for one prompt per object.

The blocks stand in `fmtutor.nets`: `vit` (encoder), `prompt_encoder`, `mask_decoder`, `two_way`,
and `sam`, which puts them together, in 2D and 3D alike.

Source: Kirillov et al., "Segment Anything", ICCV 2023; training: its appendix A.
Taught in: 09
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
from fmtutor.engine.slice_session import segment_slices
from fmtutor.losses.promptable import sam_loss
from fmtutor.nets.sam import Sam, Shape
from fmtutor.nets.sam_shapes import vit_b
from fmtutor.paradigms import config_of
from fmtutor.paradigms.interactive.sizes import SMALL, TINY


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    shape: Shape = SMALL
    """The network, see `fmtutor.nets.sam.Shape`."""
    plan: Plan = field(default_factory=lambda: Plan(rounds=(1, 4), box=0.5, candidates=True))
    """The simulated interaction of a training step; SAM makes up to 11 rounds."""
    batch: int = 4
    """Images per step."""
    objects: int = 4
    """Objects asked of each image; SAM asks up to 64."""
    steps: int = 1000
    """Optimiser steps."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    lr: float = 1.5e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.1
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels of the image along each axis."""
        return self.shape.image

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        plan = Plan(rounds=(2, 2), box=0.25, candidates=True)
        small = cls(shape=TINY, plan=plan, batch=2, objects=2, lr=4e-3, steps=70, warmup_steps=0)
        return replace(small, **changes)

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: a hundredth of ViT-B at an eighth of its resolution."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: half the width of ViT-B at 256 pixels."""
        shape = replace(
            vit_b(),
            image=(256, 256),
            in_channels=1,
            features=384,
            heads=6,
            intensity="unit",
            drawn=4.0,
        )
        plan = Plan(rounds=(4, 8), box=0.5, candidates=True)
        full = cls(shape=shape, plan=plan, batch=16, objects=8, steps=60_000, lr=8e-4)
        return replace(full, **{"warmup_steps": 250, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published ViT-B, 93.7 M parameters at 1024 pixels."""
        plan = Plan(rounds=(11, 11), mask_only=2, box=0.5, candidates=True)
        full = cls(shape=vit_b(), plan=plan, batch=256, objects=64, steps=90_000, lr=8e-4)
        return replace(full, **{"warmup_steps": 250, **changes})


def build(config: Config) -> Sam:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = Sam(config.shape)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return the mean over the rounds of an interaction of 20 focal + Dice + overlap error.

    Each round's prompt answers the last round's mistakes; masks go from round to round without a
    gradient.
    """
    return conversation_loss(model, batch, config_of(model).plan, sam_loss)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer clicks or boxes slice by slice: a 2D network knows nothing of the next slice.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: Clicks, boxes, or both, in voxels of the case. A slice without a prompt stays empty.

    Raises:
        ValueError: The ask has another part, none of these, or lies outside the volume.
    """
    return segment_slices(model, case, ask, system=CARD.name)


CARD = Card(
    name="SAM",
    title="Segment Anything",
    year=2023,
    paper="https://arxiv.org/abs/2304.02643",
    code="https://github.com/facebookresearch/segment-anything",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "paper() is the published ViT-B and loads its weights; quick() is a hundredth of it",
        "our stand-in for general SAM (sam_base) sees the non-medical pictures that "
        "scikit-image carries and drawn shapes, with super-pixels as objects: a few pictures in "
        "place of SA-1B's 11 million",
        "1 to 4 rounds a step in place of up to 11; the last logits come back without a gradient",
        "the candidate that pays is the best by its mask loss, as published; the single mask token "
        "answers from the second round on",
        "clicks and boxes are drawn into the mask prompt too, except in paper(): by attention "
        "alone a short training does not find out what a click is",
        "grey pictures",
    ),
    notebook="09",
)
