"""3D-IRCADb-01: 20 CT scans of patients, most with liver tumours. Open; archives in an archive.

``3Dircadb1/3Dircadb1.1/PATIENT_DICOM/image_0`` and ``MASKS_DICOM/liver/image_0``: a folder per
structure, and which ones there are changes from patient to patient.
"""

import re
from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, mask_series_scan
from fmtutor.data.sources import source

SOURCE = source("ircadb")
FOLDERS = {
    "rightlung": "lung_right", "leftlung": "lung_left", "liver": "liver", "spleen": "spleen",
    "rightkidney": "kidney_right", "leftkidney": "kidney_left", "gallbladder": "gallbladder",
    "aorta": "aorta", "artery": "aorta", "venoussystem": "venous_system",
    "venacava": "inferior_vena_cava", "portalvein": "portal_vein", "livercyst": "liver_cyst",
    "liverkyst": "liver_cyst", "liverkyste": "liver_cyst", "lungs": "lungs", "kidneys": "kidneys",
}  # fmt: skip
"""Folder of masks, without the number that some carry, to structure; the rest is not converted."""


def scans(place: Place) -> Iterator[Scan]:
    """Find the patients and what is drawn in each."""
    root = folder_named(place.unpacked, "3Dircadb1.1").parent
    patients = [path for path in root.glob("3Dircadb1.*") if path.suffix[1:].isdigit()]
    for patient in sorted(patients, key=lambda path: int(path.suffix[1:])):
        masks: dict[str, list] = {}
        for folder in sorted(folder_named(patient, "MASKS_DICOM").iterdir()):
            structure = FOLDERS.get(re.sub(r"\d+$", "", folder.name.lower()))
            if structure:
                masks.setdefault(structure, []).append(folder)
        name = f"IRCADb_{int(patient.suffix[1:]):02d}"
        series = folder_named(patient, "PATIENT_DICOM")
        yield mask_series_scan(name, series, masks, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
