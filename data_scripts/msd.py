"""Medical Segmentation Decathlon, its six CT tasks of the talk. Open (a mirror by MONAI).

``Task09_Spleen/imagesTr/spleen_10.nii.gz`` and ``Task09_Spleen/labelsTr/spleen_10.nii.gz``, alike
for all tasks. `python data_scripts/msd.py msd_spleen` takes one, without a name all six.
"""

from collections.abc import Iterator
from functools import partial

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import Source, sources

TASKS = tuple(name for name in sources() if name.startswith("msd_"))


def scans(source: Source, place: Place) -> Iterator[Scan]:
    """Find the labelled scans of one task."""
    folder = folder_named(place.unpacked, "imagesTr").parent
    for image in sorted((folder / "imagesTr").glob("*.nii.gz")):
        name = image.name.removesuffix(".nii.gz")
        yield label_map_scan(name, image, folder / "labelsTr" / image.name, source.labels)


WORKS = tuple(Work(sources()[name], partial(scans, sources()[name])) for name in TASKS)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
