"""Synthetic DICOM series for tests: small, valid, and easy to spoil."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

ROW, COLUMN, SLICE = (0.7, 1.3, 4.0)
"""Spacing in mm between rows, columns and slices."""
SHAPE = (5, 6, 7)
"""Slices, rows, columns."""
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_ANGLE = np.radians(11.0)
OBLIQUE = (1.0, 0.0, 0.0, 0.0, float(np.cos(_ANGLE)), float(np.sin(_ANGLE)))
SLOPE, INTERCEPT = 2.0, -1024.0


def stored_values() -> np.ndarray:
    """Return the stored pixels (slices, rows, columns), uint16."""
    return np.random.default_rng(0).integers(0, 2000, size=SHAPE).astype(np.uint16)


def slice_position(index: float, directions: tuple[float, ...] = AXIAL) -> np.ndarray:
    """Return the LPS position of the first pixel of a slice."""
    normal = np.cross(directions[:3], directions[3:])
    return np.array([-30.5, 12.25, 600.0]) + index * SLICE * normal


def write_series(
    folder: Path,
    *,
    directions: tuple[float, ...] = AXIAL,
    modality: str = "CT",
    uid: str | None = None,
    spoil: Callable[[int, Dataset], bool | None] = lambda index, header: None,
) -> np.ndarray:
    """Write a series, file names in no order of position, and return its stored pixels.

    ``spoil`` may change a header; a slice for which it returns True is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = stored_values()
    uids = {name: generate_uid() for name in ("study", "series", "frame")} | (
        {"series": uid} if uid else {}
    )
    for index, pixels in enumerate(values):
        header = _header(pixels, index, directions, modality, uids)
        if not spoil(index, header):
            name = f"image{(index * 3) % len(values)}.{uids['series'][-5:]}"
            header.save_as(folder / name, enforce_file_format=True)
    return values


def _header(
    pixels: np.ndarray,
    index: int,
    directions: tuple[float, ...],
    modality: str,
    uids: dict[str, str],
) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    header = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    header.SOPClassUID, header.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    header.StudyInstanceUID, header.SeriesInstanceUID = uids["study"], uids["series"]
    header.FrameOfReferenceUID = uids["frame"]
    header.Modality, header.SeriesDescription = modality, "synthetic"
    header.PatientID = header.PatientName = header.PatientBirthDate = header.PatientSex = ""
    header.StudyID = header.StudyDate = header.StudyTime = header.AccessionNumber = ""
    header.ReferringPhysicianName = header.PositionReferenceIndicator = header.Manufacturer = ""
    header.SeriesNumber, header.InstanceNumber = 1, index + 1
    header.ImagePositionPatient = [float(x) for x in slice_position(index, directions)]
    header.ImageOrientationPatient = list(directions)
    header.PixelSpacing, header.SliceThickness = [ROW, COLUMN], 6.0  # thicker than their distance
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    header.RescaleSlope, header.RescaleIntercept = SLOPE, INTERCEPT
    header.PixelData = pixels.tobytes()
    return header
