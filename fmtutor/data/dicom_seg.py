"""DICOM-SEG out and in: label maps as segmentations that viewers and archives understand."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

import fmtutor
from fmtutor.core.files import atomic_path
from fmtutor.core.geometry import Grid, corners_mm, world_to_voxel
from fmtutor.data.cases import Case
from fmtutor.data.dicom import LPS_TO_RAS, load_series, series_grid
from fmtutor.data.resampling import to_grid

OWN_SCHEME = "99FMTUTOR"
"""Coding scheme of structures that our table of SNOMED CT codes lacks."""
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ALTERED = Code("49755003", "SCT", "Morphologically Altered Structure")
SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}
CODES = {
    "small_bowel": codes.SCT.SmallIntestine,
    "urinary_bladder": codes.SCT.Bladder,
    "hip": None,  # SNOMED's "Hip" is the region, not the bone
}
"""Structures whose code has another name in the dictionary; all others are looked up by name."""


def write_dicom_seg(
    labels: np.ndarray,
    series: str | Path,
    *,
    path: str | Path,
    table: Mapping[int, str],
    series_uid: str | None = None,
) -> None:
    """Write a label map as a DICOM segmentation of the series it was drawn on, atomically.

    Each structure that occurs becomes a binary segment, numbered from 1 in the order of its ids,
    with its name as label, a SNOMED CT type where there is one, and its side.

    Args:
        labels: Integer (H, W, D) on the RAS grid that `read_dicom` gives.
        series: Folder of the series.
        path: The file to write.
        table: Label id to structure name.
        series_uid: Which series, where the folder holds several.

    Raises:
        ValueError: The labels are on another grid, hold ids that the table lacks, or are empty.
    """
    slices = load_series(series, series_uid=series_uid)
    native = series_grid(slices)
    if tuple(labels.shape) != native.to_ras().shape:
        raise ValueError(
            f"labels must be on the grid of the series {native.to_ras().shape}, got "
            f"{labels.shape}; bring them there with to_grid."
        )
    ids = [int(number) for number in np.unique(labels) if number != 0]
    if stray := sorted(set(ids) - set(table)):
        raise ValueError(f"label ids must be in the table, got {stray[:10]}; extend the table.")
    if not ids:
        raise ValueError("a segmentation needs a structure, got labels of zeros only.")
    frames = native.array_from_ras(labels).transpose(2, 1, 0)  # (slices, rows, columns)
    numbers = np.searchsorted(ids, frames) + 1
    numbers[frames == 0] = 0
    segmentation = hd.seg.Segmentation(
        source_images=[_identified(header) for header in slices],
        pixel_array=numbers.astype(np.uint8 if len(ids) < 2**8 else np.uint16),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(i + 1, table[number]) for i, number in enumerate(ids)],
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="fmtutor",
        manufacturer_model_name="fmtutor",
        software_versions=fmtutor.__version__,
        device_serial_number="0",
    )
    with atomic_path(path) as part:
        segmentation.save_as(part)


def read_dicom_seg(path: str | Path, case: Case) -> Case:
    """Return the case with the labels of a DICOM segmentation of it.

    Label ids are the segment numbers; structures that have a segment are ``known``.

    Args:
        path: A segmentation written by `write_dicom_seg` or another program.
        case: The series, as `read_dicom` gives it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no segmentation, its segments overlap, or it lies on another grid.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; check the path.")
    try:
        segmentation = hd.seg.segread(path)
        volume = segmentation.get_volume(combine_segments=True)
    except Exception as error:  # pydicom and highdicom raise many kinds for a foreign file
        raise ValueError(f"{path} is not a DICOM segmentation of one volume: {error}") from error
    source = Grid(tuple(volume.spatial_shape), LPS_TO_RAS @ volume.affine)
    stored = np.asarray(volume.array)
    labels = to_grid(stored, source, case.grid, mode="nearest")
    _check_same_voxels(stored, source, labels, case, path)
    table = {
        int(number): str(segmentation.get_segment_description(number).segment_label)
        for number in segmentation.segment_numbers
    }
    return replace(case, labels=labels, table=table, known=frozenset(table.values()))


def _check_same_voxels(
    stored: np.ndarray, source: Grid, labels: np.ndarray, case: Case, path: Path
) -> None:
    """Refuse a segmentation whose voxels are not voxels of the case."""
    at = world_to_voxel(corners_mm(source.to_ras()), case.affine)
    on_voxels = np.abs(at - np.round(at)).max() < 0.05
    one_to_one = np.abs(np.ptp(at, axis=0) + 1 - source.to_ras().shape).max() < 0.05
    if not (on_voxels and one_to_one and (stored > 0).sum() == (labels > 0).sum()):
        raise ValueError(
            f"a segmentation must lie on the grid of its case, {path} lies on {source.shape} @ "
            f"{source.spacing_mm} mm and case {case.name!r} on {case.grid.shape} @ "
            f"{case.spacing_mm} mm; read the series that it was drawn on."
        )


def _describe(number: int, structure: str) -> hd.seg.SegmentDescription:
    """Return the description of a segment: name, coded type, side, and that a model made it."""
    code, side = structure_code(structure)
    lesion = any(word in structure for word in ("lesion", "tumor", "tumour", "cyst"))
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure,
        segmented_property_category=ALTERED if lesion else ANATOMY,
        segmented_property_type=code,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="fmtutor", version=fmtutor.__version__, family=codes.DCM.ArtificialIntelligence
        ),
    )
    if side is not None:
        modifier = hd.sr.CodedConcept.from_code(SIDES[side])
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return description


def structure_code(structure: str) -> tuple[Code, str | None]:
    """Return the coded concept of a structure and its side, "left", "right" or None.

    Example:
        >>> structure_code("kidney_left")[0].meaning, structure_code("kidney_left")[1]
        ('Kidney', 'left')
    """
    words = structure.split("_")
    side = next((word for word in words if word in SIDES), None)
    base = "_".join(word for word in words if word not in SIDES and not word.isdigit())
    own = Code(structure, OWN_SCHEME, structure.replace("_", " "))
    if base in CODES:
        return CODES[base] or own, side
    if base.startswith("vertebrae_"):
        base = f"{words[-1]}_vertebra"  # SNOMED says "L1 vertebra"
    keyword = "".join(word.capitalize() for word in base.split("_"))
    return (getattr(codes.SCT, keyword) if keyword in dir(codes.SCT) else own), side


def _identified(header: Dataset) -> Dataset:
    """Fill the identifiers that anonymisation emptied, always with the same ones."""
    header.SOPClassUID = header.SOPClassUID or header.file_meta.MediaStorageSOPClassUID
    header.SOPInstanceUID = header.SOPInstanceUID or header.file_meta.MediaStorageSOPInstanceUID
    for keyword in ("FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not header.get(keyword):
            frame = str(header.get("FrameOfReferenceUID", ""))
            setattr(header, keyword, generate_uid(entropy_srcs=[keyword, frame]))
    return header
