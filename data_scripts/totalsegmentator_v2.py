"""TotalSegmentator v2: 1,228 CT scans, 117 structures. Open (Zenodo).

The layout is v1's (``s0000/ct.nii.gz``, ``s0000/segmentations/spleen.nii.gz``, ``meta.csv``), the
classes are others.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace

from steps import Place, Work, main

from fmtutor.data.scans import Scan, mask_files_scan
from fmtutor.data.sources import source

SOURCE = source("totalsegmentator_v2")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans, with the part of the makers' split that ``meta.csv`` states."""
    found = sorted(place.unpacked.glob("**/meta.csv"))
    if len(found) != 1:
        raise FileNotFoundError(f"the dataset has one meta.csv, {place.unpacked} has {len(found)}")
    folder = found[0].parent
    with found[0].open(encoding="utf-8-sig", newline="") as rows:
        parts = {row["image_id"]: row["split"] for row in csv.DictReader(rows, delimiter=";")}
    for scan in sorted(path for path in folder.glob("s[0-9]*") if path.is_dir()):
        files = {name: scan / "segmentations" / f"{name}.nii.gz" for name in SOURCE.written}
        found_scan = mask_files_scan(scan.name, scan / "ct.nii.gz", files, SOURCE.labels)
        yield replace(found_scan, part=parts[scan.name])


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
