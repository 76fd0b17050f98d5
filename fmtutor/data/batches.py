"""`Batch`: what every training step of every system receives."""

from dataclasses import dataclass, replace

import torch

from fmtutor.core.axes import Image, Known, Target, Task


@dataclass(frozen=True, eq=False)
class Batch:
    """Images with the part of the truth that their dataset annotates.

    ``target`` is meaningless where ``known`` is False: there it is filled with False, and no loss
    may look at it.
    """

    image: Image
    """Normalised intensities, one channel."""
    target: Target
    """Multi-hot over the channels of the system's vocabulary."""
    known: Known
    """Which channels are annotated, for each sample."""
    task: Task
    """Protocol number of each sample."""

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in self.__dataclass_fields__
        }
        return replace(self, **moved)
