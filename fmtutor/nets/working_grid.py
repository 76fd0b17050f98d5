"""Heads on the grid that a backbone works on, and their logits on that of the input."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.core.axes import Logits


def finest_features(backbone: nn.Module, levels: list[Tensor]) -> Float[Tensor, "B E h w d"]:
    """Decode what a backbone's ``encode`` returned, to the grid that its decoder ends on.

    A backbone that works on a coarser grid and resizes its last features
    (`fmtutor.nets.cheap_unets.half_unet3d`) gets the head on its own grid, and `to_input_grid`
    resizes the logits, as its linear heads could.
    """
    if hasattr(backbone, "finest"):
        return backbone.finest(levels)
    return backbone.decode(levels)[0]


def to_input_grid(
    backbone: nn.Module, maps: Float[Tensor, "B L h w d"], used: Bool[Tensor, " L"] | None = None
) -> Logits:
    """Return maps of the decoder's finest grid at input resolution.

    Args:
        backbone: The network they come from.
        maps: One per class.
        used: Which maps are not all 0; only these are resized.
    """
    if not hasattr(backbone, "finest"):
        return maps
    if used is None or bool(used.all()):
        return backbone.resize(maps)
    rows = used.nonzero()[:, 0]
    resized = backbone.resize(maps.index_select(1, rows))
    every = resized.new_zeros(len(maps), maps.shape[1], *resized.shape[2:])
    return every.index_copy(1, rows, resized)
