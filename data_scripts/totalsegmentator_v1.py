"""TotalSegmentator v1: 1,204 CT scans, 104 structures. Open (Zenodo).

``s0004/ct.nii.gz``, ``s0004/segmentations/spleen.nii.gz``, ``meta.csv``. The few-shot tables of the
package read this folder as it is unpacked; the conversion is for nnU-Net and everything else, goes
through the same reader, and repeats FSEFT's lists in ``splits.json``.
"""

from collections.abc import Iterator
from functools import partial

from steps import Place, Work, main

from fmtutor.data.scans import Scan
from fmtutor.data.sources import source
from fmtutor.data.totalsegmentator_v1 import TotalSegmentatorV1

SOURCE = source("totalsegmentator_v1")


def scans(place: Place) -> Iterator[Scan]:
    """Find the scans, with the part of the makers' split that ``meta.csv`` states."""
    found = sorted(place.unpacked.glob("**/meta.csv"))
    if len(found) != 1:
        raise FileNotFoundError(f"the dataset has one meta.csv, {place.unpacked} has {len(found)}")
    dataset = TotalSegmentatorV1(found[0].parent)
    structures = tuple(SOURCE.labels.values())
    for scan_id in dataset.ids:
        yield Scan(
            name=scan_id,
            image=dataset.folder / scan_id / "ct.nii.gz",
            read=partial(dataset.case, scan_id, structures),
            part=dataset.meta[scan_id]["split"],
        )


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
