"""Does the support have an effect? The guard for the commonest failure of in-context training.

People who train an in-context network on few tasks report that "the support has no effect": the
network learnt the tasks by heart and segments whatever it likes in the query. So ask each query
twice, once with its own support and once with that of another task. A network that reads its
support must lose Dice by the exchange; the loss is its *support sensitivity*.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.data.episodes import Episodes


class SupportIgnoredWarning(UserWarning):
    """A network answers much the same whatever its support shows."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What the exchange of the support does, each value one per query."""

    own: Float[Tensor, " B"]
    """Dice with the query's own support."""
    other: Float[Tensor, " B"]
    """Dice, against the same target, with the support of another task."""

    @property
    def drop(self) -> float:
        """Mean Dice lost by the exchange, -1 to 1; near 0 the support is ignored."""
        return float((self.own - self.other).mean())

    def guard(self, least: float = 0.05) -> None:
        """Warn where a network that has learnt something does not look at its support.

        A network that segments nothing yet (mean Dice below twice ``least``) is let pass.
        """
        own = float(self.own.mean())
        if own >= 2 * least and self.drop < least:
            warnings.warn(
                f"the support must matter: Dice {own:.2f} falls by only {self.drop:.2f} with the "
                "support of another task. Draw every episode from its own task, add task "
                "augmentation and synthetic tasks, or more structures.",
                SupportIgnoredWarning,
                stacklevel=2,
            )


@torch.inference_mode()
def answers(model: nn.Module, episodes: Episodes) -> Float[Tensor, "B *grid"]:
    """Return each query's probability map; of several candidates, their mean."""
    logits = model(episodes.query, episodes.support_images, episodes.support_masks)
    return logits.float().sigmoid().mean(1)


def support_sensitivity(
    model: nn.Module, episodes: Episodes, *, order: Sequence[int] | None = None
) -> Sensitivity:
    """Measure what the support is worth.

    Args:
        model: An in-context network; it is put into evaluation mode for the time of the call.
        episodes: At least two, of different tasks.
        order: For each query, the episode whose support it gets instead; default the next one.

    Raises:
        ValueError: There is one episode only, or an episode would keep its own support.
    """
    count = len(episodes.query)
    order = [(i + 1) % count for i in range(count)] if order is None else list(order)
    if count < 2 or any(i == j for i, j in enumerate(order)):
        raise ValueError(
            f"every query needs the support of another episode, got order {order} for {count}; "
            "give at least two episodes of different tasks."
        )
    training = model.training
    model.eval()
    try:
        own = dice_each(answers(model, episodes) > 0.5, episodes.target[:, 0])
        exchanged = episodes.with_support_of(order)
        other = dice_each(answers(model, exchanged) > 0.5, episodes.target[:, 0])
    finally:
        model.train(training)
    return Sensitivity(own=own, other=other)


def dice_each(mask: Bool[Tensor, "B *grid"], truth: Bool[Tensor, "B *grid"]) -> Float[Tensor, " B"]:
    """Return the Dice of each pair of masks; two empty ones agree, which counts 1."""
    overlap = (mask & truth).flatten(1).sum(1).double()
    total = mask.flatten(1).sum(1) + truth.flatten(1).sum(1)
    return torch.where(total > 0, 2 * overlap / total.clamp_min(1), 1.0).float()
