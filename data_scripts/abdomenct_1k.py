"""AbdomenCT-1K: 1,000 labelled CT scans with liver, kidneys, spleen and pancreas. Open (Zenodo).

Images in three zip archives (``Case_00001_0000.nii.gz``), label maps in one 7z
(``Case_00001.nii.gz``), which Python does not unpack. Both kidneys share a label there.
"""

from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("abdomenct_1k")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    images = {path.name: path for path in place.unpacked.glob("**/Case_*_0000.nii.gz")}
    masks = folder_named(place.unpacked, "Mask")
    for labels in sorted(masks.glob("**/Case_*.nii.gz")):
        name = labels.name.removesuffix(".nii.gz")
        if f"{name}_0000.nii.gz" not in images:
            raise FileNotFoundError(f"each mask has an image, got none for {labels}")
        yield label_map_scan(name, images[f"{name}_0000.nii.gz"], labels, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
