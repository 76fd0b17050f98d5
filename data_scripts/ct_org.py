"""CT-ORG: 140 CT scans with liver, bladder, lungs, kidneys, bones and brain. Open (TCIA), by hand.

``volume-0.nii.gz`` and ``labels-0.nii.gz``, in several archives. The lungs share a label, and so do
the kidneys; scans 0 to 20 are taken as the makers' 21 test scans.
"""

from collections.abc import Iterator

from steps import Place, Work, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("ct_org")
LAST_TEST = 20
"""Number of the last test scan."""


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    images = {path.name: path for path in place.unpacked.glob("**/volume-*.nii.gz")}
    for labels in sorted(place.unpacked.glob("**/labels-*.nii.gz")):
        number = int(labels.name.removeprefix("labels-").removesuffix(".nii.gz"))
        if f"volume-{number}.nii.gz" not in images:
            raise FileNotFoundError(f"each label map has an image, got none for {labels}")
        image, part = images[f"volume-{number}.nii.gz"], "test" if number <= LAST_TEST else "train"
        yield label_map_scan(f"CTORG_{number:03d}", image, labels, SOURCE.labels, part=part)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
