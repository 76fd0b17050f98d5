"""MA-SAM: SAM on stacks of neighbouring slices, automatic or prompted.

Five slices go through the 2D encoder as a batch. Two small modules in each block mix features along
the stack (`fmtutor.nets.depth_adapters`), and one low-rank change of all layers together, FacT,
adapts queries and values (`fmtutor.nets.fact`); the encoder itself stays frozen. The decoder goes
on upscaling to the image's own resolution, which small structures need.

With `Config.classes` it is automatic: one token a class, no prompt, as in SAMed. Without it answers
prompts: a softmax of two tokens, structure and background. A click or box is in 3D; each slice of
the stack is told its place within the slice, and beyond the ends of a box nothing is answered.

Source: Chen et al., "MA-SAM: Modality-agnostic SAM Adaptation for 3D Medical Image Segmentation",
Medical Image Analysis 2024.
Taught in: 10
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.ask import Ask, Part
from fmtutor.core.card import Card
from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, conversation_loss
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.slice_classes import classes_of, segment_classes
from fmtutor.engine.stack_prompts import segment_stacks
from fmtutor.losses.promptable import PromptLoss, cross_entropy_each, dice_each
from fmtutor.losses.slice_classes import CE_WEIGHT, DICE_WEIGHT, slice_classes_loss
from fmtutor.nets.certainty import certainty
from fmtutor.nets.class_decoder import NEW, ClassSam
from fmtutor.nets.depth_adapters import add_depth_adapters
from fmtutor.nets.fact import add_factors
from fmtutor.nets.freeze import train_only
from fmtutor.nets.sam import Embedding, Shape
from fmtutor.nets.sam_shapes import vit_b
from fmtutor.nets.sam_start import Base, start_from
from fmtutor.paradigms import config_of
from fmtutor.paradigms.interactive.sizes import SMALL, TINY

TRAINED = (
    "image_encoder.factors", "image_encoder.blocks.*.attn.qkv.factor_*",
    "image_encoder.blocks.*.start.*", "image_encoder.blocks.*.middle.*",
    "prompt_encoder", "mask_decoder",
)  # fmt: skip
BEYOND = -10.0
"""Logit in slices that a box does not reach."""
LOSS = PromptLoss(
    lambda logits, truth: (
        CE_WEIGHT * cross_entropy_each(logits, truth) + DICE_WEIGHT * dice_each(logits, truth)
    ),
    overlap=False,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    classes: tuple[str, ...] = ()
    """What the objects of a batch are, in this order; empty for a network that is prompted."""
    shape: Shape = SMALL
    """The 2D network, see `fmtutor.nets.sam.Shape`; that of the base."""
    slices: int = 5
    """Neighbouring slices of a stack."""
    freeze: bool = True
    """Train only what MA-SAM trains; False trains all, for a network without a base."""
    rank: int = 16
    """Rank of FacT; published 32."""
    inner: int = 64
    """Features inside the depth adapters; published 384 of 768."""
    plan: Plan = field(default_factory=lambda: Plan(rounds=(1, 3), box=0.5))
    """The simulated interaction of a training step, where it is prompted."""
    batch: int = 1
    """Stacks per step."""
    objects: int = 4
    """Objects asked of each stack, where it is prompted."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 8e-4
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.1
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels of a stack along each axis."""
        return (*self.shape.image, self.slices)

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests: prompted, and from scratch, so nothing is frozen."""
        small = cls(shape=TINY, slices=4, freeze=False, rank=4, inner=8, batch=2, objects=2)
        plan = Plan(rounds=(1, 2), box=0.25, gradient="last")
        return replace(
            small, **{"plan": plan, "lr": 4e-3, "steps": 80, "warmup_steps": 0, **changes}
        )

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: the shape of our stand-in for general SAM."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: SAM ViT-B at 512 pixels, adapters of the published size."""
        full = cls(shape=replace(vit_b(), image=(512, 512)), rank=32, inner=384, batch=3)
        return replace(full, **{"steps": 30_000, "warmup_steps": 250, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published recipe; its main results are of ViT-H, ours is of ViT-B."""
        return cls.gpu(**{"batch": 24, "steps": 100_000, **changes})


class MaSam(ClassSam):
    """A SAM on stacks of slices.

    Args:
        config: Shape, slices, classes and sizes of the adapters.
    """

    def __init__(self, config: Config) -> None:
        doublings = int(math.log2(config.shape.patch))
        super().__init__(config.shape, max(1, len(config.classes)), doublings=doublings)
        self.slices = config.slices

    def embed(self, image: Float[Tensor, "B 1 H W D"], *, plain: bool = False) -> Embedding:
        """Return the embedding of stacks; its map has one row a slice, stack by stack.

        Raises:
            ValueError: The stacks have another number of slices than the network's.
        """
        if image.shape[4] != self.slices:
            raise ValueError(
                f"stacks have {self.slices} slices, got {image.shape[4]}; cut or repeat slices."
            )
        return super().embed(image.movedim(4, 1).flatten(0, 1), plain=plain)

    def decode(self, embedding: Embedding, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Answer prompts on stacks.

        Args:
            embedding: Of B stacks.
            prompts: K rows for each stack, stack by stack, in voxels of the stack.
            candidates: Changes nothing: this network has one answer (M = 1).
        """
        stacks = len(embedding.map) // self.slices
        both = self.class_maps(embedding, self._of_slices(prompts, stacks))
        one = (both[:, 1] - both[:, 0]).unflatten(0, (stacks, self.slices, -1))  # (B, D, K, H, W)
        logits = one.permute(0, 2, 3, 4, 1).flatten(0, 1)[:, None]  # (B K, 1, H, W, D)
        if prompts.boxes is not None:
            at = torch.arange(self.slices, device=logits.device)
            first, last = prompts.boxes[:, 0, 2, None], prompts.boxes[:, 1, 2, None]
            reached = ((at >= first) & (at <= last))[:, None, None, None]
            logits = torch.where(reached, logits, BEYOND)
        low = [4 * size for size in embedding.map.shape[2:]]
        return Answer(
            logits=logits,
            quality=certainty(logits),
            low=functional.adaptive_avg_pool3d(logits, (*low, self.slices)),
        )

    def forward(self, image: Float[Tensor, "B 1 H W D"]) -> Float[Tensor, "B L1 H W D"]:
        """Return logits of the background and each class, without a prompt."""
        maps = self.class_maps(self.embed(image))
        return maps.unflatten(0, (-1, self.slices)).movedim(1, -1)

    def _of_slices(self, prompts: Prompts, stacks: int) -> Prompts:
        """Return the prompts of every slice, slice by slice: (B, D, K) rows for (B, K)."""

        def spread(x: Tensor) -> Tensor:
            rows = x.unflatten(0, (stacks, 1, len(x) // stacks))
            return rows.expand(-1, self.slices, *rows.shape[2:]).flatten(0, 2)

        mask = prompts.mask
        if mask is not None:
            mask = mask.unflatten(0, (stacks, len(mask) // stacks)).movedim(-1, 1).flatten(0, 2)
        return Prompts(
            points=spread(prompts.points[..., :2]),
            labels=spread(prompts.labels),
            boxes=None if prompts.boxes is None else spread(prompts.boxes[..., :2]),
            mask=mask,
        )


def build(config: Config, base: Base | None = None) -> MaSam:
    """Build the network; it keeps the configuration as ``model.config``.

    Args:
        config: Its shape, its classes and what is trained.
        base: A general SAM to begin from, or its state; tokens and further upscaling are new.
    """
    model = MaSam(config)
    if base is not None:
        start_from(model, base, new=NEW)
    add_factors(model.image_encoder, config.rank)
    add_depth_adapters(model.image_encoder, config.inner, slices=config.slices)
    if config.freeze:
        train_only(model, *TRAINED)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return 0.2 cross-entropy + 0.8 Dice: of all classes, or a mean over an interaction's rounds.

    Raises:
        ValueError: The network has classes, and the batch not one object for each.
    """
    config = config_of(model)
    if not config.classes:
        return conversation_loss(model, batch, config.plan, LOSS)
    if batch.objects != len(config.classes):
        raise ValueError(
            f"an automatic system learns one object a class, {len(config.classes)} in all, got "
            f"{batch.objects}; give the objects in the order of config.classes."
        )
    return slice_classes_loss(model(batch.image), batch.target, batch.known)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment all classes of a volume, or answer prompts in the stacks of slices around them.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: `Classes` of an automatic network; clicks or boxes of a prompted one. A click is
            answered in as many slices as a stack has, a box in all that it spans.

    Raises:
        ValueError: The ask has another part, a class that the network does not know, or lies
            outside of the volume.
    """
    config = config_of(model)
    if not config.classes:
        return segment_stacks(
            model, case, ask, size=config.size[0], slices=config.slices, system=CARD.name
        )
    classes_of(ask, config.classes, system=CARD.name)
    return segment_classes(
        model, model, case, classes=config.classes, size=config.size[0], slices=config.slices
    )


CARD = Card(
    name="MA-SAM",
    title="MA-SAM: Modality-agnostic SAM Adaptation for 3D Medical Image Segmentation",
    year=2024,
    paper="https://arxiv.org/abs/2309.08842",
    code="https://github.com/cchen-cc/MA-SAM",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "ViT-B in paper() and gpu(), where the main results are of ViT-H; quick() begins from our "
        "stand-in for general SAM, a hundredth of ViT-B",
        "the original is automatic, with a variant for boxes; here clicks are answered too, in "
        "rounds: all slices of a stack are told a click's place, whichever slice it was made in",
        "a click is answered in one stack of slices; the rest of a deep structure needs further "
        "clicks, or a box",
        "the depth adapters' last layer is not zero at the start, as published, so they change the "
        "encoder before the first step; FacT begins at zero",
        "classes that a stack does not annotate leave its softmax",
        "cosine decay of the learning rate in place of a polynomial of power 7",
    ),
    notebook="10",
)
"""Provenance."""
