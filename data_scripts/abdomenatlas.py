"""AbdomenAtlas 1.0 (9 structures) and 1.1 (25): thousands of CT scans, completed by AI. By hand.

``BDMAP_00000001/ct.nii.gz`` and ``BDMAP_00000001/segmentations/liver.nii.gz``. Name the one to
convert: `python data_scripts/abdomenatlas.py abdomenatlas_1_0`.
"""

from collections.abc import Iterator
from functools import partial

from steps import Place, Work, main

from fmtutor.data.anatomy import canonical
from fmtutor.data.scans import Scan, mask_files_scan
from fmtutor.data.sources import Source, source

OWN = {
    "prostate": "prostate_or_uterus",
    "intestine": "small_bowel",
    "hepatic_vessel": "hepatic_vessels",
}
"""Names of mask files that follow the sources they come from (AMOS, WORD, MSD)."""


def scans(source: Source, place: Place) -> Iterator[Scan]:
    """Find the scans; masks of tumours and of further structures are passed over."""
    for image in sorted(place.unpacked.glob("**/BDMAP_*/ct.nii.gz")):
        files = {}
        for path in (image.parent / "segmentations").glob("*.nii.gz"):
            stem = path.name.removesuffix(".nii.gz")
            files[OWN.get(stem) or _known(stem)] = path
        yield mask_files_scan(image.parent.name, image, files, source.labels)


def _known(stem: str) -> str:
    try:
        return canonical(stem)
    except ValueError:  # a mask that no card lists
        return stem


BOTH = (source("abdomenatlas_1_0"), source("abdomenatlas_1_1"))
WORKS = tuple(Work(one, partial(scans, one)) for one in BOTH)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
