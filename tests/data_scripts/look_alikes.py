"""Small look-alikes of the public datasets, each in its true layout, with the truth known.

Every written structure of a source has voxels of its own: at `LEFT` or `RIGHT` of a body that does
not stand in the middle of the image, or between them.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from fmtutor.data.anatomy import STRUCTURES
from fmtutor.data.sources import Source

SHAPE = (16, 12, 10)
SPACING = (1.5, 2.0, 3.0)
LEFT, MIDDLE, RIGHT = 5, 8, 12
"""Where structures lie along H; the body reaches from 4 to 14, the image from 0 to 15."""
LPS = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
META = "image_id;age;gender;institute;study_type;split\n"


@dataclass
class LookAlike:
    """What is served, what is put there by hand, and what must come out."""

    names: tuple[str, ...]
    """Scans of the converted dataset."""
    served: dict[str, bytes] = field(default_factory=dict)
    """Name of a file to fetch to its content."""
    downloads: dict[str, bytes] = field(default_factory=dict)
    """Files that a person puts into the folder of downloads."""
    unpacked: dict[str, bytes] = field(default_factory=dict)
    """Files that a person puts into the unpacked folder."""
    parts: dict[str, str] = field(default_factory=dict)
    """Scan to its part of the makers' split, where that is not "train"."""


def truth(source: Source, name: str) -> np.ndarray:
    """Return the mask (H, W, D) of a written structure, in RAS."""
    index = source.written.index(name)
    side = STRUCTURES[name].side if source.sides else ""
    mask = np.zeros(SHAPE, bool)
    h = {"left": LEFT, "right": RIGHT, "": MIDDLE}[side]
    mask[h : h + 2, index % SHAPE[1], index // SHAPE[1]] = True
    return mask


def label_map(source: Source) -> np.ndarray:
    """Return the published label map, in RAS."""
    whole = {part: name for name, pair in source.sides.items() for part in pair}
    numbers = {name: number for number, name in source.labels.items()}
    labels = np.zeros(SHAPE, np.uint8)
    for name in source.written:
        labels[truth(source, name)] = numbers[whole.get(name, name)]
    return labels


def image_of(scan: int) -> np.ndarray:
    """Return an image in RAS, HU: air, and a body that stands to one side."""
    image = np.full(SHAPE, -1000, np.int16)
    image[4:15] = 40 + scan
    image[8, 3, 2] = 300  # so that a flipped image is another one
    return image


def nifti(array: np.ndarray, *, packed: bool = True, affine: np.ndarray = LPS) -> bytes:
    """Return a file of a RAS array that is stored in LPS."""
    stored = array[::-1, ::-1]
    content = nib.Nifti1Image(stored, affine).to_bytes()
    return gzip.compress(content, 1) if packed else content


def packed_zip(files: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of files, with what macOS adds."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {**files, "__MACOSX/._x": b"x"}.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def packed_tar(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of files, with what macOS adds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            for stored in (name, name.rpartition("/")[0] + "/._" + name.rpartition("/")[2]):
                entry = tarfile.TarInfo(stored)
                entry.size = len(content) if stored == name else 0
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def slices(array: np.ndarray) -> np.ndarray:
    """Return a RAS array as DICOM stacks it: (slices, rows, columns) from feet to head."""
    return array[::-1, ::-1].transpose(2, 1, 0)


def dicom_series(
    array: np.ndarray, name: Callable[[int], str], *, modality: str = "CT"
) -> dict[str, bytes]:
    """Return the files of a series; file 0 is the highest slice, as in CHAOS."""
    series, study, frame = (generate_uid() for _ in range(3))
    stack = slices(array)
    files = {}
    for number, index in enumerate(reversed(range(len(stack)))):
        header = _header(stack[index], modality)
        header.StudyInstanceUID, header.SeriesInstanceUID = study, series
        header.FrameOfReferenceUID = frame
        header.ImagePositionPatient = [0.0, 0.0, float(index) * SPACING[2]]
        header.InstanceNumber = number + 1
        buffer = io.BytesIO()
        header.save_as(buffer, enforce_file_format=True)
        files[name(number)] = buffer.getvalue()
    return files


def _header(pixels: np.ndarray, modality: str) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.SOPClassUID = CTImageStorage if modality == "CT" else MRImageStorage
    header.SOPInstanceUID = generate_uid()
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.Modality = modality
    header.Rows, header.Columns = pixels.shape
    header.PixelSpacing = [SPACING[1], SPACING[0]]
    header.SliceThickness = SPACING[2]
    header.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.RescaleSlope, header.RescaleIntercept = 1, 0
    header.PixelData = np.ascontiguousarray(pixels.astype("<i2")).tobytes()
    return header


def pictures(labels: np.ndarray, name: Callable[[int], str]) -> dict[str, bytes]:
    """Return a grey picture per slice, numbered from the head down."""
    files = {}
    for number, pixels in enumerate(reversed(slices(labels))):
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
        files[name(number)] = buffer.getvalue()
    return files
