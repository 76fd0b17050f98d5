"""CHAOS: 20 CT scans with the liver; 20 MR patients with four organs. Open (Zenodo), one archive.

``Train_Sets/CT/1/DICOM_anon`` and ``Ground`` (a picture per slice);
``Train_Sets/MR/1/T1DUAL/DICOM_anon/InPhase``, ``Train_Sets/MR/1/T2SPIR/DICOM_anon``, each with its
``Ground`` of grey values 63, 126, 189 and 252. The test sets have no public labels.
"""

from collections.abc import Iterator

from steps import Place, Work, folder_named, main

from fmtutor.data.scans import Scan, pictures_scan
from fmtutor.data.sources import source

CT, MR = source("chaos_ct"), source("chaos_mr")
SERIES = {"T1DUAL": "DICOM_anon/InPhase", "T2SPIR": "DICOM_anon"}
"""Sequence to the folder of its slices."""


def ct_scans(place: Place) -> Iterator[Scan]:
    """Find the CT scans."""
    for patient in sorted(folder_named(place.unpacked, "Train_Sets/CT").glob("[0-9]*")):
        name = f"CHAOS_CT_{int(patient.name):02d}"
        yield pictures_scan(name, patient / "DICOM_anon", patient / "Ground", CT.labels)


def mr_scans(place: Place) -> Iterator[Scan]:
    """Find both sequences of each MR patient."""
    for patient in sorted(folder_named(place.unpacked, "Train_Sets/MR").glob("[0-9]*")):
        who = f"CHAOS_MR_{int(patient.name):02d}"
        for sequence, series in SERIES.items():
            folder = patient / sequence
            yield pictures_scan(
                f"{who}_{sequence}", folder / series, folder / "Ground", MR.labels, patient=who
            )


WORKS = (Work(CT, ct_scans), Work(MR, mr_scans))


if __name__ == "__main__":
    raise SystemExit(main(*WORKS))
