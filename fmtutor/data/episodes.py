"""`Episodes`: what an in-context system trains on: queries with their supports."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class Episodes:
    """A batch of B episodes: each a query of some task, and S solved examples of the same task.

    The grid is H W or H W D. Every episode may be of another task: no number says which, the
    support alone does.
    """

    query: Float[Tensor, "B 1 *grid"]
    """Images to segment, in [0, 1]."""
    target: Bool[Tensor, "B 1 *grid"]
    """The right answers; one of them, where several are right."""
    support_images: Float[Tensor, "B S 1 *grid"]
    """Images of the examples, in [0, 1]."""
    support_masks: Float[Tensor, "B S 1 *grid"]
    """Masks of the examples, 0 or 1."""
    known: Bool[Tensor, "B 1"]
    """Whether the answer to the query is annotated; where not, the target is not looked at."""
    names: tuple[str, ...] = ()
    """Name of each episode's task, for reports."""

    @property
    def supports(self) -> int:
        """S, the number of examples."""
        return self.support_images.shape[1]

    def to(self, device: torch.device | str) -> "Episodes":
        """Return the batch on a device."""
        fields = ("query", "target", "support_images", "support_masks", "known")
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in fields}
        return replace(self, **moved)

    def first(self, supports: int) -> "Episodes":
        """Return the same episodes with only the first ``supports`` examples.

        Raises:
            ValueError: There are fewer.
        """
        if not 1 <= supports <= self.supports:
            raise ValueError(f"supports must be 1 to {self.supports}, got {supports}.")
        return replace(
            self,
            support_images=self.support_images[:, :supports],
            support_masks=self.support_masks[:, :supports],
        )

    def part(self, rows: slice) -> "Episodes":
        """Return some episodes of the batch."""
        fields = ("query", "target", "support_images", "support_masks", "known", "names")
        return replace(self, **{name: getattr(self, name)[rows] for name in fields})

    def with_support_of(self, order: Sequence[int]) -> "Episodes":
        """Return the same queries with the supports of other episodes of the batch.

        Args:
            order: For each episode, the one whose support it gets.
        """
        rows = torch.as_tensor(order, device=self.query.device)
        return replace(
            self,
            support_images=self.support_images[rows],
            support_masks=self.support_masks[rows],
        )


def stacked(episodes: Sequence[Episodes]) -> Episodes:
    """Join episodes of equal size into one batch.

    Raises:
        ValueError: There are none, or they differ in size or in the number of supports.
    """
    if not episodes:
        raise ValueError("there must be at least one episode, got 0; draw some.")
    shapes = {tuple(e.support_images.shape[1:]) for e in episodes}
    if len(shapes) > 1:
        raise ValueError(f"episodes must have equal shapes (S, 1, *grid), got {sorted(shapes)}.")
    fields = ("query", "target", "support_images", "support_masks", "known")
    joined = {name: torch.cat([getattr(e, name) for e in episodes]) for name in fields}
    return Episodes(**joined, names=tuple(name for e in episodes for name in e.names))
