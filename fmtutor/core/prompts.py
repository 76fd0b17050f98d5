"""What a promptable network is told, and what it answers: tensors in the frame of its image.

A person speaks in `fmtutor.core.ask` (clicks into a volume, millimetres behind them); a session
turns that into `Prompts` on the region that a network sees, and its `Answer` back.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

INSIDE, OUTSIDE, NOTHING = 1, 0, -1
"""Labels of a point; `NOTHING` fills up rows that have fewer points than others."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Prompts:
    """Prompts of B questions; dims is 2 or 3, grid the image's voxels, low the network's masks."""

    points: Float[Tensor, "B P dims"]
    """Voxel coordinates, in order of time; integers are the centres of voxels."""
    labels: Int[Tensor, "B P"]
    """`INSIDE`, `OUTSIDE` or `NOTHING`."""
    boxes: Float[Tensor, "B 2 dims"] | None = None
    """First and last voxel of a box around the structure."""
    mask: Float[Tensor, "B 1 *low"] | None = None
    """Logits of the last answer: the chosen candidate of `Answer.low`."""
    scribbles: Float[Tensor, "B 2 *grid"] | None = None
    """Strokes inside and outside, 0 or 1."""
    text: Float[Tensor, "B E"] | None = None
    """Embedding of the structure's name."""

    def __post_init__(self) -> None:
        rows = {
            field.name: len(value)
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
        }
        if len(set(rows.values())) != 1:
            raise ValueError(f"prompts hold one row a question, got {rows}; stack equal numbers.")

    def __len__(self) -> int:
        return len(self.points)

    def to(self, device: torch.device | str) -> "Prompts":
        """Return the prompts on a device."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Prompts(**{k: v if v is None else v.to(device) for k, v in given.items()})

    def with_mask(self, mask: Tensor | None) -> "Prompts":
        """Return the same prompts with the logits of a last answer."""
        return replace(self, mask=mask)


def no_points(rows: int, dims: int, device: torch.device | str = "cpu") -> Prompts:
    """Return prompts without any point, for questions asked by box, text or mask alone."""
    return Prompts(
        points=torch.zeros(rows, 0, dims, device=device),
        labels=torch.zeros(rows, 0, dtype=torch.long, device=device),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """Masks that answer B questions, M candidates each."""

    logits: Float[Tensor, "B M *grid"]
    """On the image's grid; above 0 is inside."""
    quality: Float[Tensor, "B M"]
    """The overlap (IoU) that the network expects of each candidate."""
    low: Float[Tensor, "B M *low"]
    """The same masks as the network made them, on its own coarser grid."""

    def best(self) -> "Answer":
        """Return the candidate of the highest expected overlap alone (M = 1)."""
        rows = torch.arange(len(self.quality), device=self.quality.device)
        at = self.quality.argmax(1)
        return Answer(
            logits=self.logits[rows, at, None],
            quality=self.quality[rows, at, None],
            low=self.low[rows, at, None],
        )
