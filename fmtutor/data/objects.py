"""`ObjectBatch`: what a promptable network trains on: images, and objects to be asked for."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class ObjectBatch:
    """B images with K objects each; the grid is H W or H W D.

    What is clicked is not in here: the clicks answer the network's own mistakes, so the training
    step makes them, from ``seed``.
    """

    image: Float[Tensor, "B 1 *grid"]
    """Images in [0, 1]."""
    target: Bool[Tensor, "B K *grid"]
    """Masks of the objects."""
    known: Bool[Tensor, "B K"]
    """False where an image had fewer than K objects and one is repeated: no loss is taken there."""
    names: tuple[tuple[str, ...], ...] = ()
    """Names of the objects of each image, for reports."""
    seed: int = 0
    """Seed of everything that a training step draws: simulators, clicks, boxes."""

    @property
    def objects(self) -> int:
        """K, the number of objects of each image."""
        return self.target.shape[1]

    @property
    def truth(self) -> Bool[Tensor, "BK 1 *grid"]:
        """The masks as B K questions, image by image, as `fmtutor.core.prompts` orders them."""
        return self.target.flatten(0, 1)[:, None]

    def to(self, device: torch.device | str) -> "ObjectBatch":
        """Return the batch on a device."""
        fields = ("image", "target", "known")
        return replace(
            self, **{name: getattr(self, name).to(device, non_blocking=True) for name in fields}
        )
