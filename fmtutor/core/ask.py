"""What a user asks of a system at test time.

An `Ask` is one or several parts: the classes wanted, examples, clicks, boxes, text. Parts combine
with ``&``. A system states the parts it can answer; any other part is one clear error.
Examples are checked here, once, so that no system has to: whatever `Support` holds can be used.
Points and boxes are voxel coordinates ``(h, w, d)`` of the volume they are asked about.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Ask:
    """One question: a tuple of parts, each of its own kind."""

    parts: tuple["Part", ...]

    def __and__(self, other: "Ask | Part") -> "Ask":
        return Ask(self.parts + as_ask(other).parts)


@dataclass(frozen=True, eq=False)
class Part:
    """Base of the parts, so that parts combine with ``&``.

    Without an equality of its own: parts that hold arrays would inherit it and all be equal.
    """

    def __and__(self, other: "Ask | Part") -> Ask:
        return as_ask(self) & other


@dataclass(frozen=True)
class Classes(Part):
    """Segment these classes by name; none named means every class the system knows."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Support(Part):
    """Segment what these examples show: pairs of an image and its binary mask.

    The pairs may differ in size (a system resizes them); within a pair the shapes are equal, and
    all pairs are 2D (H, W) or all 3D (H, W, D). A mask may be empty where another one is not: an
    example without the structure is an example too.

    Images are prepared as the query will be: scaled to [0, 1], CT and MR by
    `fmtutor.data.transforms.normalise`, pictures by their own range; volumes lie in RAS.
    `fmtutor.data.support_files` reads them so. Systems take them as they are, and refuse
    intensities outside of [0, 1].

    Raises:
        ValueError: There is no pair, or not as many masks (or spacings) as images; an image is not
            2D or 3D, is constant or holds NaN or infinity; a mask is not binary or of another size
            than its image; a spacing is not one positive length an axis; 2D and 3D pairs are
            mixed; all masks are empty.
    """

    images: tuple[np.ndarray, ...]
    """Kept as float32, in [0, 1]."""
    masks: tuple[np.ndarray, ...]
    """Kept as bool; given as bool, 0 and 1, or 0 and 255."""
    name: str = "structure"
    """What the masks show; tells several supports of one ask apart."""
    spacings_mm: tuple[tuple[float, ...], ...] | None = None
    """Edge lengths of each pair's pixels or voxels; None takes every pixel and voxel for a cube."""

    def __post_init__(self) -> None:
        for given, what in ((self.images, "images"), (self.masks, "masks")):
            if not isinstance(given, (tuple, list)):
                raise ValueError(
                    f"support {what} are a tuple of arrays, one a pair, got one "
                    f"{type(given).__name__}; write (array,) for one pair, tuple(stack) for many."
                )
        if not self.images or len(self.images) != len(self.masks):
            raise ValueError(
                "a support holds at least one image and a mask for each, got "
                f"{len(self.images)} images and {len(self.masks)} masks; give one mask an image."
            )
        images = tuple(_support_image(image, at) for at, image in enumerate(self.images))
        masks = tuple(_support_mask(mask, at) for at, mask in enumerate(self.masks))
        _check_pairs(images, masks)
        _check_spacings(images, self.spacings_mm)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "masks", masks)


@dataclass(frozen=True)
class Clicks(Part):
    """Points inside (positive) and outside (negative) of the structure."""

    points_vox: tuple[tuple[int, int, int], ...]
    positive: tuple[bool, ...]


@dataclass(frozen=True)
class Boxes(Part):
    """Boxes around the structure: (h0, w0, d0, h1, w1, d1), ends not included."""

    boxes_vox: tuple[tuple[int, int, int, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Scribbles(Part):
    """Boolean volumes of drawn strokes, inside and outside."""

    inside: np.ndarray
    outside: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PreviousMask(Part):
    """A boolean volume to correct."""

    mask: np.ndarray


@dataclass(frozen=True)
class Text(Part):
    """Free text naming the structure."""

    text: str


def as_ask(ask: Ask | Part) -> Ask:
    """Return a part alone as an `Ask`; an `Ask` passes through."""
    return ask if isinstance(ask, Ask) else Ask((ask,))


def answerable(
    ask: Ask | Part,
    *kinds: type[Part],
    system: str,
    repeated: tuple[type[Part], ...] = (),
) -> dict[type[Part], Any]:
    """Sort an ask's parts by kind, after checking that a system can answer each.

    Args:
        ask: What the user asks.
        kinds: The kinds of part the system answers.
        system: Its name, for the error.
        repeated: Kinds it answers that may come several times (several structures are several
            supports of different names); they need not stand among ``kinds`` too.

    Returns:
        The parts by their kind, a tuple of them for each kind of ``repeated``; a kind that was
        not asked is missing.

    Raises:
        ValueError: A part is of another kind, a kind comes twice that may not, or two supports
            have one name.
    """
    kinds = tuple(dict.fromkeys((*kinds, *repeated)))
    can = ", ".join(kind.__name__ for kind in kinds)
    found: dict[type[Part], Any] = {}
    for part in as_ask(ask).parts:
        kind = type(part)
        if not isinstance(part, kinds):
            raise ValueError(f"{system} cannot answer {kind.__name__}; it answers: {can}.")
        if kind in repeated:
            found[kind] = (*found.get(kind, ()), part)
        elif kind in found:
            raise ValueError(f"an ask holds each kind once, got {kind.__name__} twice; merge them.")
        else:
            found[kind] = part
    if Support in repeated:
        _check_names(found.get(Support, ()))
    return found


def supports_of(ask: Ask | Part, *, system: str) -> tuple[Support, ...]:
    """Return the supports of an ask that a system of examples answers.

    Raises:
        ValueError: There is none, a part is of another kind, or two have one name.
    """
    found = answerable(ask, system=system, repeated=(Support,)).get(Support, ())
    if not found:
        raise ValueError(f"{system} answers examples, got none; ask with Support(images, masks).")
    return found


def _support_image(image: np.ndarray, at: int) -> np.ndarray:
    """Return an example's image as float32, after checking what can be checked without a mask."""
    image = np.asarray(image, dtype=np.float32)
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(
            f"a support image is 2D (H, W) or 3D (H, W, D), got shape {image.shape} for image "
            f"{at}; drop its batch and channel axes, or convert colours to grey."
        )
    if bad := int((~np.isfinite(image)).sum()):
        raise ValueError(
            f"a support image must be finite, got {bad} NaN or infinite values in image {at}; "
            "replace them (np.nan_to_num) or leave the pair out."
        )
    if image.min() == image.max():
        raise ValueError(
            f"a support image must show something, got {image.flat[0]:g} everywhere in image "
            f"{at}; leave the pair out, or check how it was read."
        )
    return image


def _support_mask(mask: np.ndarray, at: int) -> np.ndarray:
    """Return an example's mask as bool, after checking that it is binary."""
    mask = np.asarray(mask)
    if mask.dtype == bool:
        return mask
    if bad := int((~np.isfinite(mask)).sum()):
        raise ValueError(
            f"a support mask must be finite, got {bad} NaN or infinite values in mask {at}; "
            "save it again as 0 and 1."
        )
    values = np.unique(mask)
    if not (np.isin(values, (0, 1)).all() or np.isin(values, (0, 255)).all()):
        shown = ", ".join(f"{value:g}" for value in values[:6]) + ", ..." * (len(values) > 6)
        raise ValueError(
            f"a support mask holds 0 and 1 (or 0 and 255), got values {shown} in mask {at}; "
            "pick one structure (mask == value) or threshold it (mask > 0.5)."
        )
    return mask > 0


def _check_pairs(images: tuple[np.ndarray, ...], masks: tuple[np.ndarray, ...]) -> None:
    for at, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if image.shape != mask.shape:
            raise ValueError(
                f"a support mask is as large as its image, got {image.shape} and {mask.shape} in "
                f"pair {at}; bring the mask onto the image's grid (nearest neighbour)."
            )
    if len(dimensions := sorted({image.ndim for image in images})) > 1:
        raise ValueError(
            f"support pairs are all 2D or all 3D, got {dimensions} dimensions; cut the volumes "
            "into slices, or ask two questions."
        )
    if not any(mask.any() for mask in masks):
        raise ValueError(
            f"a support shows the structure in at least one mask, got {len(masks)} masks that "
            "are all empty; add an example that has it, or check the label that was picked."
        )


def _check_spacings(
    images: tuple[np.ndarray, ...], spacings_mm: tuple[tuple[float, ...], ...] | None
) -> None:
    if spacings_mm is None:
        return
    wanted = [image.ndim for image in images]
    if [len(edges) for edges in spacings_mm] != wanted or not all(
        0 < edge < float("inf") for edges in spacings_mm for edge in edges
    ):
        raise ValueError(
            f"spacings_mm hold one positive length in mm for each axis of {len(images)} images, "
            f"got {spacings_mm}; leave them out where pixels are square."
        )


def _check_names(supports: tuple[Support, ...]) -> None:
    names = [support.name for support in supports]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"supports of one ask differ in name, got {', '.join(map(repr, twice))} more than "
            "once; put the pairs of one structure into one Support, or name them apart."
        )
