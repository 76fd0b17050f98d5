"""Whole volumes in context: slice by slice with a 2D network, or at once with a 3D one.

A 2D network sees one slice at a time and knows nothing of the one beside it. Two things help:
each slice is shown the examples most like it (`SupportPool.chosen`), and the answers of its
neighbours may join its support (`neighbours`): from the slice with the surest answer outwards, each
slice sees how the nearest finished ones were answered, so the mask changes little from slice to
slice. Scores stay on the grid that the network saw; `Prediction` brings them to the case's.
Taught in: 07
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmtutor.core.ask import Support
from fmtutor.core.devices import Precision
from fmtutor.core.geometry import Grid
from fmtutor.data.cases import Case
from fmtutor.data.slices import slices_of
from fmtutor.data.transforms import normalise
from fmtutor.engine.in_context import BATCH, probabilities
from fmtutor.engine.prediction import BACKGROUND, Prediction
from fmtutor.engine.support_pool import SupportPool, dims_of, frame_of, pool_of

AXIAL = 2
SUPPORT = 16
"""Examples that a query is shown, where there are more."""

Maps = Float[Tensor, "N *grid"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the queries of a volume are asked."""

    support: int | None = SUPPORT
    """Examples shown to a query; None shows all."""
    select: str = "diverse"
    """How they are chosen where there are more: "nearest", "diverse" or "random". A diverse support
    serves every slice, so it is remembered; the nearest ones pay where all pictures are framed
    alike, and mislead where the examples have another field of view."""
    members: int = 1
    """Random supports whose answers are averaged."""
    neighbours: int = 0
    """Finished slices that join a slice's support (2D networks)."""
    batch: int = BATCH
    """Queries in work at once, where they share a support."""
    precision: Precision = "auto"
    """As in training."""

    def __post_init__(self) -> None:
        if self.members < 1 or (self.members > 1 and self.select != "random"):
            raise ValueError(
                "several members differ by their random supports, got "
                f"{self.members} members and select={self.select!r}; pass select='random'."
            )
        if self.neighbours < 0:
            raise ValueError(f"neighbours must be 0 or more, got {self.neighbours}; 2 is enough.")


def segment_volume(
    model: nn.Module,
    case: Case,
    supports: Sequence[Support],
    *,
    size: int,
    axis: int | None = None,
    neighbours: int = 0,
    members: int = 1,
    select: str = "diverse",
    support: int | None = SUPPORT,
    generator: np.random.Generator | None = None,
    batch: int = BATCH,
    precision: Precision = "auto",
    system: str = "the network",
) -> Prediction:
    """Segment a volume as the examples show.

    A 2D network is asked slice by slice. Which slices is a rule, not a guess: those across
    ``axis``, and axial ones where none is given. Pictures as examples must show the same kind of
    slice, its rows and columns being the volume's remaining RAS axes in their order. Volumes as
    examples are cut across the same axis. A 3D network sees whole volumes and takes no axis.

    Args:
        model: An in-context network; its convolutions tell whether it is 2D or 3D.
        case: Its image as read (HU for CT); its labels are not looked at.
        supports: One for each structure, of different names. One alone is answered by itself;
            the masks of several compete, and the most probable one above one half wins a voxel.
        size: Pixels along each side of what the network sees.
        axis: 0 sagittal, 1 coronal, 2 axial.
        neighbours: Finished slices nearest to a slice that join its support; 0 asks every slice
            by itself. The first answers decide only where the sweep starts.
        members: Random supports whose answers are averaged; needs ``select="random"``.
        select: How examples are chosen where there are more than ``support``.
        support: Examples shown to a query; None shows all.
        generator: Draws for "random".
        batch: Queries in work at once, where they share a support.
        precision: As in training.
        system: Its name, for errors.

    Raises:
        ValueError: There is no support, two have one name or one is called as the background is,
            an axis does not fit the network, or examples or options do not fit each other.
    """
    names = _checked_names(supports, system)
    options = Options(
        support=support,
        select=select,
        members=members,
        neighbours=neighbours,
        batch=batch,
        precision=precision,
    )
    view = _view(case, dims=dims_of(model), axis=axis, size=size, system=system)
    scores = []
    for part in supports:
        pool = pool_of(part, size=size, dims=view.dims, axis=view.axis)
        maps = _answered(model, view.queries, pool, options, generator)
        scores.append(view.cut(maps).numpy().astype(np.float16))
    if several := len(names) > 1:
        scores.insert(0, 1 - np.max(scores, axis=0))
        names = (BACKGROUND, *names)
    return Prediction(
        names=names,
        scores=np.stack(scores),
        grid=case.grid,
        working=view.working,
        native=case.native,
        exclusive=several,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _View:
    """A volume as a network sees it: its slices, or itself."""

    queries: Float[Tensor, "N 1 *grid"]
    inside: tuple[slice, ...]
    """Where the volume lies in the square or cube."""
    axis: int
    """The axis across which it was cut; of no meaning in 3D."""
    working: Grid
    """The grid of what lies inside."""

    @property
    def dims(self) -> int:
        return self.queries.dim() - 2

    def cut(self, maps: Maps) -> Float[Tensor, "h w d"]:
        """Return answers on the working grid."""
        maps = maps[(slice(None), *self.inside)]
        return maps[0] if self.dims == 3 else maps.movedim(0, self.axis)


def _view(case: Case, *, dims: int, axis: int | None, size: int, system: str) -> _View:
    image = normalise(case.image, case.modality)
    if dims == 3 and axis is not None:
        raise ValueError(f"{system} is 3D and sees whole volumes, got axis {axis}; leave it out.")
    axis = AXIAL if axis is None else axis
    kept = tuple(i for i in range(3) if dims == 3 or i != axis)
    stack = image[None] if dims == 3 else slices_of(image, axis)
    frame = frame_of(stack.shape[1:], [case.spacing_mm[i] for i in kept], size)
    shape = list(image.shape)
    for i, voxels in zip(kept, frame.inner, strict=True):
        shape[i] = voxels
    ends = zip(frame.corner, frame.inner, strict=True)
    return _View(
        queries=frame.image(stack),
        inside=tuple(slice(start, start + voxels) for start, voxels in ends),
        axis=axis,
        working=_same_field(case.grid, shape),
    )


def _same_field(grid: Grid, shape: Sequence[int]) -> Grid:
    """Return the grid of ``shape`` voxels that fills the field of view of another grid."""
    scale = np.array(grid.shape) / np.array(shape)
    affine = np.array(grid.affine, dtype=float)
    affine[:3, 3] += affine[:3, :3] @ ((scale - 1) / 2)
    affine[:3, :3] *= scale
    return Grid(tuple(int(voxels) for voxels in shape), affine)  # type: ignore[arg-type]


def _answered(
    model: nn.Module,
    queries: Float[Tensor, "N 1 *grid"],
    pool: SupportPool,
    options: Options,
    generator: np.random.Generator | None,
) -> Maps:
    """Return the answers to all queries, averaged over the members."""
    if options.members > 1 and (options.support is None or options.support >= len(pool)):
        raise ValueError(
            f"members differ where a support is smaller than its pool of {len(pool)} examples, "
            f"got support={options.support}; ask for fewer, or for one member."
        )
    total = torch.zeros(())
    for _ in range(options.members):
        rows = pool.chosen(queries, options.support, select=options.select, generator=generator)
        maps = _by_slice(model, queries, pool, rows, options)
        if options.neighbours and len(queries) > 1:
            maps = _swept(model, queries, pool, rows, maps, options)
        total = total + maps
    return total / options.members


def _by_slice(
    model: nn.Module, queries: Tensor, pool: SupportPool, rows: np.ndarray, options: Options
) -> Maps:
    """Ask every query by itself."""
    how: dict[str, Any] = {"batch": options.batch, "precision": options.precision}
    if len(rows) == 1:
        return probabilities(model, queries, pool.images[rows[0]], pool.masks[rows[0]], **how)
    each = zip(queries.split(1), rows, strict=True)
    return torch.cat(
        [probabilities(model, q, pool.images[r], pool.masks[r], **how) for q, r in each]
    )


def _swept(
    model: nn.Module,
    queries: Tensor,
    pool: SupportPool,
    rows: np.ndarray,
    first: Maps,
    options: Options,
) -> Maps:
    """Ask from the surest slice outwards, with the nearest finished slices in the support."""
    sure = sureness(first)
    if not sure.any():
        return first
    start, count = int(sure.argmax()), len(queries)
    done = {start: first[start]}
    for index in (*range(start + 1, count), *range(start - 1, -1, -1)):
        near = sorted(done, key=lambda other: abs(other - index))[: options.neighbours]
        own = rows[index if len(rows) > 1 else 0]
        answers = torch.stack([done[other] for other in near])[:, None]
        images = torch.cat([pool.images[own], queries[near]])
        masks = torch.cat([pool.masks[own], (answers > 0.5).float()])
        done[index] = probabilities(
            model, queries[[index]], images, masks, precision=options.precision
        )[0]
    return torch.stack([done[index] for index in range(count)])


def sureness(maps: Maps) -> Float[Tensor, " N"]:
    """Return how sure each map is of its foreground: the sum of 2p - 1 where p exceeds one half.

    Large for a large structure with probabilities near 1, 0 where nothing is found.
    """
    return (2 * maps - 1).clamp_min(0).flatten(1).sum(1)


def _checked_names(supports: Sequence[Support], system: str) -> tuple[str, ...]:
    names = tuple(support.name for support in supports)
    if not names or len(set(names)) < len(names) or BACKGROUND in names:
        raise ValueError(
            f"{system} takes a support for each structure, all of different names and none called "
            f"{BACKGROUND!r}, got {list(names)}; name them apart."
        )
    return names
