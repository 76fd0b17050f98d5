"""What a user asks of a system at test time.

An `Ask` is one or several parts: the classes wanted, examples, clicks, boxes, text. Parts combine
with ``&``. A system states the parts it can answer; any other part is one clear error.
Examples are checked here, once, so that no system has to: whatever `Support` holds can be used.
Points and boxes are voxel coordinates ``(h, w, d)`` of the volume they are asked about.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fmtutor.core.prompt_checks import (
    boolean_volume,
    check_signs,
    check_within,
    clicked_voxels,
    corners,
    strokes,
)
from fmtutor.core.support_checks import (
    check_pairs,
    check_spacings,
    support_image,
    support_mask,
)


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
        images = tuple(support_image(image, at) for at, image in enumerate(self.images))
        masks = tuple(support_mask(mask, at) for at, mask in enumerate(self.masks))
        check_pairs(images, masks)
        check_spacings(images, self.spacings_mm)
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "masks", masks)


@dataclass(frozen=True)
class Clicks(Part):
    """Points inside (positive) and outside (negative) of the structure, in order of time.

    Raises:
        ValueError: There is no point, or more than `prompt_checks.MOST_CLICKS`; a coordinate is no
            integer; there are not as many signs as points; a voxel is clicked with both signs.
    """

    points_vox: tuple[tuple[int, int, int], ...]
    """Kept as plain integers; whole floats are taken for integers."""
    positive: tuple[bool, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "points_vox", clicked_voxels(self.points_vox))
        object.__setattr__(self, "positive", check_signs(self.points_vox, self.positive))


@dataclass(frozen=True)
class Boxes(Part):
    """Boxes around the structure: (h0, w0, d0, h1, w1, d1), ends not included.

    Raises:
        ValueError: There is no box, a number is no integer, or a box ends before it starts.
    """

    boxes_vox: tuple[tuple[int, int, int, int, int, int], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes_vox", corners(self.boxes_vox))


@dataclass(frozen=True, eq=False)
class Scribbles(Part):
    """Boolean volumes of drawn strokes, inside and outside.

    Raises:
        ValueError: A volume is not of three axes or not binary, the two differ in size, nothing is
            drawn at all, or a voxel is drawn as both.
    """

    inside: np.ndarray
    outside: np.ndarray | None = None

    def __post_init__(self) -> None:
        inside, outside = strokes(self.inside, self.outside)
        object.__setattr__(self, "inside", inside)
        object.__setattr__(self, "outside", outside)


@dataclass(frozen=True, eq=False)
class PreviousMask(Part):
    """A boolean volume to correct; it may be empty.

    Raises:
        ValueError: It is not of three axes, or not binary.
    """

    mask: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", boolean_volume(self.mask, "a previous mask"))


@dataclass(frozen=True)
class Text(Part):
    """Free text naming the structure.

    Raises:
        ValueError: There is nothing but spaces.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(f"a text names a structure, got {self.text!r}; write one, as 'liver'.")


def check_inside(part: Part, shape: tuple[int, ...]) -> None:
    """Check that what a part points at lies within the volume it is asked about.

    Args:
        part: Any; parts that point at nothing pass.
        shape: Of the volume, in voxels.

    Raises:
        ValueError: A click or a box lies outside; strokes or a mask are of another size.
    """
    if isinstance(part, Clicks):
        check_within(part.points_vox, shape, "a click")
    elif isinstance(part, Boxes):
        last = [tuple(end - 1 for end in box[3:]) for box in part.boxes_vox]
        first = [box[:3] for box in part.boxes_vox]
        check_within([*first, *last], shape, "a box (its first and last voxel)")
    elif isinstance(part, (Scribbles, PreviousMask)):
        given = part.inside if isinstance(part, Scribbles) else part.mask
        if given.shape != tuple(shape):
            raise ValueError(
                f"{type(part).__name__} are drawn on the volume's own grid {tuple(shape)}, got "
                f"{given.shape}; resample them (nearest neighbour), or check the order of axes."
            )


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


def _check_names(supports: tuple[Support, ...]) -> None:
    names = [support.name for support in supports]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"supports of one ask differ in name, got {', '.join(map(repr, twice))} more than "
            "once; put the pairs of one structure into one Support, or name them apart."
        )
