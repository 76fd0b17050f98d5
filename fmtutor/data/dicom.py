"""DICOM series in: one CT or MR volume as a `Case`, with slices in their true order and place.

A series is a bag of slices. What can be wrong with it is checked before any pixel is read: several
series in a folder, missing or doubled slices, a tilted gantry, scouts, colours, multi-frame files.
Segmentations go out by `fmtutor.data.dicom_seg`.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut

from fmtutor.core.geometry import Grid
from fmtutor.data.cases import Case

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM's world runs to the patient's left, back and head."""
MODALITIES = ("CT", "MR")
OFF_GRID = 0.1
"""How far a slice may lie from its even place, as a part of the slice distance."""
TILT_DEGREES = 0.1
"""Largest angle between the stack and the normal of its slices that counts as rounding."""


def read_dicom(
    folder: str | Path, *, series_uid: str | None = None, name: str | None = None
) -> Case:
    """Read one CT or MR series as a `Case` in RAS, in HU for CT.

    Args:
        folder: Holds the files of the series, in subfolders too; other files are passed over.
        series_uid: Which series, where there are several.
        name: Name of the case; without it, the folder's name.

    Returns:
        A case whose ``native`` grid has the axes (columns, rows, slices).

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There is no or more than one CT or MR series; it is in colour, multi-frame or
            damaged; its slices differ in size or direction, lie twice in one place, are missing,
            or are sheared by a gantry tilt.
    """
    folder = Path(folder)
    slices = load_series(folder, series_uid=series_uid)
    native = series_grid(slices)
    stored = np.stack([_pixels(header) for header in slices]).transpose(2, 1, 0)
    return Case(
        name=name or folder.name,
        image=native.array_to_ras(stored),
        affine=native.to_ras().affine,
        modality=slices[0].Modality,
        native=native,
        provenance=f"DICOM series {slices[0].get('SeriesInstanceUID', '') or 'without UID'}",
    )


def load_series(folder: str | Path, *, series_uid: str | None = None) -> list[Dataset]:
    """Return the headers of a series, checked and sorted along the normal of its slices."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; pass the folder of a DICOM series.")
    series = _series_in(folder)
    slices = _choose(series, series_uid, folder)
    _check_slices(slices, folder)
    normal = _normal(slices[0])
    slices = sorted(slices, key=lambda header: float(normal @ _position(header)))
    _check_spacing(slices, folder)
    return slices


def series_grid(slices: list[Dataset]) -> Grid:
    """Return the grid (columns, rows, slices) of a sorted series."""
    first = slices[0]
    row_mm, column_mm = (float(size) for size in first.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.ImageOrientationPatient[:3], dtype=float) * column_mm
    affine[:3, 1] = np.array(first.ImageOrientationPatient[3:], dtype=float) * row_mm
    if len(slices) > 1:
        affine[:3, 2] = (_position(slices[-1]) - _position(first)) / (len(slices) - 1)
    else:
        affine[:3, 2] = _normal(first) * float(
            first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 0.0
        )
    affine[:3, 3] = _position(first)
    return Grid((int(first.Columns), int(first.Rows), len(slices)), LPS_TO_RAS @ affine)


def _series_in(folder: Path) -> dict[str, list[Dataset]]:
    """Return the headers of every DICOM file, by series UID."""
    found: dict[str, list[Dataset]] = defaultdict(list)
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, EOFError):
            continue
        if "Modality" in header:  # a DICOMDIR has none
            found[str(header.get("SeriesInstanceUID") or "")].append(header)
    return dict(found)


def _choose(
    series: dict[str, list[Dataset]], series_uid: str | None, folder: Path
) -> list[Dataset]:
    images = {uid: slices for uid, slices in series.items() if slices[0].Modality in MODALITIES}
    listing = "".join(
        f"\n  {uid or '(empty UID)'}: {slices[0].Modality}, {len(slices)} files, "
        f"{slices[0].get('SeriesDescription', 'no description')!r}"
        for uid, slices in series.items()
    )
    if series_uid is not None:
        if series_uid not in images:
            raise ValueError(f"no CT or MR series {series_uid!r} in {folder}; there are:{listing}")
        return images[series_uid]
    if not images:
        there = f"there are:{listing}" if listing else "it holds no DICOM file."
        raise ValueError(f"a folder needs a CT or MR series, {folder} has none; {there}")
    if len(images) > 1:
        raise ValueError(
            f"a case is one series, {folder} holds {len(images)}; choose with series_uid=:{listing}"
        )
    return next(iter(images.values()))


def _check_slices(slices: list[Dataset], folder: Path) -> None:
    """Refuse what cannot be stacked, by the headers alone."""
    for header in slices:
        where = Path(header.filename).name
        if int(header.get("NumberOfFrames") or 1) > 1:
            raise ValueError(
                f"one file must be one slice, got {header.NumberOfFrames} frames in {where}; "
                "convert multi-frame files first, e.g. to NIfTI with dcm2niix."
            )
        if int(header.get("SamplesPerPixel", 1)) != 1:
            raise ValueError(f"slices must be grey, got a colour image in {where}; leave it out.")
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            if not header.get(keyword):
                raise ValueError(f"a slice must say where it lies, {where} has no {keyword}.")
    plans = {_plan(header) for header in slices}
    if len(plans) > 1:
        listing = "; ".join(f"{rows}x{columns}, {rest}" for rows, columns, *rest in sorted(plans))
        raise ValueError(
            f"slices of a series must agree in size, spacing and direction, {folder} has "
            f"{listing}; leave scouts and other reconstructions out."
        )


def _plan(header: Dataset) -> tuple[int, int, tuple[float, ...], tuple[float, ...]]:
    spacing = tuple(round(float(size), 4) for size in header.PixelSpacing)
    directions = tuple(round(float(part), 3) + 0.0 for part in header.ImageOrientationPatient)
    return int(header.Rows), int(header.Columns), spacing, directions


def _check_spacing(slices: list[Dataset], folder: Path) -> None:
    """Refuse a stack that is doubled, gapped, uneven or sheared."""
    if len(slices) < 2:
        return
    positions = np.array([_position(header) for header in slices])
    along = positions @ _normal(slices[0])
    steps = np.diff(along)
    step = float(np.median(steps))
    if steps.min() < 1e-3:
        twice = along[int(steps.argmin())]
        raise ValueError(
            f"each slice must have its own place, {folder} has two at {twice:.2f} mm: several "
            "phases or echoes; put each into a folder of its own."
        )
    if (gaps := np.flatnonzero(steps > 1.5 * step)).size:
        listing = ", ".join(f"{along[i]:.2f} to {along[i + 1]:.2f} mm" for i in gaps[:5])
        raise ValueError(
            f"slices must follow every {step:.2f} mm, {folder} misses some between {listing}; "
            "copy the whole series."
        )
    even = np.linspace(along[0], along[-1], len(along))
    if (off := float(np.abs(along - even).max())) > OFF_GRID * step:
        raise ValueError(
            f"slices must lie evenly, {folder} is off by up to {off:.2f} mm at a distance of "
            f"{step:.2f} mm; resample it to even slices first."
        )
    stack = (positions[-1] - positions[0]) / np.linalg.norm(positions[-1] - positions[0])
    tilt = float(np.degrees(np.arccos(np.clip(stack @ _normal(slices[0]), -1, 1))))
    if tilt > TILT_DEGREES:
        raise ValueError(
            f"slices must be stacked along their normal, {folder} has a gantry tilt of {tilt:.1f} "
            "degrees; correct it first, e.g. with dcm2niix."
        )


def _pixels(header: Dataset) -> np.ndarray:
    """Return a slice's values, float32 (rows, columns), after slope and intercept."""
    try:
        full = pydicom.dcmread(header.filename)
        return np.asarray(apply_modality_lut(full.pixel_array, full), dtype=np.float32)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise ValueError(
            f"the pixels of {header.filename} cannot be read ({error}); copy the file again, or "
            "convert it to an uncompressed transfer syntax."
        ) from error


def _position(header: Dataset) -> np.ndarray:
    return np.array(header.ImagePositionPatient, dtype=float)


def _normal(header: Dataset) -> np.ndarray:
    directions = np.array(header.ImageOrientationPatient, dtype=float)
    return np.cross(directions[:3], directions[3:])
