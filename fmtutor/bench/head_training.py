"""Heads trained on kept features: the backbone is frozen, so it looks at each patch once.

A step then costs a few hundredths of a second on a CPU, which makes room in a notebook for what a
reader wants to compare: the head that a name writes, and a plain linear head, on the same patches.

    seen = look_once(model, stream, range(40))
    for record in train_head(TextHead(model), seen, steps=200): ...
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.bench.training import parameter_groups
from fmtutor.core.axes import Image, Logits
from fmtutor.data.batches import Batch
from fmtutor.engine.fit import FitConfig, Record, fit
from fmtutor.losses.partial import partial_loss
from fmtutor.nets.dynamic_head import dynamic_head
from fmtutor.nets.heads import LinearHead
from fmtutor.nets.working_grid import finest_features, to_input_grid
from fmtutor.paradigms.partial.clip_driven import ClipDriven

HEAD_LR = 10.0
"""Rate of heads relative to the rest, as in `fmtutor.bench.recipes.Recipe`."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A batch, and all that the frozen backbone has to say about it."""

    fine: Float[Tensor, "B C h w d"]
    """Decoder features of the finest grid."""
    deep: Float[Tensor, "B E h2 w2 d2"]
    """The bottleneck, which is pooled."""
    batch: Batch

    def to(self, device: torch.device | str) -> "Seen":
        """Return it on a device."""
        moved = (self.fine.to(device), self.deep.to(device), self.batch.to(device))
        return Seen(*moved)


class TextHead(nn.Module):
    """All that lies behind the backbone of a text-driven network; trains that network in place."""

    def __init__(self, model: ClipDriven) -> None:
        super().__init__()
        self.model = model

    def forward(self, seen: Seen) -> Logits:
        """Return logits; 0 where the batch does not know the class."""
        known, model = seen.batch.known, self.model
        image = model.controller.image_part(model.pool(seen.deep).flatten(1))
        theta = image[:, None] + model.text_parameters()[None]
        logits = dynamic_head(model.reduce(seen.fine), theta, known)
        return to_input_grid(model.backbone, logits, known.any(0))


class PlainHead(nn.Module):
    """A linear output per added class on the same features: what most networks do.

    Args:
        model: The network whose backbone and normalisation it reads; neither changes.
        names: Classes that it has outputs for.
        prior: See `fmtutor.nets.heads.LinearHead`.
    """

    def __init__(self, model: ClipDriven, names: Sequence[str], *, prior: float = 0.05) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.norm = copy.deepcopy(model.reduce[:2]).requires_grad_(False)
        self.head = LinearHead(model.backbone.out_channels, len(names), prior=prior)
        places = [model.config.classes.index(name) for name in names]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, seen: Seen) -> Logits:
        """Return logits of its own classes, in its own order."""
        return to_input_grid(self.backbone, self.head(self.norm(seen.fine)))

    def segment_window(self, image: Image) -> Logits:
        """Return logits of its classes for a window, through the backbone."""
        fine = finest_features(self.backbone, self.backbone.encode(image))
        return to_input_grid(self.backbone, self.head(self.norm(fine)))


@torch.no_grad()
def look_once(
    model: ClipDriven, stream: Callable[[int], Batch], numbers: Iterable[int]
) -> list[Seen]:
    """Run the backbone on some batches of a stream and keep what it says."""
    kept = []
    for number in numbers:
        batch = stream(number)
        levels = model.backbone.encode(batch.image)
        kept.append(Seen(finest_features(model.backbone, levels), levels[-1], batch))
    return kept


def step(head: nn.Module, seen: Seen) -> Tensor:
    """Return the loss of `clip_driven.step`, Dice over present classes only."""
    batch = seen.batch
    if isinstance(head, PlainHead):
        target, known = (t.index_select(1, head.places) for t in (batch.target, batch.known))
        batch = replace(batch, target=target, known=known)
    return partial_loss(
        head(seen), batch.target, batch.known, reduction="pair_mean", present_only=True
    )


def train_head(
    head: nn.Module, seen: Sequence[Seen], *, steps: int, lr: float, seed: int = 0
) -> Iterator[Record]:
    """Train a head on kept batches, in an order drawn anew for each pass; yield each step."""
    order = torch.Generator().manual_seed(seed)
    passes = -(-steps // len(seen))
    places = torch.cat([torch.randperm(len(seen), generator=order) for _ in range(passes)])
    groups = parameter_groups(head, lr=lr, head_lr=lr * HEAD_LR)
    config = FitConfig(steps=steps, lr=lr, warmup_steps=min(20, steps // 2), seed=seed)
    yield from fit(head, step, lambda i: seen[int(places[i])], config, groups=groups)


def added_parameters(one: nn.Module, other: nn.Module) -> int:
    """Return how many more parameters the second has than the first."""
    counts = [sum(p.numel() for p in module.parameters()) for module in (one, other)]
    return counts[1] - counts[0]


def frozen_backbone(model: ClipDriven) -> ClipDriven:
    """Return a copy whose backbone does not train."""
    own = copy.deepcopy(model)
    own.backbone.requires_grad_(False)
    return own
