"""Inference in context: one support for many queries, ensembles of supports, classes that compete.

Any network will do that maps ``(query, support_images, support_masks)`` to logits (B, M, *grid);
of several candidates their mean probability counts. Where it also has ``remember`` and ``answer``,
what does not depend on the query is computed once for all queries.

The talk's list of what helps at test time, in three functions: `probabilities` (a support),
`ensemble` (several random supports of one task; their spread is the uncertainty), `compete` (a
binary network on several classes: one pass each, the most probable one wins).
Source: Butoi et al., "UniverSeg", ICCV 2023, section 3.3. Taught in: 07
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from fmtutor.core.devices import Precision, autocast
from fmtutor.engine.prediction import BACKGROUND
from fmtutor.engine.support_selection import random_support

BATCH = 8
"""Queries in work at once."""


def probabilities(
    model: nn.Module,
    queries: Float[Tensor, "N 1 *grid"],
    support_images: Float[Tensor, "S 1 *grid"],
    support_masks: Shaped[Tensor, "S 1 *grid"],
    *,
    batch: int = BATCH,
    precision: Precision = "auto",
) -> Float[Tensor, "N *grid"]:
    """Return the probability maps of queries that share one support.

    Runs on the model's device, in evaluation mode; the training mode comes back.

    Args:
        model: An in-context network.
        queries: In [0, 1].
        support_images: In [0, 1].
        support_masks: 0 and 1, or bool.
        batch: Queries in work at once; a matter of memory, never of the answer.
        precision: As in training.

    Returns:
        In [0, 1], float32, on the device of ``queries``.

    Raises:
        ValueError: There is no support, a mask has no image, or the grids differ.
    """
    _check_shapes(queries, support_images, support_masks)
    device = next((weight.device for weight in model.parameters()), queries.device)
    images, masks = (x.to(device).float()[None] for x in (support_images, support_masks))
    with evaluating(model), torch.inference_mode(), autocast(precision, device):
        respond = _responder(model, images, masks, repeated=len(queries) > batch)
        parts = [
            respond(part.to(device)).float().sigmoid().mean(1).to(queries.device)
            for part in queries.split(batch)
        ]
    return torch.cat(parts)


@dataclass(frozen=True, eq=False, kw_only=True)
class Ensemble:
    """What several supports of one task say about the same queries."""

    mean: Float[Tensor, "N *grid"]
    """Probability, averaged over the members."""
    variance: Float[Tensor, "N *grid"]
    """Variance of the probability over the members, 0 to 0.25: where the support mattered."""
    members: Float[Tensor, "M N *grid"]
    """Probability by each of the M supports."""


def ensemble(
    model: nn.Module,
    queries: Float[Tensor, "N 1 *grid"],
    pool_images: Float[Tensor, "P 1 *grid"],
    pool_masks: Shaped[Tensor, "P 1 *grid"],
    *,
    support: int = 16,
    members: int = 8,
    generator: np.random.Generator,
    batch: int = BATCH,
    precision: Precision = "auto",
) -> Ensemble:
    """Ask the same queries with several supports, each drawn at random from a pool.

    Args:
        model: An in-context network.
        queries: In [0, 1].
        pool_images: All examples there are, in [0, 1].
        pool_masks: Their masks.
        support: Examples of each member, at most P.
        members: M. The cost is that of M calls of `probabilities`.
        generator: Draws the supports.
        batch: Queries in work at once.
        precision: As in training.

    Raises:
        ValueError: The pool holds fewer examples than a support, or there are no members.
    """
    if members < 1:
        raise ValueError(f"an ensemble has at least one member, got {members}; 8 is a good number.")
    maps = []
    for _ in range(members):
        rows = torch.from_numpy(random_support(len(pool_images), support, generator))
        rows = rows.to(pool_images.device)
        shown = pool_images[rows], pool_masks[rows]
        maps.append(probabilities(model, queries, *shown, batch=batch, precision=precision))
    stack = torch.stack(maps)
    return Ensemble(mean=stack.mean(0), variance=stack.var(0, correction=0), members=stack)


def compete(
    maps: Mapping[str, Float[Tensor, "N *grid"]], threshold: float = 0.5
) -> tuple[Int[Tensor, "N *grid"], tuple[str, ...]]:
    """Join binary answers into one label map: the most probable class takes the pixel.

    Args:
        maps: Probability of each class, every one from its own pass.
        threshold: Where no class exceeds it, there is background.

    Returns:
        Labels, and the name of each: 0 is the background, then the classes in their order. Of
        equally probable classes the earlier one wins.

    Raises:
        ValueError: There is no class, or one is called as the background is.

    Example:
        >>> labels, names = compete({"liver": torch.tensor([[0.9, 0.6, 0.2]]),
        ...                          "spleen": torch.tensor([[0.1, 0.7, 0.3]])})
        >>> [names[label] for label in labels[0]]
        ['liver', 'spleen', 'background']
    """
    if not maps or BACKGROUND in maps:
        raise ValueError(
            f"classes compete with the {BACKGROUND}, which comes by itself, got {list(maps)}; "
            "give one map for each class and none for it."
        )
    best, winner = torch.stack(list(maps.values())).max(0)
    return torch.where(best > threshold, winner + 1, 0), (BACKGROUND, *maps)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode; its training mode comes back, whatever happens."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _responder(
    model: nn.Module, images: Tensor, masks: Tensor, *, repeated: bool
) -> Callable[[Tensor], Tensor]:
    """Return what maps a batch of queries to logits, given a support (1, S, 1, *grid).

    The support is remembered only for several batches: it costs memory, and pays from the second.
    """
    if repeated and hasattr(model, "remember"):
        memory = model.remember(images, masks)
        return lambda queries: model.answer(queries, memory)
    return lambda queries: model(
        queries,
        images.expand(len(queries), *images.shape[1:]),
        masks.expand(len(queries), *masks.shape[1:]),
    )


def _check_shapes(queries: Tensor, images: Tensor, masks: Tensor) -> None:
    if images.shape != masks.shape or not len(images):
        raise ValueError(
            f"a support is one mask for each image, got {tuple(images.shape)} and "
            f"{tuple(masks.shape)}; give at least one pair, each (1, *grid)."
        )
    if queries.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"queries and support share a grid, got {tuple(queries.shape[1:])} and "
            f"{tuple(images.shape[1:])}; bring both into the square of the network."
        )
