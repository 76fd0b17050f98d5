"""KiTS21: 300 CT scans with kidneys, their tumours and cysts. Open, a file per scan.

Images come from the challenge's storage and label maps (majority vote of the annotators) from its
repository: ``case_00000/imaging.nii.gz``, ``case_00000/aggregated_MAJ_seg.nii.gz``. Both kidneys
share a label in the original and are told apart here, each with its tumours and cysts.
"""

from collections.abc import Iterator

from steps import Place, Work, main

from fmtutor.data.scans import Scan, label_map_scan
from fmtutor.data.sources import source

SOURCE = source("kits")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans of the unpacked dataset."""
    for folder in sorted(place.downloads.glob("case_*")):
        image, labels = folder / "imaging.nii.gz", folder / "aggregated_MAJ_seg.nii.gz"
        if not (image.is_file() and labels.is_file()):
            raise FileNotFoundError(f"a case is an image and a label map, {folder} lacks one")
        yield label_map_scan(folder.name, image, labels, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
