"""Prompts as input channels: a plain U-Net becomes interactive by seeing what was clicked.

SAM embeds the image once and lets a small decoder read prompts as tokens. Here the prompts are
drawn instead (`fmtutor.nets.prompt_channels`) and enter beside the image at full resolution,

    logits = U-Net([image, last mask, clicks inside and outside, box, scribbles in- and outside])

so the whole network thinks anew after each click: nothing can be cached, but every layer knows
what is asked, borders are sharp, and any segmentation network will do. nnInteractive and
ScribblePrompt are built so. Training is a simulated conversation of a few rounds
(`fmtutor.engine.clicking`): the answer's errors are clicked, and the network answers again.

The network says nothing of its own quality; ``Answer.quality`` is how well its mask overlaps with
its own probabilities, sum(p in the mask) / (voxels of the mask + sum(p outside of it)): 1 if it is
sure everywhere.

Source: Isensee et al., "nnInteractive: Redefining 3D Promptable Segmentation", 2025; Wong et al.,
"ScribblePrompt", ECCV 2024.
Taught in: 09
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Part
from fmtutor.core.card import Card
from fmtutor.core.prompts import Answer, Prompts
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import Plan, conversation_loss
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.session import segment
from fmtutor.losses.promptable import medical_loss
from fmtutor.nets.certainty import certainty
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.prompt_channels import CHANNELS, prompt_channels
from fmtutor.nets.unet3d import Stride, UNet3d
from fmtutor.paradigms import config_of


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    channels: tuple[int, ...] = (16, 32, 64, 128)
    """Features per level of the U-Net."""
    convs: tuple[int, ...] = (1, 2, 2, 2)
    """Convolutions per level; those at full resolution take most of a step's time."""
    dims: int = 3
    """Axes of the image: 2 (a slice is a volume of one slice) or 3."""
    radius: float = 2.0
    """Radius of a click's ball, in voxels."""
    fade: float = 0.9
    """Factor on a click for each newer one."""
    patch: tuple[int, ...] = (64, 64, 48)
    """Voxels of a training crop, and of the region that a session shows the network."""
    spacing_mm: float = 3.0
    """Edge of its voxels."""
    objects: int = 2
    """Objects of a training image."""
    batch: int = 1
    """Images of a step."""
    plan: Plan = field(default_factory=lambda: Plan(box=0.15, gradient="last"))
    """The conversation of a step."""
    steps: int = 1500
    """Optimiser steps."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    lr: float = 2e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels of a region of interest."""
        return self.patch

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls(
            channels=(8, 16, 16), convs=(1, 1, 1), patch=(16, 16, 16), objects=2, steps=60, lr=1e-2,
            plan=Plan(rounds=(1, 2), simulators=("centre", "uniform"), box=0.3, gradient="last"),
        )  # fmt: skip
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: crops of 64 x 64 x 48 voxels at 3 mm."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: a full U-Net on larger regions of finer voxels."""
        full = cls(
            channels=(32, 64, 128, 256, 320), convs=(2,) * 5, patch=(128, 128, 96), spacing_mm=1.5,
            radius=4.0, objects=2, batch=2, steps=60_000, lr=1e-3, warmup_steps=500,
            plan=Plan(rounds=(1, 6), box=0.15, gradient="last"),
        )  # fmt: skip
        return replace(full, **changes)

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The size of nnInteractive's patches; its data and its training code are not public."""
        return cls.gpu(**{"patch": (192, 192, 192), "spacing_mm": 1.0, "batch": 8, **changes})


class EarlyPrompt(nn.Module):
    """A U-Net over the image and its prompts.

    Args:
        config: Channels, axes and how clicks are drawn.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        down: Stride = (2, 2, 1) if config.dims == 2 else 2
        deep = len(config.channels)
        strides: list[Stride] = [1, *[down] * (deep - 2), (2, 2, 1)]
        self.unet = UNet3d(
            1 + len(CHANNELS),
            config.channels,
            strides=strides,
            convs_per_level=config.convs,
            up="trilinear",
            skip="add",
        )
        self.head = LinearHead(config.channels[0], 1, prior=0.05)
        self.radius, self.fade = config.radius, config.fade
        # Clicks fainter than any of a training conversation would be news to the network.
        self.oldest = config.plan.rounds[1] - 1

    def embed(self, image: Float[Tensor, "B 1 *grid"]) -> Float[Tensor, "B 1 *grid"]:
        """Return the image itself: nothing can be computed before the prompts are known."""
        return image

    def decode(self, embedding: Tensor, prompts: Prompts, *, candidates: bool = False) -> Answer:
        """Answer the prompts.

        Args:
            embedding: The images (B, 1, *grid); each side of the grid a multiple of
                ``unet.divisor``.
            prompts: Of B K questions, image by image.
            candidates: Changes nothing: this network has one answer (M = 1).

        Returns:
            Logits and ``low`` on the image's own grid, always float32.
        """
        images = embedding.repeat_interleave(len(prompts) // len(embedding), 0)
        grid = tuple(images.shape[2:])
        drawn = prompt_channels(
            prompts, grid, radius=self.radius, fade=self.fade, oldest=self.oldest
        )
        x = torch.cat((images, drawn), 1)
        flat = len(grid) == 2
        logits = self.head(self.unet(x[..., None] if flat else x)).float()
        logits = logits[..., 0] if flat else logits
        return Answer(logits=logits, quality=certainty(logits), low=logits)


def build(config: Config) -> EarlyPrompt:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = EarlyPrompt(config)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return the mean loss of the answers that the plan learns from: soft Dice + cross-entropy."""
    return conversation_loss(model, batch, config_of(model).plan, medical_loss)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer clicks, boxes, scribbles or a mask to correct; no label is looked at.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: One or several of them, in voxels of the case.

    Raises:
        ValueError: The ask has another part, none of these, or lies outside of the volume.
    """
    return segment(model, case, ask, system=CARD.name)


CARD = Card(
    name="EarlyPrompt",
    title="nnInteractive: Redefining 3D Promptable Segmentation",
    year=2025,
    paper="https://arxiv.org/abs/2503.08373",
    code="https://github.com/MIC-DKFZ/nnInteractive",
    licence_code="Apache-2.0",
    licence_weights="CC BY-NC-SA 4.0",
    deviations=(
        "a lean plain U-Net with added skips in place of nnU-Net's residual encoder L, and regions "
        "of 64x64x48 voxels of 3 mm in place of 192^3 at the image's own spacing",
        "no AutoZoom: the region has one size",
        "boxes are 3D and filled; nnInteractive's are drawn in one slice and share a channel with "
        "lassos, one inside and one outside",
        "a click fades by 0.9 per newer click, its older rule (now 0.98), no further than in the "
        "longest conversation of the training; boxes and scribbles do not fade, as their place in "
        "time is not kept",
        "one sigmoid channel in place of a softmax of two; Dice with squares below the line",
        "pseudo-objects are parts of the image cut by grey levels, not by SAM",
        "objects come from one torso, grown into virtual patients, and one brain; its training "
        "data are 120 datasets, and its training code is not public, so the rounds are ours",
        "2D by the same network, as a volume of one slice; nnInteractive is 3D, ScribblePrompt 2D",
    ),
    notebook="09",
)
"""Provenance."""
