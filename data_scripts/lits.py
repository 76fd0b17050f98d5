"""LiTS: 131 CT scans with liver and liver tumours. CodaLab asks for a registration.

The two archives hold ``volume-0.nii`` and ``segmentation-0.nii``, batch by batch.
"""

from collections.abc import Iterator

from steps import Place, Work, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("lits")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    for image in sorted(place.unpacked.glob("**/volume-*.nii")):
        number = image.stem.removeprefix("volume-")
        labels = image.with_name(f"segmentation-{number}.nii")
        yield label_map_scan(image.stem, image, labels, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
