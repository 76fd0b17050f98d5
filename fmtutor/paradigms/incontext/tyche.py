"""Tyche: examples pose the task, and the answer is several candidates where several are right.

Experts disagree; a single mask cannot say so. Tyche-TS turns the in-context network into one that
predicts a *set*: the query enters M times, each with its own channel of Gaussian noise, and in each
block (`SetBlock`) the candidates u_k see the support and each other through their mean:

    z_i = LeakyReLU(CrossConv(mean_k u_k, v_i)),   m = mean_i z_i,
    u_k' = Conv_q(Conv_mix(u_k || m)),             v_i' = Conv_s(z_i).

Training lets only the best candidate pay, against one answer drawn from the right ones:

    L = min_k Loss(u_k, y),

so candidates that chose another answer are not pulled back. Tyche-IS needs no training: a network
that answers once is asked several times, each time with other intensities, blur and noise on the
query and its support (`candidates.by_augmentation`).

Source: Rakic et al., "Tyche: Stochastic In-Context Learning for Medical Image Segmentation",
CVPR 2024.
Taught in: 08
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.core.ask import Ask, Part, supports_of
from fmtutor.core.card import Card
from fmtutor.data.cases import Case
from fmtutor.data.episodes import Episodes
from fmtutor.engine.in_context_volumes import segment_volume
from fmtutor.engine.prediction import Prediction
from fmtutor.losses.in_context import best_candidate
from fmtutor.nets.cross_block import CHUNK, CrossBlock, look_at
from fmtutor.nets.cross_conv import (
    CONVOLVE,
    SLOPE,
    ConvLayer,
    Joined,
    Query,
    Supports,
    each,
    pool,
    upsample,
)
from fmtutor.paradigms import config_of
from fmtutor.paradigms.incontext.candidates import MeanCandidate

Candidates = Float[Tensor, "_B _M _C *_grid"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """The network, and how it is trained."""

    features: tuple[int, ...] = (64, 64, 64, 64)
    """Features per level."""
    dims: int = 2
    """Spatial axes: 2 for slices, 3 for volumes."""
    candidates: int = 4
    """Candidates per query in training; any number may be asked for later."""
    size: int = 64
    """Pixels along each side of what the network sees."""
    support: int = 8
    """Largest support of a training episode; smaller ones are drawn too."""
    batch: int = 2
    """Episodes per step, each of its own task."""
    steps: int = 3500
    """Optimiser steps."""
    warmup_steps: int = 100
    """Steps in which the learning rate rises."""
    lr: float = 5e-4
    """Peak learning rate of AdamW; cosine decay."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""

    @classmethod
    def tiny(cls, **changes: Any) -> "Config":
        """The size of the contract tests."""
        small = cls(features=(8, 8), size=16, candidates=2, support=3, batch=2, lr=1e-2, steps=80)
        return replace(small, **{"warmup_steps": 0, **changes})

    @classmethod
    def quick(cls, **changes: Any) -> "Config":
        """The shipped model: the released network at half its resolution."""
        return replace(cls(), **changes)

    @classmethod
    def gpu(cls, **changes: Any) -> "Config":
        """One GPU: the released network at its own resolution and number of candidates."""
        full = cls(size=128, support=16, candidates=8, batch=4, steps=60_000, lr=1e-4)
        return replace(full, **{"warmup_steps": 500, **changes})

    @classmethod
    def paper(cls, **changes: Any) -> "Config":
        """The published network: 1,774,785 parameters at the default features."""
        return cls.gpu(**changes)


class SetBlock(CrossBlock):
    """A cross block for a set of candidates, which interact through their mean.

    Args:
        query_channels: Channels of each candidate that comes in.
        support_channels: Channels of each support that comes in.
        features: Channels of everything that goes out.
        dims: 2 or 3 spatial axes.
    """

    def __init__(
        self, query_channels: int, support_channels: int, features: int, *, dims: int = 2
    ) -> None:
        super().__init__(query_channels, support_channels, features, dims=dims, activation=True)
        self.mix = ConvLayer(query_channels + features, features, dims=dims)

    def forward(  # type: ignore[override]
        self, candidates: Candidates, supports: Any, *, last: bool = False
    ) -> tuple[Candidates, list[Supports]]:
        """Return the new candidates and, chunk by chunk, the new supports.

        Conv_mix is split as CrossConv is: its half for the mean runs once, not once a candidate.
        """
        met, out = self.meet(candidates.mean(1), supports, last=last)
        return self.target.each(self._mixed(candidates, met)), out

    def _mixed(self, candidates: Candidates, met: Query) -> Candidates:
        cut, convolve = candidates.shape[2], CONVOLVE[self.mix.dims]
        shared = convolve(met, self.mix.weight[:, cut:], self.mix.bias, padding=1)
        own = each(lambda x: convolve(x, self.mix.weight[:, :cut], padding=1), candidates)
        return functional.leaky_relu(own + shared[:, None], SLOPE, inplace=True)

    def plain(self, candidates: Candidates, support: Supports) -> tuple[Candidates, Supports]:  # type: ignore[override]
        """Return the new candidates and supports in the published form."""
        z = self.cross.plain(candidates.mean(1), support)
        met = z.mean(1, keepdim=True).expand(-1, candidates.shape[1], *z.shape[2:])
        mixed = self.mix.each(torch.cat([candidates, met], 2))
        return self.target.each(mixed), self.support.each(z)


class Tyche(nn.Module):
    """A U-Net of set blocks.

    Args:
        features: Features per level, the finest first.
        dims: 2 or 3 spatial axes.
    """

    def __init__(self, features: tuple[int, ...], *, dims: int = 2, candidates: int = 8) -> None:
        super().__init__()
        self.candidates = candidates
        widths = [(2, 2), *((width, width) for width in features[:-1])]
        self.encoder = nn.ModuleList(
            SetBlock(*into, width, dims=dims) for into, width in zip(widths, features, strict=True)
        )
        self.decoder = nn.ModuleList(
            SetBlock(below + width, below + width, width, dims=dims)
            for below, width in zip(features[:0:-1], features[-2::-1], strict=True)
        )
        self.head = ConvLayer(features[0], 1, dims=dims, kernel=1, activation=False)

    def forward(
        self,
        query: Query,
        support_images: Supports,
        support_masks: Supports,
        *,
        candidates: int | None = None,
        noise: Candidates | None = None,
        chunk: int = CHUNK,
    ) -> Float[Tensor, "B M *grid"]:
        """Return the logits of M candidates.

        Args:
            query: (B, 1, *grid) in [0, 1]; each side a multiple of 2^(levels - 1).
            support_images: (B, S, 1, *grid) in [0, 1]; B may be 1 for all queries.
            support_masks: (B, S, 1, *grid), 0 or 1.
            candidates: M; default the number of training. Not needed with ``noise``.
            noise: (B, M, 1, *grid), standard normal: what tells candidates apart. Default: drawn
                from torch's global generator.
            chunk: Supports in work at once; a matter of memory, never of the answer.

        Raises:
            ValueError: There is no support, or images and masks differ in shape.
        """
        x = self._candidates(query, candidates, noise)
        supports: Any = look_at(support_images, support_masks, chunk=chunk).supports
        supports = [part.expand(len(query), *part.shape[1:]) for part in supports]
        skips: list[Any] = []
        for block in self.encoder:
            if skips:
                x, supports = each(pool, x), [each(pool, part) for part in supports]
            x, supports = block(x, supports)
            skips.append((x, supports))
        skips.pop()
        for block in self.decoder:
            fine, fine_supports = skips.pop()
            x = torch.cat([each(upsample, x), fine], 2)
            last = block is self.decoder[-1]
            x, supports = block(x, Joined(supports, fine_supports), last=last)
        return self.head.each(x)[:, :, 0]

    def plain(
        self,
        query: Query,
        support_images: Supports,
        support_masks: Supports,
        *,
        candidates: int | None = None,
        noise: Candidates | None = None,
    ) -> Float[Tensor, "B M *grid"]:
        """Return the same logits in the published form."""
        x = self._candidates(query, candidates, noise)
        support = torch.cat([support_images, support_masks], 2)
        skips: list[Any] = []
        for block in self.encoder:
            if skips:
                x, support = each(pool, x), each(pool, support)
            x, support = block.plain(x, support)
            skips.append((x, support))
        skips.pop()
        for block in self.decoder:
            fine, fine_support = skips.pop()
            x = torch.cat([each(upsample, x), fine], 2)
            support = torch.cat([each(upsample, support), fine_support], 2)
            x, support = block.plain(x, support)
        return self.head.each(x)[:, :, 0]

    def _candidates(self, query: Query, count: int | None, noise: Candidates | None) -> Candidates:
        """Return (B, M, 2, *grid): the query M times, each with its channel of noise."""
        if noise is None:
            shape = (query.shape[0], count or self.candidates, *query.shape[1:])
            noise = torch.randn(shape, device=query.device, dtype=query.dtype)
        return torch.cat([query[:, None].expand_as(noise), noise], 2)


def build(config: Config) -> Tyche:
    """Build the network; it keeps the configuration as ``model.config``."""
    model = Tyche(config.features, dims=config.dims, candidates=config.candidates)
    model.config = config  # type: ignore[assignment]
    return model


def step(model: nn.Module, episodes: Episodes) -> Tensor:
    """Return the loss of each query's best candidate (the mean over known queries)."""
    logits = model(episodes.query, episodes.support_images, episodes.support_masks)
    return best_candidate(logits, episodes.target, episodes.known)


def predict(model: nn.Module, case: Case, ask: Ask | Part) -> Prediction:
    """Segment what the examples show: the mean of eight candidates, slice by slice.

    Args:
        model: A network of `build`.
        case: Any volume; the answer is on its own grid.
        ask: One `Support`, or several of different names: their masks then compete.

    Raises:
        ValueError: The ask has another part, or none.
    """
    supports = supports_of(ask, system=CARD.name)
    mean = MeanCandidate(model, candidates=8)
    return segment_volume(mean, case, supports, size=config_of(model).size, system=CARD.name)


CARD = Card(
    name="Tyche",
    title="Tyche: Stochastic In-Context Learning for Medical Image Segmentation",
    year=2024,
    paper="https://arxiv.org/abs/2401.13650",
    code="https://github.com/mariannerakic/Tyche",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    deviations=(
        "CrossConv and the candidates' mixing convolution are computed in exact faster forms; "
        "Tyche.plain is the published one",
        "the best candidate pays soft Dice plus cross-entropy, as soft Dice alone died here",
        "trained with 4 candidates where the paper has 8; any number may be asked for",
        "tasks come from one torso, grown into virtual patients, and one brain; ambiguous ones are "
        "made by tossing between two readings of a region, not by several annotators",
        "64x64 pixels and supports up to 8 where the paper has 128 and 16",
        "Tyche-IS leaves its first candidate unaugmented",
        "2D and 3D by the same code; the paper is 2D",
    ),
    notebook="08",
)
