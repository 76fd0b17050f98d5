"""WORD: 120 labelled CT scans of radiotherapy patients, 16 structures. On a signed request.

``WORD-V0.1.0/imagesTr/word_0002.nii.gz`` with ``labelsTr``, likewise ``Val``, and ``Ts`` where the
release has its labels. Both adrenal glands share a label there.
"""

from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("word")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    folder = folder_named(place.unpacked, "imagesTr").parent
    for ending, part in (("Tr", "train"), ("Val", "val"), ("Ts", "test")):
        for labels in sorted((folder / f"labels{ending}").glob("word_*.nii.gz")):
            image = folder / f"images{ending}" / labels.name
            name = labels.name.removesuffix(".nii.gz")
            yield label_map_scan(name, image, labels, SOURCE.labels, part=part)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
