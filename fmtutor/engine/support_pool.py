"""The examples of an ask as a network sees them, and which of them a query is shown.

A `Support` holds pictures or volumes of any size. A network sees a square (2D) or a cube (3D) of
one size, so each pair is framed: scaled with square pixels until its longer side fits, on air.

===========  ============================  =================================
examples     2D network                    3D network
===========  ============================  =================================
pictures     framed                        refused
volumes      cut into slices along an      framed
             axis; those that show the
             structure become examples
===========  ============================  =================================

A volume's slices without the structure are left out: supports of training show it too, and a
support of empty masks alone would only teach the network to answer nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.ask import Support
from fmtutor.core.tables import unknown_name
from fmtutor.data.cubes import CubeFrame
from fmtutor.data.slices import SquareFrame, slices_of
from fmtutor.engine.support_selection import (
    SELECTIONS,
    diverse_support,
    image_embedding,
    nearest_support,
    random_support,
)

RANGE_TOLERANCE = 1e-3
"""How far beyond [0, 1] an intensity may lie, for the sake of interpolated examples."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SupportPool:
    """Examples of one structure, framed."""

    images: Float[Tensor, "P 1 *grid"]
    """In [0, 1]."""
    masks: Float[Tensor, "P 1 *grid"]
    """0 and 1."""
    embeddings: Float[Tensor, "P E"]
    """By which examples are compared with a query."""

    @classmethod
    def of(
        cls, images: Float[Tensor, "P 1 *grid"], masks: Float[Tensor, "P 1 *grid"]
    ) -> "SupportPool":
        """Return a pool of these examples."""
        return cls(images=images, masks=masks, embeddings=image_embedding(images))

    def __len__(self) -> int:
        return len(self.images)

    def joined(self, other: "SupportPool") -> "SupportPool":
        """Return the pool with the examples of another behind its own; nothing is embedded anew."""
        fields = ("images", "masks", "embeddings")
        both = {name: torch.cat([getattr(self, name), getattr(other, name)]) for name in fields}
        return SupportPool(**both)

    def chosen(
        self,
        queries: Float[Tensor, "N 1 *grid"],
        count: int | None,
        *,
        select: str = "nearest",
        generator: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Choose the examples that each query is shown.

        Args:
            queries: The images to segment.
            count: Examples for each; None, or more than there are, takes all.
            select: How fewer are chosen: "nearest" for each query by itself; "diverse" and
                "random" once for all queries.
            generator: Draws for "random".

        Returns:
            (N, S) rows of the pool; (1, S) where all queries see the same.

        Raises:
            ValueError: The count is below 1, another way is asked for, or "random" has no
                generator.
        """
        if select not in SELECTIONS:
            raise unknown_name(select, SELECTIONS, "selection of a support")
        if count is None or count >= len(self):
            return np.arange(len(self))[None]
        if select == "nearest":
            near = [nearest_support(e, self.embeddings, count) for e in image_embedding(queries)]
            return np.stack(near)
        if select == "diverse":
            return diverse_support(self.embeddings, count)[None]
        if generator is None:
            raise ValueError("a random support needs a generator; pass generator=rng(seed).")
        return random_support(len(self), count, generator)[None]


def dims_of(model: nn.Module) -> int:
    """Return the spatial axes of a network, 2 or 3, read off its first convolution.

    Raises:
        ValueError: It has none.
    """
    for weight in model.parameters():
        if weight.dim() in (4, 5):
            return weight.dim() - 2
    raise ValueError("an in-context network has convolutions, got none; pass the network itself.")


def pool_of(support: Support, *, size: int, dims: int = 2, axis: int = 2) -> SupportPool:
    """Frame the examples of a support.

    Args:
        support: Pictures or volumes.
        size: Pixels along each side of what the network sees.
        dims: 2 or 3, the spatial axes of the network.
        axis: The axis across which volumes are cut for a 2D network.

    Raises:
        ValueError: An intensity lies outside of [0, 1]; pictures stand before a 3D network; no
            slice shows the structure at this size.
    """
    for image in support.images:
        check_range(image, f"support {support.name!r}")
    images, masks = [], []
    edges = support.spacings_mm or [(1.0,) * image.ndim for image in support.images]
    for image, mask, spacing_mm in zip(support.images, support.masks, edges, strict=True):
        framed = _framed(image, mask, spacing_mm, size=size, dims=dims, axis=axis)
        images.append(framed[0])
        masks.append(framed[1])
    pool = SupportPool.of(torch.cat(images), torch.cat(masks))
    if not pool.masks.any():
        raise ValueError(
            f"support {support.name!r} must show the structure at {size} pixels a side, got none "
            "large enough; crop the examples, or take a network of a larger size."
        )
    return pool


def frame_of(
    shape: Sequence[int], spacing_mm: Sequence[float], size: int
) -> SquareFrame | CubeFrame:
    """Return the frame of images of one shape, 2D or 3D."""
    if len(shape) == 2:
        return SquareFrame(shape=tuple(shape), spacing_mm=tuple(spacing_mm), size=size)  # type: ignore[arg-type]
    return CubeFrame(shape=tuple(shape), spacing_mm=tuple(spacing_mm), size=size)  # type: ignore[arg-type]


def _framed(
    image: np.ndarray,
    mask: np.ndarray,
    spacing_mm: Sequence[float],
    *,
    size: int,
    dims: int,
    axis: int,
) -> tuple[Tensor, Tensor]:
    """Return the examples that a pair gives, images and masks (n, 1, *grid)."""
    if image.ndim < dims:
        raise ValueError(
            f"a 3D network takes volumes as examples, got a picture of shape {image.shape}; give "
            "volumes, or ask a 2D network."
        )
    if image.ndim == dims:
        frame = frame_of(image.shape, spacing_mm, size)
        return frame.image(image[None]), frame.mask(mask[None])
    slices, drawn = slices_of(image, axis), slices_of(mask, axis)
    frame = frame_of(slices.shape[1:], [mm for i, mm in enumerate(spacing_mm) if i != axis], size)
    shown = np.flatnonzero(drawn.any(axis=(1, 2)))
    masks = frame.mask(drawn[shown])
    kept = masks.flatten(1).any(dim=1)
    return frame.image(slices[shown])[kept], masks[kept]


def check_range(image: np.ndarray, source: str) -> None:
    """Raise ValueError where an image's intensities lie outside of [0, 1]."""
    low, high = float(image.min()), float(image.max())
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):
        raise ValueError(
            f"images in context lie in [0, 1], got {low:g} to {high:g} in {source}; scale them "
            "with fmtutor.data.transforms.normalise, or read them with read_support."
        )
