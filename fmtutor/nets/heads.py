"""Heads: from features to logits, one linear map per voxel."""

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fmtutor.core.axes import Logits, Task


class LinearHead(nn.Conv3d):
    """A 1x1x1 convolution: the linear probe, and the head of most systems here.

    Args:
        in_channels: Features per voxel.
        classes: Output channels.
        prior: Share of voxels that a class is expected to fill, in (0, 1). It sets the bias so that
            training starts from that probability and not from 1/2, which spares the first steps of
            learning that most voxels are background. None keeps torch's initialisation.

    Raises:
        ValueError: ``prior`` is outside (0, 1).
    """

    def __init__(self, in_channels: int, classes: int, *, prior: float | None = None) -> None:
        super().__init__(in_channels, classes, 1)
        if prior is not None:
            self.expect(prior)

    def expect(self, prior: float) -> None:
        """Set every bias so that the head starts from this probability.

        Raises:
            ValueError: ``prior`` is outside (0, 1).
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior must lie in (0, 1), not {prior}; give a share of voxels.")
        nn.init.constant_(self.bias, math.log(prior / (1 - prior)))

    def forward(self, features: Float[Tensor, "B E H W D"]) -> Logits:
        """Return logits."""
        return super().forward(features)


class TaskHeads(nn.Module):
    """One linear head for each task, over shared features.

    Args:
        in_channels: Features per voxel.
        classes: Output channels of each task, in the order of the task numbers.
    """

    def __init__(self, in_channels: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(LinearHead(in_channels, count) for count in classes)

    def forward(self, features: Float[Tensor, "B E H W D"], task: int) -> Logits:
        """Return the logits of one task for every sample.

        Raises:
            ValueError: There is no such task.
        """
        if not 0 <= task < len(self.heads):
            raise ValueError(f"task must be 0 to {len(self.heads) - 1}, not {task}.")
        return self.heads[task](features)

    def split(
        self, features: Float[Tensor, "B E H W D"], task: Task
    ) -> Iterator[tuple[int, Int[Tensor, " N"], Logits]]:
        """Yield (task, rows of the batch, their logits) for every task in a mixed batch."""
        for number in torch.unique(task).tolist():
            rows = (task == number).nonzero()[:, 0]
            yield number, rows, self(features[rows], number)
