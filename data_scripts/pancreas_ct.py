"""Pancreas-CT (NIH): 80 CT scans with a healthy pancreas. Open (TCIA), by its download program.

``Pancreas-CT/PANCREAS_0001/.../*.dcm`` (DICOM) and ``labels/label0001.nii.gz``. A label map is
taken only if its header puts it on the voxels of the series.
"""

from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, series_scan
from fmtutor.data.sources import source

SOURCE = source("pancreas_ct")


def scans(place: Place) -> Iterator[Scan]:
    """Find the patients that have slices."""
    labels = folder_named(place.unpacked, "labels")
    for patient in sorted(place.unpacked.glob("**/PANCREAS_*")):
        number = patient.name.removeprefix("PANCREAS_")
        series = {path.parent for path in patient.glob("**/*.dcm")}
        for folder in sorted(series):
            path = labels / f"label{number}.nii.gz"
            yield series_scan(patient.name, folder, path, SOURCE.labels)


WORKS = (Work(SOURCE, scans),)


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
