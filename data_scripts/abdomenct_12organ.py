"""AbdomenCT-12organ: 50 CT scans of AbdomenCT-1K with 12 organs drawn anew. On request.

The folders are this project's own: ``images/Organ12_0001_0000.nii.gz``,
``labels/Organ12_0001.nii.gz``. Both kidneys share a label.
"""

from collections.abc import Iterator

from steps import Place, Work, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("abdomenct_12organ")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    for image in sorted((place.unpacked / "images").glob("*_0000.nii.gz")):
        name = image.name.removesuffix("_0000.nii.gz")
        labels = place.unpacked / "labels" / f"{name}.nii.gz"
        yield label_map_scan(name, image, labels, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
