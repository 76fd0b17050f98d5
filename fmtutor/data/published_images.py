"""A published image under its name in the common layout, with the voxels it was published with.

A ``.nii.gz`` on the same disk is linked, which costs no room: do not edit it in place. On another
disk it is copied, a ``.nii`` is packed, and a DICOM series becomes NIfTI on its own grid.
"""

import gzip
import os
import shutil
from pathlib import Path

import numpy as np

from fmtutor.core.files import atomic_path
from fmtutor.data.cases import Case
from fmtutor.data.nifti import write_nifti

PACKING = 4
"""gzip's level: nearly as small as its best one, several times as fast."""


def write_image(image: Path, case: Case, path: Path) -> None:
    """Put an image in its place, whole or not at all.

    Args:
        image: The published file, or the folder of a DICOM series.
        case: What was read from it.
        path: Its ``.nii.gz`` in the common layout.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.name.endswith(".nii.gz"):
        if not (is_linked(image, path.parent) and _link(image, path)):
            with atomic_path(path) as part:
                shutil.copyfile(image, part)
    elif image.name.endswith(".nii"):
        with (
            atomic_path(path) as part,
            image.open("rb") as raw,
            gzip.open(part, "wb", PACKING) as out,
        ):
            shutil.copyfileobj(raw, out)
    else:  # a DICOM series, whose values are whole numbers as a rule
        whole = np.array_equal(case.image, np.round(case.image))
        write_nifti(case.image.astype(np.int32) if whole else case.image, case, path)


def is_linked(image: Path, folder: Path) -> bool:
    """Return whether an image is linked into a folder rather than written there."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    return image.name.endswith(".nii.gz") and image.stat().st_dev == there.stat().st_dev


def bytes_of(image: Path) -> int:
    """Return the size of a file, or of the files of a folder."""
    files = [path for path in image.iterdir() if path.is_file()] if image.is_dir() else [image]
    return sum(path.stat().st_size for path in files)


def _link(image: Path, path: Path) -> bool:
    """Link an image; False where the file system has no links."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(image, part)
    except OSError:
        return False
    os.replace(part, path)
    return True
