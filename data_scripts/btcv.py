"""BTCV: 30 CT scans of the abdomen, 13 structures. Synapse asks for a registration.

``RawData.zip`` holds ``RawData/Training/img/img0001.nii.gz`` and
``RawData/Training/label/label0001.nii.gz``; its test scans have no labels.
"""

from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("btcv")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    training = folder_named(place.unpacked, "Training/img").parent
    for image in sorted((training / "img").glob("img*.nii.gz")):
        number = image.name.removeprefix("img").removesuffix(".nii.gz")
        labels = training / "label" / f"label{number}.nii.gz"
        yield label_map_scan(f"BTCV_{number}", image, labels, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
