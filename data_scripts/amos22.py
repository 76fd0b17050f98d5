"""AMOS22: CT scans of the abdomen, 15 organs; 200 to train on and 100 to validate. Open (Zenodo).

``amos22/imagesTr/amos_0001.nii.gz`` with ``labelsTr``, ``imagesVa`` with ``labelsVa``. Numbers
above 500 are MR scans and stay out; the test images have no labels.
"""

from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("amos22")
LAST_CT = 500
"""Number of the last CT scan; MR scans follow."""


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    folder = folder_named(place.unpacked, "imagesTr").parent
    for ending, part in (("Tr", "train"), ("Va", "val")):
        for image in sorted((folder / f"images{ending}").glob("amos_*.nii.gz")):
            name = image.name.removesuffix(".nii.gz")
            if int(name.removeprefix("amos_")) <= LAST_CT:
                labels = folder / f"labels{ending}" / image.name
                yield label_map_scan(name, image, labels, SOURCE.labels, part=part)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
