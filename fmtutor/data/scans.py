"""Scans of public datasets in the forms they are published in, each read as one `Case`.

A label map beside an image (most sets), a mask file per structure (TotalSegmentator, AbdomenAtlas),
a DICOM series with a picture per slice (CHAOS) or with a DICOM file per mask and slice (3D-IRCADb).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from fmtutor.core.geometry import Grid, same_grid
from fmtutor.data.cases import Case
from fmtutor.data.dicom import load_series, read_dicom, series_grid
from fmtutor.data.nifti import checked_labels, read_mask, read_nifti, read_volume


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One scan of a source, before it is read."""

    name: str
    """Name it has in the converted dataset."""
    image: Path
    """A NIfTI file, or the folder of a DICOM series."""
    read: Callable[[], Case]
    """Reads it with its labels; label ids are those of the source's table."""
    part: str = "train"
    """Part of the makers' own split: "train", "val" or "test"."""
    patient: str = ""
    """Patient, where one has several scans."""
    annotated: frozenset[str] | None = None
    """Structures drawn in this scan, where that differs between scans; None is all."""


def label_map_scan(
    name: str, image: Path, labels: Path, table: Mapping[int, str], *, part: str = "train"
) -> Scan:
    """Return a scan whose label map is a NIfTI file on the image's grid."""
    read = partial(read_nifti, image, labels=labels, table=table, name=name)
    return Scan(name=name, image=image, read=read, part=part)


def mask_files_scan(
    name: str, image: Path, masks: Mapping[str, Path], table: Mapping[int, str]
) -> Scan:
    """Return a scan with a binary NIfTI mask per structure; the larger label id stays on top."""
    return Scan(name=name, image=image, read=partial(_read_masks, name, image, masks, table))


def pictures_scan(
    name: str, series: Path, pictures: Path, table: Mapping[int, str], *, patient: str = ""
) -> Scan:
    """Return a DICOM series with one grey picture per slice, paired by the order of file names."""
    read = partial(_read_pictures, name, series, pictures, table)
    return Scan(name=name, image=series, read=read, patient=patient)


def series_scan(name: str, series: Path, labels: Path, table: Mapping[int, str]) -> Scan:
    """Return a DICOM series with a NIfTI label map of the same voxels, in any orientation."""
    return Scan(name=name, image=series, read=partial(_read_series, name, series, labels, table))


def mask_series_scan(
    name: str, series: Path, masks: Mapping[str, Sequence[Path]], table: Mapping[int, str]
) -> Scan:
    """Return a DICOM series with folders of mask slices per structure, paired by file name."""
    read = partial(_read_mask_series, name, series, masks, table)
    return Scan(name=name, image=series, read=read, annotated=frozenset(masks))


def _read_masks(
    name: str, image: Path, masks: Mapping[str, Path], table: Mapping[int, str]
) -> Case:
    case = read_nifti(image, name=name)
    native: Grid = case.native  # type: ignore[assignment]
    labels = np.zeros(native.shape, np.uint8)
    for number in sorted(table):
        structure = table[number]
        path = masks.get(structure, image.parent)
        labels[read_mask(path, native, structure=structure, image=name)] = number
    return _with_labels(case, native.array_to_ras(labels), table)


def _read_series(name: str, series: Path, labels: Path, table: Mapping[int, str]) -> Case:
    case = read_dicom(series, name=name)
    array, grid = read_volume(labels)
    if not same_grid(grid.to_ras(), case.grid):
        raise ValueError(
            f"series and label map must share their voxels, got {case.grid.shape} @ "
            f"{case.spacing_mm} mm in {series} and {grid.to_ras().shape} @ {grid.spacing_mm} mm, "
            f"or another place, in {labels}; look at both before you use the scan."
        )
    checked = checked_labels(grid.array_to_ras(array), table, source=str(labels))
    return _with_labels(case, checked, table)


def _read_pictures(name: str, series: Path, pictures: Path, table: Mapping[int, str]) -> Case:
    case = read_dicom(series, name=name)
    found = sorted(pictures.glob("*.png"))
    files = sorted(Path(header.filename) for header in load_series(series))
    if len(found) != len(files):
        raise ValueError(
            f"each slice has a picture, got {len(files)} slices in {series} and {len(found)} "
            f"pictures in {pictures}; unpack the scan again."
        )
    pairs = zip(files, found, strict=True)
    by_slice = {file.name: np.asarray(Image.open(path).convert("L")) for file, path in pairs}
    return _stacked(case, series, by_slice, table)


def _read_mask_series(
    name: str, series: Path, masks: Mapping[str, Sequence[Path]], table: Mapping[int, str]
) -> Case:
    case = read_dicom(series, name=name)
    numbers = {structure: number for number, structure in table.items()}
    by_slice: dict[str, np.ndarray] = {}
    for structure in sorted(masks, key=lambda key: numbers[key]):
        for path in sorted(path for folder in masks[structure] for path in folder.iterdir()):
            drawn = pydicom.dcmread(path, force=True).pixel_array > 0
            labels = by_slice.setdefault(path.name, np.zeros(drawn.shape, np.uint8))
            labels[drawn] = numbers[structure]
    return replace(_stacked(case, series, by_slice, table), known=frozenset(masks))


def _stacked(
    case: Case, series: Path, by_slice: Mapping[str, np.ndarray], table: Mapping[int, str]
) -> Case:
    """Bring label slices, named as the image's, into the order of the series' positions."""
    headers = load_series(series)
    names = [Path(header.filename).name for header in headers]
    shape = (headers[0].Rows, headers[0].Columns)
    if missing := [name for name in names if name not in by_slice]:
        raise ValueError(
            f"each slice has its labels, got none for {missing[:3]} of {series}; unpack it again."
        )
    if wrong := [name for name in names if by_slice[name].shape != shape]:
        raise ValueError(
            f"labels have the slice's size {shape}, got {by_slice[wrong[0]].shape} for "
            f"{wrong[0]} of {series}; unpack it again."
        )
    stack = np.stack([by_slice[name] for name in names]).transpose(2, 1, 0)
    checked = checked_labels(stack, table, source=str(series))
    return _with_labels(case, series_grid(headers).array_to_ras(checked), table)


def _with_labels(case: Case, labels: np.ndarray, table: Mapping[int, str]) -> Case:
    known = frozenset(table.values())
    return replace(case, labels=labels, table=dict(table), known=known)
