"""How a session looks at a case: plain values that its answers depend on, as its log keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from fmtutor.core.devices import Precision
from fmtutor.engine.regions_of_interest import POLICIES, Voxel

SLICES = "slices"
"""The rule of 2D networks: every axial slice is a question of its own."""
PROPAGATIONS = ("none", "box", "point")
SIZE_3D, SIZE_2D, SPACING_MM = 96, 128, 3.0


@dataclass(frozen=True, kw_only=True)
class Looking:
    """Which voxels a network is shown."""

    roi: str = "auto_zoom"
    """A rule of `fmtutor.engine.regions_of_interest.POLICIES`, or "slices" for a 2D network."""
    size: tuple[int, ...] = (SIZE_3D,) * 3
    """Voxels of a region, three numbers; two for "slices"."""
    spacing_mm: float = SPACING_MM
    """Edge of a region's voxels; slices are scaled until they fill the square."""
    threshold: float = 0.0
    """Logit above which a voxel is inside."""
    propagate: str = "none"
    """Slices only: how an answer is carried to the neighbours, by its "box" or a "point" in it."""
    oracle_centres: Mapping[str, Voxel] | None = None
    """Each structure's centre by its label, for the rule "oracle" alone."""
    candidates: bool = True
    """Whether a first question is answered by the best of the network's candidates."""
    feedback: bool = True
    """Whether the network sees its last mask."""
    precision: Precision = "auto"
    """As in training."""

    def __post_init__(self) -> None:
        rules = (*POLICIES, SLICES)
        if self.roi not in rules:
            raise ValueError(f"roi must be one of {', '.join(rules)}, got {self.roi!r}.")
        if (self.roi == "oracle") != bool(self.oracle_centres):
            raise ValueError(
                'roi="oracle" and oracle_centres go together, got '
                f"roi={self.roi!r} and centres for {sorted(self.oracle_centres or {})}; an oracle "
                "is for evaluation only."
            )
        dims = 2 if self.roi == SLICES else 3
        if len(self.size) != dims or min(self.size) < 1:
            raise ValueError(f"roi={self.roi!r} sees {dims} positive sizes, got {self.size}.")
        if not 0 < self.spacing_mm < float("inf"):
            raise ValueError(f"spacing_mm must be a positive length, got {self.spacing_mm}.")
        if self.propagate not in PROPAGATIONS or (self.propagate != "none" and dims == 3):
            raise ValueError(
                f"propagate is one of {', '.join(PROPAGATIONS)} and for roi={SLICES!r} alone, got "
                f"{self.propagate!r} with roi={self.roi!r}."
            )


def looking_of(
    model: nn.Module,
    *,
    roi: str = "auto_zoom",
    size: int | Sequence[int] | None = None,
    spacing_mm: float | None = None,
    **others: Any,
) -> Looking:
    """Return how to look at a case, taking from the network's configuration what is not given.

    Args:
        model: Its ``config`` may hold `size` or `region` (one number or one an axis),
            `spacing_mm`, and a `plan` (`fmtutor.engine.clicking`) that says whether first
            questions have candidates and whether masks are fed back.
        roi: The rule.
        size: Voxels of a region.
        spacing_mm: Edge of a region's voxels.
        others: Further fields of `Looking`.
    """
    config, dims = getattr(model, "config", None), 2 if roi == SLICES else 3
    if size is None:
        default = SIZE_2D if dims == 2 else SIZE_3D
        size = getattr(config, "size", getattr(config, "region", default))
    if spacing_mm is None:
        spacing_mm = getattr(config, "spacing_mm", SPACING_MM)
    sizes = (size,) * dims if isinstance(size, int) else tuple(int(n) for n in size or ())
    plan = getattr(config, "plan", None)
    learnt = {
        name: getattr(plan, name) for name in ("candidates", "feedback") if hasattr(plan, name)
    }
    return Looking(roi=roi, size=sizes, spacing_mm=float(spacing_mm or 0), **{**learnt, **others})
