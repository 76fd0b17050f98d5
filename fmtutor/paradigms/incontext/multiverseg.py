"""MultiverSeg: finished cases are the support of the next, and clicks correct what is left.

UniverSeg needs solved examples before it can answer; an interactive system starts afresh with every
image. MultiverSeg does both: the query comes with its prompts, and each finished image joins the
support, so a data set is segmented with fewer and fewer corrections. The network is UniverSeg's
with three changes:

- the query has five channels: image, box, positive and negative prompts, logits of the last answer;
- a LeakyReLU follows the CrossConv, so the mean cannot go first (the split form stays exact);
- the convolution of the query and that of the supports each end in a layer norm over channels and
  pixels (`NormedLayer`).

The growing context is `fmtutor.engine.growing_context`, for this network and any other in context.
Prompts come with interaction: `forward` takes them, `step` and `predict` leave their channels 0.

Source: Wong et al., "MultiverSeg: Scalable Interactive Segmentation of Biomedical Imaging Datasets
with In-Context Guidance", ICCV 2025.
Taught in: 07
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
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

PROMPTS = ("box", "positive", "negative", "previous logits")
"""The channels of a query after its image."""

Prompts = Float[Tensor, "B 4 *grid"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    features: tuple[int, ...] = (64, 64, 64, 64)
    """Features per level."""
    dims: int = 2
    """Spatial axes: 2 for slices, 3 for volumes."""
    size: int = 64
    """Pixels along each side of what the network sees."""
    support: int = 8
    """Largest support of a training episode; smaller ones are drawn too."""
    batch: int = 4
    """Episodes per step, each of its own task."""
    steps: int = 6000
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
        """A CPU: a quarter of the published features at half the resolution."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the published resolution, half the features."""
        full = cls(features=(128,) * 4, size=128, support=16, batch=8, steps=60_000, lr=1e-4)
        return replace(full, **{"warmup_steps": 500, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network, 18.9 M parameters; how it is trained is as in `gpu`."""
        return cls.gpu(**{"features": (256,) * 4, "support": 64, **changes})


class NormedLayer(ConvLayer):
    """A convolution, LeakyReLU, and a layer norm over the channels and pixels of each map.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        dims: 2 or 3 spatial axes.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dims: int = 2) -> None:
        super().__init__(in_channels, out_channels, dims=dims)
        self.norm = nn.GroupNorm(1, out_channels)

    def forward(self, x: Query) -> Query:
        """Return the convolution, activated, then normalised: the order of the released code."""
        return self.norm(super().forward(x))


class NormedBlock(CrossBlock):
    """A cross block whose query and support convolutions are normalised; the CrossConv is not.

    Args:
        query_channels: Channels of the query that comes in.
        support_channels: Channels of each support that comes in.
        features: Channels of everything that goes out.
        dims: 2 or 3 spatial axes.
    """

    def __init__(
        self, query_channels: int, support_channels: int, features: int, *, dims: int = 2
    ) -> None:
        super().__init__(query_channels, support_channels, features, dims=dims, activation=True)
        self.target = NormedLayer(features, features, dims=dims)
        self.support = NormedLayer(features, features, dims=dims)


class MultiverSeg(nn.Module):
    """A U-Net of normed cross blocks, for a query with prompts.

    Args:
        features: Features per level, the finest first.
        dims: 2 or 3 spatial axes.
    """

    def __init__(self, features: tuple[int, ...], *, dims: int = 2) -> None:
        super().__init__()
        widths = [(1 + len(PROMPTS), 2), *((width, width) for width in features[:-1])]
        self.encoder = nn.ModuleList(
            NormedBlock(*into, width, dims=dims)
            for into, width in zip(widths, features, strict=True)
        )
        self.decoder = nn.ModuleList(
            NormedBlock(below + width, below + width, width, dims=dims)
            for below, width in zip(features[:0:-1], features[-2::-1], strict=True)
        )
        self.head = ConvLayer(features[0], 1, dims=dims, kernel=1, activation=False)

    def forward(
        self,
        query: Query,
        support_images: Supports,
        support_masks: Supports,
        *,
        prompts: Prompts | None = None,
        chunk: int = CHUNK,
    ) -> Query:
        """Return the logits of the queries.

        Args:
            query: (B, 1, *grid) in [0, 1]; each side a multiple of 2^(levels - 1).
            support_images: (B, S, 1, *grid) in [0, 1]; B may be 1 for all queries.
            support_masks: (B, S, 1, *grid), 0 or 1.
            prompts: (B, 4, *grid) in the order of `PROMPTS`; None stands for no prompt, all 0.
            chunk: Supports in work at once; a matter of memory, never of the answer.

        Returns:
            (B, 1, *grid).

        Raises:
            ValueError: There is no support, or images and masks differ in shape.
        """
        memory = look_at(support_images, support_masks, chunk=chunk)
        return self.answer(query, memory, prompts=prompts)

    def remember(
        self, support_images: Supports, support_masks: Supports, *, chunk: int = CHUNK
    ) -> Memory:
        """Return what can be computed of a support before any query comes (for `answer`)."""
        return remembered(self.encoder[0], look_at(support_images, support_masks, chunk=chunk))

    def answer(self, query: Query, memory: Memory, *, prompts: Prompts | None = None) -> Query:
        """Return the logits of queries (B, 1, *grid) for a support that was looked at before."""
        supports: list[Supports] = []
        x = enter(self.encoder[0], prompted(query, prompts), memory, keep=supports.append)
        skips = [(x, supports)]
        for block in self.encoder[1:]:
            x, supports = block(pool(x), [each(pool, chunk) for chunk in supports])
            skips.append((x, supports))
        skips.pop()
        for block in self.decoder:
            fine, fine_supports = skips.pop()
            x = torch.cat([upsample(x), fine], 1)
            last = block is self.decoder[-1]
            x, supports = block(x, Joined(supports, fine_supports), last=last)
        return self.head(x)

    def plain(
        self,
        query: Query,
        support_images: Supports,
        support_masks: Supports,
        *,
        prompts: Prompts | None = None,
    ) -> Query:
        """Return the same logits pair by pair, nothing split or left out."""
        x = prompted(query, prompts)
        support = torch.cat([support_images, support_masks], 2)
        skips: list[tuple[Query, Supports]] = []
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


def prompted(query: Query, prompts: Prompts | None) -> Query:
    """Return the query's five channels: its image, and its prompts or zeros."""
    if prompts is None:
        prompts = query.new_zeros(len(query), len(PROMPTS), *query.shape[2:])
    return torch.cat([query, prompts], 1)


def build(config: Config) -> MultiverSeg:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = MultiverSeg(config.features, dims=config.dims)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, episodes: Episodes) -> Tensor:
    """Return soft Dice plus cross-entropy of the queries whose answer is known; no prompts."""
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
    name="MultiverSeg",
    title="MultiverSeg: Scalable Interactive Segmentation of Biomedical Imaging Datasets with "
    "In-Context Guidance",
    year=2025,
    paper="https://arxiv.org/abs/2412.15058",
    code="https://github.com/halleewong/MultiverSeg",
    licence_code="Apache-2.0",
    licence_weights="published on Dropbox without a licence of their own",
    deviations=(
        "the prompt channels are there but 0: clicks, scribbles and boxes are neither trained with "
        "nor asked here",
        "the layer norm comes after the LeakyReLU, as the released code runs it (its comment says "
        "before)",
        "without a finished case the original asks ScribblePrompt's U-Net, or shows one support "
        "filled with 0.5; here the context starts with at least one example",
        "trained as our UniverSeg is: soft Dice and cross-entropy, tasks from one torso and one "
        "brain; quick() has 64 features where the published network has 256",
        "2D and 3D by the same code; the paper is 2D",
    ),
    notebook="07",
)
