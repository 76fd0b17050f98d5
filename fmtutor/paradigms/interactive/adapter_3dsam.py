"""3DSAM-adapter: the 2D encoder of SAM, made to see volumes by adding little and training little.

SAM's knowledge lies in its attention and perceptrons, which act on tokens wherever they come from.
So the frozen 2D weights are run on tokens of cubes; what is new learns the third axis
(`fmtutor.nets.volume_adapters`). A click is encoded by the features seen there, in place of its
coordinates (`fmtutor.nets.visual_prompts`), and a light decoder reads four depths of the encoder
(`fmtutor.nets.aggregation_decoder`). One click segments a structure in 3D.

Source: Gong et al., "3DSAM-adapter: Holistic Adaptation of SAM from 2D to 3D for Promptable Medical
Image Segmentation", 2023.
Taught in: 10
"""

from dataclasses import dataclass, field, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.ask import Ask, Clicks, Part
from fmtutor.core.card import Card
from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, conversation_loss
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.session import segment
from fmtutor.losses.promptable import PromptLoss, cross_entropy_each, dice_each
from fmtutor.nets.aggregation_decoder import AggregationDecoder
from fmtutor.nets.certainty import certainty
from fmtutor.nets.freeze import train_only
from fmtutor.nets.sam import Shape
from fmtutor.nets.sam_shapes import vit_b
from fmtutor.nets.sam_start import Base, state_of
from fmtutor.nets.visual_prompts import VisualPrompts
from fmtutor.nets.volume_adapters import TRAINED, VolumeEncoder, inflate
from fmtutor.paradigms import config_of
from fmtutor.paradigms.interactive.sizes import SMALL, TINY

LOSS = PromptLoss(
    lambda logits, truth: (cross_entropy_each(logits, truth) + dice_each(logits, truth)) / 2,
    overlap=False,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    shape: Shape = SMALL
    """The 2D network, see `fmtutor.nets.sam.Shape`; that of the base."""
    size: tuple[int, ...] = (64, 64, 48)
    """Voxels of the volume that the network sees, along H, W, D."""
    scale: int = 2
    """How many times finer the encoder sees it; published 4."""
    window: int = 8
    """Tokens along each side of an attention window."""
    inner: int = 24
    """Features inside the decoder; published 128."""
    freeze: bool = True
    """Train only what 3DSAM-adapter trains; False trains all, for a network without a base."""
    plan: Plan = field(default_factory=lambda: Plan(rounds=(1, 3), feedback=False))
    """The simulated interaction of a training step; published: clicks inside, one round."""
    batch: int = 1
    """Volumes per step."""
    objects: int = 3
    """Objects asked of each volume; published: one."""
    steps: int = 2000
    """Optimiser steps."""
    warmup_steps: int = 50
    """Steps in which the learning rate rises."""
    lr: float = 8e-4
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""

    @property
    def patch(self) -> tuple[int, ...]:
        """Voxels of a training crop."""
        return self.size

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests: from scratch, so nothing is frozen."""
        shape = replace(TINY, prompt_features=16)
        small = cls(shape=shape, size=(16, 16, 16), scale=1, window=4, inner=8, freeze=False)
        plan = Plan(rounds=(1, 2), feedback=False, gradient="last")
        recipe = {"plan": plan, "objects": 2, "steps": 75, "warmup_steps": 0, "lr": 4e-3}
        return replace(small, **{**recipe, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: the shape of our stand-in for general SAM, crops of 64 x 64 x 48 voxels."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: SAM ViT-B on crops of 96^3 voxels."""
        return cls.paper(**{"size": (96, 96, 96), "steps": 20_000, "objects": 2, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network on crops of 128^3 voxels."""
        plan = Plan(rounds=(1, 1), simulators=("uniform",), feedback=False)
        full = cls(shape=replace(vit_b(), intensity="unit"), size=(128,) * 3, scale=4, inner=128)
        recipe = {"plan": plan, "objects": 1, "lr": 4e-4, "steps": 100_000, "warmup_steps": 0}
        return replace(full, **{**recipe, **changes})


@dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """What the network keeps of volumes."""

    deepest: Float[Tensor, "B E h w d"]
    """The deepest features, which prompts are told to."""
    before: Float[Tensor, "B M h2 w2 d2"]
    """What everything else adds to the decoder's joined features."""
    voxels: tuple[int, ...]
    """Voxels of the volumes along each axis."""


class Adapter3dSam(nn.Module):
    """Volume encoder, visual prompts, light decoder.

    Args:
        config: Shapes and sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        shape, self.size = config.shape, tuple(config.size)
        self.encoder = VolumeEncoder(shape, config.size, scale=config.scale, window=config.window)
        self.prompts = VisualPrompts(
            shape.prompt_features, heads=shape.decoder_heads, hidden=shape.decoder_hidden
        )
        self.decoder = AggregationDecoder(shape.prompt_features, config.inner)

    def embed(self, image: Float[Tensor, "B 1 H W D"]) -> Seen:
        """Return what is kept of volumes in [0, 1], of the voxels that the network was built for.

        Raises:
            ValueError: The volume is of another size.
        """
        if tuple(image.shape[2:]) != self.size:
            raise ValueError(
                f"this network sees volumes of {self.size} voxels, got {tuple(image.shape[2:])}; "
                "crop or pad them, or build it with another size."
            )
        *levels, deepest = self.encoder(image)
        before = self.decoder.before(levels, image)
        return Seen(deepest=deepest, before=before, voxels=tuple(image.shape[2:]))

    def decode(self, embedding: Seen, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Answer clicks; a last mask is not looked at.

        Args:
            embedding: Of B volumes.
            prompts: K rows for each volume, volume by volume.
            candidates: Changes nothing: this network has one answer (M = 1).

        Raises:
            ValueError: A box is asked.
        """
        if prompts.boxes is not None:
            raise ValueError("this network knows no boxes, got one; ask it with clicks.")
        times = len(prompts) // len(embedding.deepest)
        told = self.prompts(
            embedding.deepest.repeat_interleave(times, 0), prompts, embedding.voxels
        )
        low = self.decoder.after(embedding.before.repeat_interleave(times, 0), told)
        logits = functional.interpolate(low, size=embedding.voxels, mode="trilinear")
        return Answer(logits=logits, quality=certainty(logits), low=low)


def build(config: Config, base: Base | None = None) -> Adapter3dSam:
    """Build the network; it keeps the configuration as ``model.config``.

    Args:
        config: Its shape and what is trained.
        base: A general 2D SAM whose encoder it begins from, or its state.
    """
    model = Adapter3dSam(config)
    if base is not None:
        inflate(model.encoder, state_of(base))
    if config.freeze:
        train_only(model, *(f"encoder.{pattern}" for pattern in TRAINED), "prompts", "decoder")
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return Dice and cross-entropy in equal parts, a mean over the rounds of an interaction."""
    return conversation_loss(model, batch, config_of(model).plan, LOSS)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer clicks in a volume; the region is chosen without any label.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: Clicks, in voxels of the case.

    Raises:
        ValueError: The ask has another part than clicks, or lies outside of the volume.
    """
    return segment(model, case, ask, system=CARD.name, kinds=(Clicks,))


CARD = Card(
    name="3DSAM-adapter",
    title="3DSAM-adapter: Holistic Adaptation of SAM from 2D to 3D for Promptable Medical Image "
    "Segmentation",
    year=2023,
    paper="https://arxiv.org/abs/2306.13465",
    code="https://github.com/med-air/3DSAM-adapter",
    licence_code="no licence: facts only",
    licence_weights="none published",
    deviations=(
        "quick() begins from our stand-in for general SAM, a hundredth of ViT-B, on 64x64x48 "
        "voxels of which the encoder sees twice as many along each axis, not four times",
        "a vector for the sign of a click, zero at the start, and rounds of corrections; the "
        "original has clicks inside alone (10 and 20 points from anywhere, taken as context)",
        "the convolution along depth begins as a mean, so that a volume of equal slices gives the "
        "2D tokens; the original draws it at random",
        "tables of relative positions are interpolated to the window once, not at every step",
        "the third table and the vectors of depth are trained as published; the adapters' last "
        "ReLU cannot begin at zero, so they change the encoder before the first step",
        "a region of interest follows the clicks; the original's crop is centred on them and "
        "everything outside is background",
    ),
    notebook="10",
    exempt={"boxes": "it samples the features at points: a box has none"},
)
"""Provenance."""
