"""ACDC: cine MR of 150 hearts, drawn at end of diastole and of systole. Open.

``ACDC/database/training/patient001/patient001_frame01.nii.gz`` with ``..._frame01_gt.nii.gz``, and
``testing`` alike.
"""

from collections.abc import Iterator
from dataclasses import replace

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("acdc")


def scans(place: Place) -> Iterator[Scan]:
    """Find the two drawn frames of each patient."""
    root = folder_named(place.unpacked, "database/training").parent
    for folder, part in (("training", "train"), ("testing", "test")):
        for labels in sorted((root / folder).glob("patient*/*_gt.nii.gz")):
            name = labels.name.removesuffix("_gt.nii.gz")
            image = labels.with_name(f"{name}.nii.gz")
            scan = label_map_scan(name, image, labels, SOURCE.labels, part=part)
            yield replace(scan, patient=labels.parent.name)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
