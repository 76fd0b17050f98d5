"""SegVol: clicks, boxes and names, in any combination, for whole CT volumes.

A click says where, a name says what. SegVol takes both: a frozen text encoder's vector of the
structure's name is one more prompt (`fmtutor.nets.segvol`). A training step asks for the same
objects in several of six ways (`COMBINATIONS`); objects that nobody named cannot be asked by text.

A volume is larger than what the network sees. Zoom-out-zoom-in:

    coarse = answer on the whole volume, made coarser until it fits
    fine   = answers of a window that slides over the surroundings of the coarse mask, where the
             box is that of the coarse mask in the window, and the user's clicks are those in it

A window without any coarse mask or click inside is not asked. A volume that fits is answered once.

Source: Du et al., "SegVol: Universal and Interactive Volumetric Medical Image Segmentation",
NeurIPS 2024.
Taught in: 10
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Boxes, Clicks, Part, Text, answerable, check_inside
from fmtutor.core.card import Card
from fmtutor.core.prompts import INSIDE, OUTSIDE, Prompts, no_points
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.objects import ObjectBatch
from fmtutor.engine.clicking import loose_box
from fmtutor.engine.prediction import Prediction
from fmtutor.engine.zooming import Question, zoom_out_zoom_in
from fmtutor.losses.promptable import medical_loss
from fmtutor.nets.name_vectors import vector_of, vectors_where_known
from fmtutor.nets.segvol import TextPromptedVit, TextShape
from fmtutor.paradigms import config_of

COMBINATIONS = (
    ("points",), ("box",), ("text",), ("points", "text"), ("box", "text"), ("points", "box"),
)  # fmt: skip
"""The ways in which an object is asked for."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    shape: TextShape = field(default_factory=TextShape)
    """The network, see `fmtutor.nets.segvol.TextShape`."""
    text: str = "minilm"
    """Bank of `fmtutor.nets.text` that holds the vectors of the names."""
    spacing_mm: float = 3.0
    """Edge of the voxels that it is trained on, and that it zooms in to."""
    combinations: int = 3
    """Of the six ways to ask, how many a step draws; published: all."""
    points: tuple[int, int] = (3, 3)
    """Most points inside beyond the first one, and most points outside."""
    box_jitter: float = 0.1
    """Largest movement of a side of the box, as a share of its length."""
    overlap: float = 0.5
    """Share of a window that its neighbour covers too, when zooming in."""
    batch: int = 1
    """Crops per step."""
    objects: int = 3
    """Objects asked of each crop."""
    steps: int = 4000
    """Optimiser steps."""
    warmup_steps: int = 150
    """Steps in which the learning rate rises."""
    lr: float = 1e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels of the image along each axis."""
        return self.shape.image

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        shape = TextShape(
            image=(16, 16, 8), stem=(8, 8), features=32, depth=2, heads=2, prompt_features=64,
            decoder_heads=4, decoder_hidden=64,
        )  # fmt: skip
        small = cls(shape=shape, combinations=2, points=(0, 0), objects=2, lr=2e-3, steps=120)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """A CPU: crops of 64 x 64 x 48 voxels, tokens of 8 x 8 x 4."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: half the published width, on 128 x 128 x 64 voxels."""
        shape = TextShape(
            image=(128, 128, 64), stem=(32, 64), features=384, depth=12, heads=6,
            prompt_features=256, decoder_hidden=1024,
        )  # fmt: skip
        full = cls(shape=shape, spacing_mm=2.0, batch=4, objects=4, combinations=6, steps=60_000)
        return replace(full, **{"lr": 4e-4, "warmup_steps": 500, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published size: ViT-B on 256 x 256 x 32 voxels, patches of 16 x 16 x 4."""
        shape = TextShape(
            image=(256, 256, 32), strides=((16, 16, 4),), stem=(), features=768, depth=12,
            heads=12, prompt_features=768, decoder_hidden=2048, matched=0.0,
        )  # fmt: skip
        full = cls(shape=shape, spacing_mm=1.5, batch=8, objects=1, combinations=6, steps=500_000)
        return replace(full, **{"lr": 1e-4, "weight_decay": 1e-5, **changes})


def build(config: Config) -> TextPromptedVit:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = TextPromptedVit(config.shape)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, batch: ObjectBatch) -> Tensor:
    """Return Dice + cross-entropy, a mean over several ways to ask for the same objects.

    Where none of the objects has a name, text is left out of all ways.
    """
    config, rng = config_of(model), rng_of("segvol", batch.seed)
    names = [name for row in batch.names for name in row] or [""] * batch.known.numel()
    text = vectors_where_known(config.text, names).to(batch.image.device)
    named = (text != 0).any(1)
    possible = [ways for ways in COMBINATIONS if "text" not in ways or bool(named.any())]
    drawn = rng.permutation(len(possible))[: config.combinations]
    masks, target = batch.target.flatten(0, 1).cpu().numpy(), batch.target.flatten(0, 1)
    embedding, losses = model.embed(batch.image), []  # type: ignore[operator]
    for ways in (possible[number] for number in drawn):
        asked = _prompts(masks, text if "text" in ways else None, ways, config=config, rng=rng)
        answer = model.decode(embedding, asked.to(batch.image.device))  # type: ignore[operator]
        known = batch.known.flatten() & (named if ways == ("text",) else True)
        losses.append(medical_loss(answer, target, known))
    return torch.stack(losses).mean()


def _prompts(
    masks: np.ndarray,
    text: Tensor | None,
    ways: tuple[str, ...],
    *,
    config: Config,
    rng: np.random.Generator,
) -> Prompts:
    """Draw prompts for masks (R, H, W, D)."""
    prompts = no_points(len(masks), masks.ndim - 1)
    if "points" in ways:
        more, less = (int(rng.integers(most + 1)) for most in config.points)
        signs = np.array([INSIDE] * (1 + more) + [OUTSIDE] * less)
        at = np.stack([_spots(mask, signs, rng) for mask in masks])
        labels = torch.from_numpy(np.tile(signs, (len(masks), 1)))
        prompts = replace(prompts, points=torch.from_numpy(at), labels=labels)
    if "box" in ways:
        boxes = np.stack([loose_box(mask, config.box_jitter, rng) for mask in masks])
        prompts = replace(prompts, boxes=torch.from_numpy(boxes))
    return replace(prompts, text=text)


def _spots(mask: np.ndarray, signs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a voxel (P, 3) for each sign, all equally likely."""
    places = {INSIDE: np.flatnonzero(mask), OUTSIDE: np.flatnonzero(~mask)}
    flat = [rng.choice(found if len(found := places[s]) else mask.size) for s in signs.tolist()]
    return np.stack(np.unravel_index(flat, mask.shape), 1).astype(np.float32)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Answer clicks, a box, a name, or a combination, by zooming out and in.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: In voxels of the case. Several boxes are several objects, and their union is returned.

    Raises:
        ValueError: The ask has another part, none of these, or lies outside the volume; several
            boxes come with clicks; or a name is not in the bank and cannot be encoded.
    """
    parts = answerable(ask, Clicks, Boxes, Text, system=CARD.name)
    for part in parts.values():
        check_inside(part, case.image.shape)
    config, clicks = config_of(model), parts.get(Clicks)
    boxes = parts[Boxes].boxes_vox if Boxes in parts else (None,)
    if not parts or (len(boxes) > 1 and clicks):
        raise ValueError(
            f"{CARD.name} is asked about one object by clicks, a box or a name, got {len(boxes)} "
            f"boxes and {'' if clicks else 'no '}clicks; ask one at a time."
        )
    name = parts[Text].text if Text in parts else "structure"
    text = vector_of(name, config.text) if Text in parts else None
    masks = [
        zoom_out_zoom_in(
            model,
            case,
            Question(clicks=clicks, box=box, text=text),
            size=config.size,
            spacing_mm=config.spacing_mm,
            overlap=config.overlap,
        )
        for box in boxes
    ]
    return Prediction.from_masks({name: np.logical_or.reduce(masks)}, case)


CARD = Card(
    name="SegVol",
    title="SegVol: Universal and Interactive Volumetric Medical Image Segmentation",
    year=2024,
    paper="https://arxiv.org/abs/2311.13385",
    code="https://github.com/BAAI-DCAI/SegVol",
    licence_code="MIT",
    licence_weights="MIT",
    deviations=(
        "sentences are encoded by MiniLM, whose vectors of our names come with the package, in "
        "place of CLIP's text model; they are centred",
        "a learnt token says that there is no name; published, the token is left out",
        "quick() and gpu() have a convolutional stem whose maps the mask decoder reads, and a "
        "narrower transformer",
        "tokens and image start with matched queries and keys (`two_way.match_places`), except in "
        "paper()",
        "the encoder is trained with the rest; published, it is pre-trained on 96 k CT volumes by "
        "masked reconstruction first",
        "a step draws 3 of the 6 ways to ask; parts of the image that nobody named are objects of "
        "the same pass, in place of six further passes",
        "zooming out keeps proportions, and zooming in is at the spacing of training; published, "
        "the volume is stretched to the input's size, and then seen at its own spacing",
        "no training on whole volumes: crops are zoomed in, with some variation of scale",
        "trained on the virtual cohort, not on 25 public data sets",
    ),
    notebook="10",
)
"""Provenance."""
