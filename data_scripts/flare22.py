"""FLARE22: 50 labelled CT scans of the abdomen, 13 organs. The training file is open.

``FLARE22Train/images/FLARE22_Tr_0001_0000.nii.gz``, ``FLARE22Train/labels/FLARE22_Tr_0001.nii.gz``.
FSEFT tests on scans of the tuning set (``FLARETs_0001``), which the challenge gives to registered
users; where they are in ``tuning/``, they are converted too.
"""

from collections.abc import Iterator
from pathlib import Path

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("flare22")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    yield from _pairs(folder_named(place.unpacked, "FLARE22Train/images").parent, "train")
    if (place.unpacked / "tuning" / "images").is_dir():
        yield from _pairs(place.unpacked / "tuning", "val")


def _pairs(folder: Path, part: str) -> Iterator[Scan]:
    for image in sorted((folder / "images").glob("*_0000.nii.gz")):
        name = image.name.removesuffix("_0000.nii.gz")
        labels = folder / "labels" / f"{name}.nii.gz"
        yield label_map_scan(name, image, labels, SOURCE.labels, part=part)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
