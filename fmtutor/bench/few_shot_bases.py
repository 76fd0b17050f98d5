"""The networks that few-shot cells begin from: supervised, self-supervised, or none.

Those of this module are shipped. The paper profile has others, each behind `Bases`: published
checkpoints (`fmtutor.bench.published_bases`) or trainings of one's own
(`fmtutor.bench.trained_bases`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fmtutor.bench.few_shot_grid import Cell
from fmtutor.core.files import sha256_of
from fmtutor.core.seeds import seed_everything
from fmtutor.core.tables import lookup
from fmtutor.hub.models import load_shipped, shipped
from fmtutor.nets.build import backbone as build_backbone
from fmtutor.paradigms.adapt.network import Kind

SUPERVISED = {"unet": "few_shot_unet", "swin": "few_shot_swin"}
"""Shipped networks of FSEFT's loss on the six partially labelled centres, by kind."""
SELF_SUPERVISED = {"swin": "swin_ssl"}
BASES = ("supervised", "self-supervised", "random")


@dataclass(frozen=True, eq=False)
class Base:
    """A backbone, and the rows of its head by class."""

    name: str
    backbone: nn.Module
    rows: dict[str, tuple[Tensor, Tensor]]
    """Class to weight (E,) and bias ()."""

    def row(self, *classes: str) -> tuple[Tensor, Tensor] | None:
        """Return the head's row for a structure, or None where it has none.

        Several get a row of zeros before theirs, for the background: the softmax then chooses the
        structure of the largest logit where that is above zero, which is what sigmoids would say.
        """
        if any(name not in self.rows for name in classes):
            return None
        found = [self.rows[name] for name in classes]
        if len(found) == 1:
            return found[0]
        weights, biases = (torch.stack(part) for part in zip(*found, strict=True))
        return functional.pad(weights, (0, 0, 1, 0)), functional.pad(biases, (1, 0))


@runtime_checkable
class Bases(Protocol):
    """Where cells get a base that is not shipped: a folder of files."""

    def check(self, cells: Iterable[Cell]) -> None:
        """Raise FileNotFoundError or ValueError with all that cells need and the folder lacks."""
        ...

    def sha256(self, cell: Cell) -> str:
        """Return 12 hex digits of what a cell begins from; empty for plain chance."""
        ...

    def base(self, cell: Cell) -> Base:
        """Return the base of a cell, in evaluation mode."""
        ...


def base_network(base: str, kind: Kind, *, seed: int) -> Base:
    """Return a base network, in evaluation mode; adaptations copy it.

    Args:
        base: One of `BASES`.
        kind: Of the backbone.
        seed: Of the weights, where they are random.

    Raises:
        ValueError: There is no such base.
    """
    lookup(dict.fromkeys(BASES), base, "base")
    if base == "supervised":
        return _supervised(kind)
    bare = _bare(kind, seed)
    if base == "random":
        return Base("random", bare, {})
    from fmtutor.paradigms.selfsup.swin_ssl import encoder_state, load_encoder

    name = lookup(SELF_SUPERVISED, kind, "kind of self-supervised base")
    load_encoder(bare, encoder_state(load_shipped(name)[0]))
    return Base(name, bare, {})


def base_sha256(base: str, kind: Kind) -> str:
    """Return 12 hex digits of a base's shipped weights; empty where it has none."""
    name = {"supervised": SUPERVISED, "self-supervised": SELF_SUPERVISED}.get(base, {}).get(kind)
    path = shipped().get(name or "")
    return sha256_of(path)[:12] if path else ""


@cache
def _supervised(kind: Kind) -> Base:
    name = lookup(SUPERVISED, kind, "kind of base")
    model, _, card = load_shipped(name)
    return taught_base(name, model, card["recipe"]["config"]["classes"])


def taught_base(name: str, model: nn.Module, classes: Sequence[str]) -> Base:
    """Return the base that a trained system of FSEFT's is, its head's rows by class."""
    head: nn.Conv3d = model.classifier  # type: ignore[assignment]
    weight, bias = head.weight.detach()[:, :, 0, 0, 0], head.bias.detach()  # type: ignore[union-attr]
    rows = {label: (weight[n], bias[n]) for n, label in enumerate(classes)}
    return Base(name, model.backbone, rows)  # type: ignore[arg-type]


def fresh(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a network of new weights, in evaluation mode; the global generators stay."""
    with torch.random.fork_rng():
        seed_everything(seed)
        return make().eval()


def _bare(kind: Kind, seed: int) -> nn.Module:
    """Return the supervised base's network with new weights."""
    config = load_shipped(SUPERVISED[kind])[0].config
    return fresh(lambda: build_backbone(config.backbone, config.channels), seed)
