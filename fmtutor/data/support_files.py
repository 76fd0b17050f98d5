"""Bring your own examples: NIfTI, PNG, ``.npy`` files or arrays become a `Support`.

=============  ==================================  ==========================================
source         axes                                intensities of an image
=============  ==================================  ==========================================
NIfTI          reoriented to RAS                   HU window (CT), 0 to body maximum (MR)
PNG            rows are H, columns are W           smallest 0, largest 1; colours become grey
npy, array     as stored                           smallest 0, largest 1
=============  ==================================  ==========================================

An axis of one voxel is dropped: a NIfTI of one slice is a 2D example. Nothing is resampled and
nothing turned: in-context systems compare positions, so examples and query should lie alike.
Colour pictures are weighted to grey as ITU-R 601-2 does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fmtutor.core.ask import Support
from fmtutor.core.geometry import Grid, same_grid
from fmtutor.data.nifti import SUFFIXES as NIFTI_SUFFIXES
from fmtutor.data.nifti import read_volume
from fmtutor.data.transforms import normalise

Source = str | Path | np.ndarray
"""A file or an array."""


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What a source held."""

    array: np.ndarray
    """(H, W) or (H, W, D), as stored or in RAS."""
    grid: Grid | None
    """Where a NIfTI's voxels lie (in RAS); a picture and an array have no geometry."""
    source: str
    """For error messages."""


def read_support(
    images: Sequence[Source],
    masks: Sequence[Source],
    *,
    name: str = "structure",
    label: int | None = None,
    modality: str = "CT",
) -> Support:
    """Read pairs of an image and a mask as the examples of an in-context question.

    Image intensities are brought to [0, 1] as the table of this module says: a NIfTI by
    `normalise`, a picture or an array by its own smallest and largest value. A NIfTI's voxel edges
    go along; pixels of pictures and arrays count as square.

    Args:
        images: Files (``.nii``, ``.nii.gz``, ``.png``, ``.npy``) or arrays, (H, W) or (H, W, D).
        masks: One for each image, on its grid: binary (0 and 1, or 0 and 255), or with ``label``
            a label map.
        name: What the masks show.
        label: The value of a label map that is the structure; it may be missing in some of the
            masks. None takes the masks as binary.
        modality: "CT" or "MR", for NIfTI images.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is damaged or of another kind; a NIfTI stands beside something that is
            none, or on another grid; a mask is in colour or not binary; no mask holds ``label``;
            an image is constant; or the pairs are no `Support`.
    """
    _check_several(images, "images")
    _check_several(masks, "masks")
    pictures = [_read(image, as_mask=False) for image in images]
    drawn = [_read(mask, as_mask=True) for mask in masks]
    for image, mask in zip(pictures, drawn, strict=False):  # `Support` refuses other counts
        _check_pair(image, mask)
    return Support(
        tuple(_intensities(image, modality) for image in pictures),
        tuple(_binary(drawn, label)),
        name,
        tuple(_edges_mm(image) for image in pictures),
    )


def query_from(image: Source, *, modality: str = "CT") -> np.ndarray:
    """Read one image to ask about, exactly as `read_support` reads the examples' images.

    A NIfTI whose answer shall be written back is read by `read_nifti`, which keeps its geometry;
    with `normalised` it has the same intensities and axes as here.

    Returns:
        float32 (H, W) or (H, W, D) in [0, 1].

    Raises:
        FileNotFoundError: The file is missing.
        ValueError: The file is damaged or of another kind, or the image is not finite or constant.
    """
    return _intensities(_read(image, as_mask=False), modality)


def _check_several(sources: Sequence[Source], what: str) -> None:
    if isinstance(sources, (str, Path, np.ndarray)):
        raise ValueError(
            f"support {what} are a list of files or arrays, got one {type(sources).__name__}; "
            "write [it] for one pair, list(stack) for a stack of slices."
        )


def _read(source: Source, *, as_mask: bool) -> _Read:
    """Read a file or take an array; NIfTI goes to RAS, axes of one voxel are dropped."""
    if isinstance(source, np.ndarray):
        if source.ndim == 3 and source.dtype == np.uint8 and source.shape[-1] in (3, 4):
            raise ValueError(
                f"an array is (H, W) or (H, W, D), got {source.shape} bytes, which look like "
                "colours; average them: array[..., :3].mean(axis=-1)."
            )
        return _Read(array=_plain(source, "an array"), grid=None, source="an array")
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; check the path.")
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        stored, native = read_volume(path)
        array = _plain(native.array_to_ras(stored), str(path))
        return _Read(array=array, grid=native.to_ras(), source=str(path))
    if path.suffix.lower() == ".png":
        array = _read_png(path, as_mask=as_mask)
    elif path.suffix.lower() == ".npy":
        array = _read_npy(path)
    else:
        raise ValueError(
            f"examples are .nii, .nii.gz, .png or .npy files, got {path}; convert it, or read it "
            "yourself and pass the array."
        )
    return _Read(array=_plain(array, str(path)), grid=None, source=str(path))


def _plain(array: np.ndarray, source: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"pixels must be real numbers, got {array.dtype} in {source}; convert to float."
        )
    if not array.size:
        raise ValueError(f"an image has pixels, got shape {array.shape} in {source}.")
    return array.squeeze()


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} holds no plain array ({error}); save it with np.save(path, array)."
        ) from error


def _read_png(path: Path, *, as_mask: bool) -> np.ndarray:
    """Return a picture's pixels (H, W): grey values of an image, stored values of a mask."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.load()
    except (OSError, SyntaxError) as error:  # pillow's two ways to say that a file is damaged
        raise ValueError(f"{path} is no readable PNG ({error}); save it again.") from error
    if picture.mode in ("1", "L") or picture.mode.startswith("I"):
        return np.asarray(picture)
    if not as_mask:
        return np.asarray(picture.convert("L"))
    colours = np.asarray(picture.convert("RGB"))
    grey = colours[..., 0]
    if (colours == grey[..., None]).all():
        return grey
    if picture.mode == "P":  # label maps are often saved with a colour for each label
        return np.asarray(picture)
    count = len(np.unique(colours.reshape(-1, 3), axis=0))
    raise ValueError(
        f"a mask has one value a pixel, got {count} colours in {path}; pick yours, e.g. "
        "(np.asarray(picture)[..., :3] == (255, 0, 0)).all(axis=-1), and pass that array."
    )


def _check_pair(image: _Read, mask: _Read) -> None:
    if (image.grid is None) != (mask.grid is None):
        raise ValueError(
            f"beside a NIfTI stands a NIfTI, got {image.source} and {mask.source}: only one says "
            "how its axes run; save the other as NIfTI too, or pass both as arrays."
        )
    if image.grid is not None and mask.grid is not None and not same_grid(image.grid, mask.grid):
        raise ValueError(
            f"image and mask must share a grid, got {image.grid.shape} @ {image.grid.spacing_mm} "
            f"mm in {image.source} and {mask.grid.shape} @ {mask.grid.spacing_mm} mm in "
            f"{mask.source}; resample one with to_grid."
        )


def _intensities(image: _Read, modality: str) -> np.ndarray:
    """Return an image as float32 in [0, 1]."""
    if bad := int((~np.isfinite(image.array)).sum()):
        raise ValueError(
            f"an image must be finite, got {bad} NaN or infinite values in {image.source}; "
            "replace them (np.nan_to_num)."
        )
    low, high = float(image.array.min()), float(image.array.max())
    if image.grid is not None:
        scaled = normalise(image.array, modality)
    else:
        scaled = ((image.array - low) / max(high - low, np.finfo(float).tiny)).astype(np.float32)
    if scaled.min() == scaled.max():
        raise ValueError(
            f"an image must show something, got only {low:g} to {high:g} in {image.source}, which "
            f"is constant once scaled to [0, 1]; check the file (and modality, here {modality!r})."
        )
    return scaled


def _edges_mm(image: _Read) -> tuple[float, ...]:
    """Return the edge lengths along the axes that are left; without geometry pixels are square."""
    if image.grid is None:
        return (1.0,) * image.array.ndim
    edges = zip(image.grid.shape, image.grid.spacing_mm, strict=True)
    return tuple(mm for voxels, mm in edges if voxels > 1)


def _binary(masks: list[_Read], label: int | None) -> list[np.ndarray]:
    """Return the masks themselves, checked to be binary, or where each equals ``label``."""
    there = sorted({float(value) for mask in masks for value in np.unique(mask.array)})
    shown = ", ".join(f"{value:g}" for value in there[:20]) + ", ..." * (len(there) > 20)
    if label is not None:
        if masks and label not in there:
            raise ValueError(f"label {label} is in none of the masks; they hold: {shown}.")
        return [mask.array == label for mask in masks]
    for mask in masks:
        if len(values := np.unique(mask.array)) > 2:
            raise ValueError(
                f"a mask is binary (0 and 1, or 0 and 255), got {len(values)} values in "
                f"{mask.source}; choose one with label=. The masks hold: {shown}."
            )
    return [mask.array for mask in masks]
