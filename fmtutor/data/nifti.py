"""NIfTI in and out: read to RAS, write back on the grid of the file, with its exact affine."""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np

from fmtutor.core.files import atomic_path
from fmtutor.core.geometry import Grid, same_grid
from fmtutor.data.cases import Case

SUFFIXES = (".nii", ".nii.gz")
GZIP_MAGIC = b"\x1f\x8b"
NIFTI_BY_HEADER_SIZE = {348: nib.Nifti1Image, 540: nib.Nifti2Image}


def read_nifti(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    table: Mapping[int, str] | None = None,
    known: Iterable[str] | None = None,
    modality: str = "CT",
    name: str | None = None,
) -> Case:
    """Read an image, and its label map if there is one, as a `Case` in RAS.

    Axes are permuted and flipped, never interpolated: an oblique image keeps its oblique affine,
    and its axes are the stored ones in the order closest to RAS. ``case.native`` remembers the
    file's own grid.

    Args:
        path: A ``.nii`` or ``.nii.gz`` with one volume.
        labels: A label map on the same grid.
        table: Label id to structure name; needed with ``labels``.
        known: Annotated structures; without it, all of the table.
        modality: "CT" or "MR".
        name: Name of the case; without it, the file's name.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is empty, truncated or no NIfTI; it has several volumes, colours,
            complex or non-finite values, or no usable geometry; the label map is on another grid,
            not of whole numbers, or holds ids that the table lacks.
    """
    path = Path(path)
    array, native = read_volume(path)
    if bad := int((~np.isfinite(array)).sum()):
        raise ValueError(
            f"an image must be finite, got {bad} NaN or infinite voxels in {path}; "
            "replace them (np.nan_to_num) and save it again."
        )
    label_map = None
    if labels is not None:
        label_map = _read_labels(Path(labels), native, table, path)
    return Case(
        name=name or path.name.removesuffix(".gz").removesuffix(".nii"),
        image=native.array_to_ras(array).astype(np.float32, copy=False),
        affine=native.to_ras().affine,
        modality=modality,
        labels=None if label_map is None else native.array_to_ras(label_map),
        table=dict(table or {}),
        known=frozenset((table or {}).values() if known is None else known),
        native=native,
        provenance=path.name,
    )


def write_nifti(array: np.ndarray, where: Case | Grid, path: str | Path) -> None:
    """Write an array, atomically, on the grid of the file that its case was read from.

    Integers and booleans stay integers (the smallest type of uint8, int16, int32 that holds
    them), all else becomes float32.

    Args:
        array: (H, W, D) on ``where``'s grid.
        where: A case (written on ``case.native`` where it has one), or a grid to write on as is.
        path: Ends in ``.nii`` or ``.nii.gz``.

    Raises:
        ValueError: The array is not on the case's grid, the case was resampled since it was read,
            or the suffix is another one.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"a NIfTI path ends in .nii or .nii.gz, got {path.name!r}.")
    grid = where.grid if isinstance(where, Case) else where
    if tuple(array.shape) != tuple(grid.shape):
        raise ValueError(f"the array must be on the grid {grid.shape}, got shape {array.shape}.")
    if isinstance(where, Case) and where.native is not None:
        if not same_grid(grid, where.native.to_ras()):
            raise ValueError(
                f"case {where.name!r} is no longer on the grid it was read on; bring the array "
                "back first: to_grid(array, case.grid, case.native.to_ras(), mode=...)."
            )
        grid, array = where.native, where.native.array_from_ras(array)
    stored = _storable(array)
    image = nib.Nifti1Image(stored, None, header=_header(grid), dtype=stored.dtype)
    with atomic_path(path) as part:
        nib.save(image, part)


def read_volume(path: str | Path) -> tuple[np.ndarray, Grid]:
    """Read one volume as stored, scaled, with its grid; the checks are those of `read_nifti`."""
    path = Path(path)
    image, raw = _open(path)
    shape = tuple(image.shape)
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise ValueError(
            f"a case is one 3D volume, got shape {shape} in {path}; split it into single volumes."
        )
    if image.get_data_dtype().kind not in "iuf":
        raise ValueError(
            f"voxels must be real numbers, got {image.get_data_dtype()} in {path}; colour and "
            "complex images are not read, save one channel as float."
        )
    grid = _grid(image, raw, path)
    try:
        array = np.asanyarray(image.dataobj)
    except (EOFError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return array.reshape(grid.shape), grid


def read_mask(path: Path, grid: Grid, *, structure: str, image: str) -> np.ndarray:
    """Return the binary mask bool, as stored, of a file that has a structure of one image alone.

    Args:
        path: The mask's file.
        grid: Of the image, as stored.
        structure: What it is of, for messages.
        image: What the image is called, for messages.

    Raises:
        FileNotFoundError: There is no such file; a structure that is absent has an empty mask.
        ValueError: It lies on another grid, or holds other values than 0 and 1.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"every structure has a mask, even an empty one, got none for {structure!r} of "
            f"{image} at {path}; unpack the scan again."
        )
    array, own = read_volume(path)
    if not same_grid(own, grid):
        raise ValueError(
            f"image and mask must share a grid, got {grid.shape} @ {grid.spacing_mm} mm "
            f"({grid.orientation}) in {image} and {own.shape} @ {own.spacing_mm} mm "
            f"({own.orientation}) in {path}; unpack the scan again."
        )
    if not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"a mask is of 0 and 1, got values from {array.min()} to {array.max()} in {path}; "
            "unpack the scan again."
        )
    return array == 1


def _open(path: Path) -> tuple[nib.Nifti1Image, bytes]:
    """Return the image and the file's bytes, unzipped whole so that its checksum is checked."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; check the path.")
    raw = path.read_bytes()
    if not raw:
        raise ValueError(f"{path} is empty (0 bytes); copy or download it again.")
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise _damaged(path, error) from error
    kind = NIFTI_BY_HEADER_SIZE.get(int.from_bytes(raw[:4], "little")) or NIFTI_BY_HEADER_SIZE.get(
        int.from_bytes(raw[:4], "big")
    )
    if kind is None:
        raise ValueError(f"{path} is not a NIfTI file; convert it to .nii.gz first.")
    try:
        return kind.from_bytes(raw), raw
    except (nib.spatialimages.HeaderDataError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable NIfTI file: {error}.") from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is cut off or damaged ({error}); copy or download it again.")


def _grid(image: nib.Nifti1Image, raw: bytes, path: Path) -> Grid:
    """Return the header's grid, after refusing headers that nibabel would complete by guess."""
    header = image.header
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        raise ValueError(
            f"{path} says nothing about orientation (sform and qform codes are 0); "
            "set one, e.g. with nibabel's image.set_sform(affine, code=1)."
        )
    if (unit := header.get_xyzt_units()[0]) in ("meter", "micron"):
        raise ValueError(
            f"{path} is in {unit}s; affines must be in mm, rescale it and save it again."
        )
    if header["sform_code"] == 0 and min(spacing := _stored_spacing(image, raw)) <= 0:
        raise ValueError(
            f"voxel spacing must be positive, got {spacing} mm in {path}; fix the header."
        )
    try:
        return Grid(tuple(image.shape[:3]), image.affine)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _stored_spacing(image: nib.Nifti1Image, raw: bytes) -> list[float]:
    """Return pixdim as in the file: nibabel replaces a zero by 1 mm when it loads one."""
    header = type(image.header).from_fileobj(BytesIO(raw), check=False)
    return [float(abs(size)) for size in header["pixdim"][1:4]]


def _read_labels(
    path: Path, native: Grid, table: Mapping[int, str] | None, image_path: Path
) -> np.ndarray:
    """Read a label map stored on ``native`` in the smallest integer type, ids checked."""
    if table is None:
        raise ValueError(f"labels need a table of what their ids mean; pass table= with {path}.")
    array, grid = read_volume(path)
    if not same_grid(grid, native):
        raise ValueError(
            f"image and labels must share a grid, got {native.shape} @ {native.spacing_mm} mm "
            f"({native.orientation}) in {image_path} and {grid.shape} @ {grid.spacing_mm} mm "
            f"({grid.orientation}) in {path}; resample one with to_grid."
        )
    return checked_labels(array, table, source=str(path))


def checked_labels(array: np.ndarray, table: Mapping[int, str], *, source: str) -> np.ndarray:
    """Return a label map in the smallest integer type, after checking it against its table.

    Raises:
        ValueError: A value is not a whole number, or an id other than 0 is not in the table.
    """
    ids = np.unique(array)
    if not np.array_equal(ids, np.round(ids)):  # NaN is not equal to itself, so it lands here too
        raise ValueError(
            f"label ids are whole numbers, got {ids[ids != np.round(ids)][:3]} in {source}."
        )
    if stray := sorted({int(number) for number in ids} - {0, *table}):
        raise ValueError(
            f"label ids must be in the table, got {stray[:10]} in {source}; extend the table."
        )
    return array.astype(_label_type(int(ids[-1])))


def _label_type(largest: int) -> type[np.integer]:
    return np.uint8 if largest < 2**8 else np.int16 if largest < 2**15 else np.int32


def _storable(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biu":
        return array.astype(np.float32)
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        small = array.min() >= -(2**15) and array.max() < 2**15
        return array.astype(np.int16 if small else np.int32)
    return array.astype(_label_type(int(array.max(initial=0))))


def _header(grid: Grid) -> nib.Nifti1Header:
    """Return a header whose affine is ``grid.affine``, bit for bit wherever NIfTI can hold it.

    An sform holds float32 numbers. An affine that came from a quaternion (qform) is not made of
    those, but the quaternion gives it back exactly, so then it is stored that way.
    """
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm")
    header.set_data_shape(grid.shape)
    header.set_sform(grid.affine, code=1)
    header.set_qform(grid.affine, code=1, strip_shears=True)
    if np.array_equal(header.get_sform(), grid.affine):
        if not np.allclose(header.get_qform(), grid.affine, atol=1e-3):
            header.set_qform(None, code=0)  # a sheared affine has no quaternion
    elif np.array_equal(header.get_qform(), grid.affine):
        header.set_sform(None, code=0)
    return header
