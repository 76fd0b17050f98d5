"""UniverSeg: the task is given by examples, so nothing is trained for a new one.

A network f takes a query image x and a support set of S solved examples of some task,

    y = f(x, {(x_i, y_i)}_i=1..S),

and was trained over so many tasks that it learnt to read the task from the support. It is a U-Net
whose every block is a cross block (`fmtutor.nets.cross_block`): the query meets each support in a
CrossConv, and sees the support only through a mean, so any number in any order will do.

Training, algorithm 1 of the paper: draw a task; draw a query and a support of it; augment each pair
(in-task) and the task as a whole; minimise the soft Dice loss of the query (`step`).

In the released network nothing stands between a CrossConv and its mean, where the paper has an
activation; the weights need the former, and it permits the exact shortcuts of
`fmtutor.nets.cross_conv`. `UniverSeg.plain` is the published form, for comparison.

Source: Butoi et al., "UniverSeg: Universal Medical Image Segmentation", ICCV 2023.
Taught in: 07
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fmtutor.core.ask import Ask, Part, supports_of
from fmtutor.core.card import Card
from fmtutor.data.cases import Case
from fmtutor.data.episodes import Episodes
from fmtutor.engine.in_context_volumes import segment_volume
from fmtutor.engine.prediction import Prediction
from fmtutor.losses.in_context import dice_bce
from fmtutor.nets.cross_block import CHUNK, CrossBlock, Memory, enter, look_at, remembered
from fmtutor.nets.cross_conv import ConvLayer, Joined, Query, Supports, each, pool, upsample
from fmtutor.paradigms import config_of


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    features: tuple[int, ...] = (64, 64, 64, 64)
    """Features per level."""
    dims: int = 2
    """Spatial axes: 2 for slices, 3 for volumes."""
    activation: bool = False
    """Whether a LeakyReLU follows each CrossConv: not in the released network, yes in the paper."""
    size: int = 64
    """Pixels along each side of what the network sees."""
    support: int = 8
    """Largest support of a training episode; smaller ones are drawn too."""
    batch: int = 4
    """Episodes per step, each of its own task."""
    steps: int = 5000
    """Optimiser steps."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    lr: float = 1e-3
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls(features=(8, 8), size=16, support=3, batch=2, lr=1e-2, steps=80)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """The shipped model: the released network at half its resolution."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the released network at its own resolution and support."""
        full = cls(size=128, support=64, batch=8, steps=60_000, lr=1e-4, warmup_steps=500)
        return replace(full, **changes)

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """As the paper writes it: an activation after CrossConv, and five levels."""
        return cls.gpu(**{"features": (64,) * 5, "activation": True, **changes})


class UniverSeg(nn.Module):
    """A U-Net of cross blocks.

    Args:
        features: Features per level, the finest first.
        dims: 2 or 3 spatial axes.
        activation: Whether a LeakyReLU follows each CrossConv.
    """

    def __init__(
        self, features: tuple[int, ...], *, dims: int = 2, activation: bool = False
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"dims": dims, "activation": activation}
        widths = [(1, 2), *((width, width) for width in features[:-1])]
        self.encoder = nn.ModuleList(
            CrossBlock(*into, width, **options)
            for into, width in zip(widths, features, strict=True)
        )
        self.decoder = nn.ModuleList(
            CrossBlock(below + width, below + width, width, **options)
            for below, width in zip(features[:0:-1], features[-2::-1], strict=True)
        )
        self.head = ConvLayer(features[0], 1, dims=dims, kernel=1, activation=False)
        self.linear = not activation

    def forward(
        self,
        query: Query,
        support_images: Supports,
        support_masks: Supports,
        *,
        chunk: int = CHUNK,
    ) -> Query:
        """Return the logits of the queries.

        Args:
            query: (B, 1, *grid) in [0, 1]; each side a multiple of 2^(levels - 1).
            support_images: (B, S, 1, *grid) in [0, 1]; B may be 1 for all queries.
            support_masks: (B, S, 1, *grid), 0 or 1.
            chunk: Supports in work at once; a matter of memory, never of the answer.

        Returns:
            (B, 1, *grid).

        Raises:
            ValueError: There is no support, or images and masks differ in shape.
        """
        return self.answer(query, look_at(support_images, support_masks, chunk=chunk))

    def remember(
        self, support_images: Supports, support_masks: Supports, *, chunk: int = CHUNK
    ) -> Memory:
        """Return what can be computed of a support before any query comes (for `answer`)."""
        return remembered(self.encoder[0], look_at(support_images, support_masks, chunk=chunk))

    def answer(self, query: Query, memory: Memory) -> Query:
        """Return the logits of queries (B, 1, *grid) for a support that was looked at before."""
        x, supports, skips = self._encode(query, memory)
        for block, (fine, fine_supports) in zip(self.decoder, skips[::-1], strict=True):
            x = torch.cat([upsample(x), fine], 1)
            last = block is self.decoder[-1]
            if last and self.linear:
                coarse = sum(chunk.sum(1) for chunk in supports) / memory.count
                x = block.of_mean(x, torch.cat([upsample(coarse), fine_supports[0]], 1))
            else:
                x, supports = block(x, Joined(supports, fine_supports), last=last)
        return self.head(x)

    def _encode(
        self, query: Query, memory: Memory
    ) -> tuple[Query, list[Supports], list[tuple[Query, list[Tensor]]]]:
        """Return the deepest query and supports, and the skips of every other level."""
        pooled: list[Supports] = []
        skip: list[Tensor] = []

        def keep(new: Supports) -> None:
            pooled.append(each(pool, new))
            if not self.linear:
                skip.append(new)
            elif skip:  # the last block needs their mean alone
                skip[0] = skip[0] + new.sum(1) / memory.count
            else:
                skip.append(new.sum(1) / memory.count)

        x = enter(self.encoder[0], query, memory, keep=keep)
        skips, supports = [(x, skip)], pooled
        for block in self.encoder[1:]:
            x, new = block(pool(x), supports)
            skips.append((x, new))
            supports = (
                [each(pool, chunk) for chunk in new] if block is not self.encoder[-1] else new
            )
        return x, supports, skips[:-1]

    def plain(self, query: Query, support_images: Supports, support_masks: Supports) -> Query:
        """Return the same logits in the published form: pair by pair, nothing left out."""
        x, support = query, torch.cat([support_images, support_masks], 2)
        skips: list[Any] = []
        for block in self.encoder:
            if skips:
                x, support = pool(x), each(pool, support)
            x, support = block.plain(x, support)
            skips.append((x, support))
        skips.pop()
        for block in self.decoder:
            fine, fine_support = skips.pop()
            x = torch.cat([upsample(x), fine], 1)
            support = torch.cat([each(upsample, support), fine_support], 2)
            x, support = block.plain(x, support)
        return self.head(x)


def build(config: Config) -> UniverSeg:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = UniverSeg(config.features, dims=config.dims, activation=config.activation)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, episodes: Episodes) -> Tensor:
    """Return soft Dice plus cross-entropy of the queries whose answer is known."""
    logits = model(episodes.query, episodes.support_images, episodes.support_masks)
    return dice_bce(logits, episodes.target, episodes.known)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment what the examples show, slice by slice (or whole, with a 3D network).

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: One `Support`, or several of different names: their masks then compete.

    Raises:
        ValueError: The ask has another part, or none.
    """
    supports = supports_of(ask, system=CARD.name)
    return segment_volume(model, case, supports, size=config_of(model).size, system=CARD.name)


CARD = Card(
    name="UniverSeg",
    title="UniverSeg: Universal Medical Image Segmentation",
    year=2023,
    paper="https://arxiv.org/abs/2304.06131",
    code="https://github.com/JJGO/UniverSeg",
    licence_code="Apache-2.0",
    licence_weights="OpenRAIL++-M, research only",
    deviations=(
        "no activation after CrossConv, as in the released network and unlike the paper's formula; "
        "Config.paper() has it",
        "four levels, as released; Config.paper() has five",
        "CrossConv, the first block's support path and the last block are computed in exact faster "
        "forms; UniverSeg.plain is the published one",
        "training adds cross-entropy to the soft Dice: steps are few here, and a Dice alone starts "
        "slowly from an empty mask",
        "tasks come from one torso, grown into virtual patients, and one brain, not from the 53 "
        "datasets of MegaMedical; 64x64 pixels and supports up to 8 where the paper has 128 and 64",
        "a tenth of the queries need not show the structure, as slices of a volume do not",
        "2D and 3D by the same code; the paper is 2D",
    ),
    notebook="07",
)
