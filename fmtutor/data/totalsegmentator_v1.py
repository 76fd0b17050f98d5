"""TotalSegmentator v1 as it is unpacked: a folder per scan, a binary mask per structure.

``FOLDER/s0004/ct.nii.gz``, ``FOLDER/s0004/segmentations/spleen.nii.gz``, ``FOLDER/meta.csv``. Its
104 structures are spelled as our canonical ones. v2 looks alike on disk but draws other classes
(no heart chambers, S1 apart from the sacrum), so a v2 folder is refused.

The image of s0864 is damaged in the release itself (``wasserth/TotalSegmentator``, issue 92); no
published few-shot list has it.

Source: Wasserthal et al., Radiology: Artificial Intelligence 5(5), 2023; Zenodo 6802614.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fmtutor.core.geometry import Grid
from fmtutor.core.tables import unknown_name
from fmtutor.data.anatomy import TOTALSEGMENTATOR_V1, TOTALSEGMENTATOR_V2, canonical, table_parts
from fmtutor.data.cases import Case
from fmtutor.data.nifti import read_mask, read_nifti

IDS = {name: number for number, name in TOTALSEGMENTATOR_V1.items()}
"""Structure, which is also the name of its file, to its label id in v1's own table."""
_ONLY_V2 = frozenset(TOTALSEGMENTATOR_V2.values()) - IDS.keys()


@dataclass(frozen=True)
class TotalSegmentatorV1:
    """The dataset in its original layout; a scan is read when it is asked for.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder has no scans, or those of v2.
    """

    folder: Path
    """Where ``meta.csv`` and the folders of the scans lie."""

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no folder {self.folder}; unpack the dataset and name it.")
        if not self.ids:
            found = sorted(path.name for path in self.folder.iterdir())[:5]
            raise ValueError(
                f"TotalSegmentator v1 is folders such as s0004/, {self.folder} has {found}; name "
                "the folder that they lie in."
            )
        masks = {_stem(path) for path in (self.folder / self.ids[0] / "segmentations").glob("*")}
        if newer := sorted(masks & _ONLY_V2):
            raise ValueError(
                f"the masks must be those of TotalSegmentator v1, {self.folder} has {newer[:3]} of "
                "v2; its scans and classes differ: download v1 (Zenodo 6802614)."
            )

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The scans, sorted."""
        names = (path.name for path in self.folder.iterdir())
        return tuple(sorted(name for name in names if re.fullmatch(r"s\d{4}", name)))

    @cached_property
    def meta(self) -> Mapping[str, Mapping[str, str]]:
        """The rows of ``meta.csv`` by scan: age, gender, institute, study type, split.

        Raises:
            FileNotFoundError: There is no ``meta.csv``.
            ValueError: It has no column ``image_id``.
        """
        path = self.folder / "meta.csv"
        if not path.is_file():
            raise FileNotFoundError(f"no {path}; it is part of the release, copy it there.")
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter=";"))
        if not rows or "image_id" not in rows[0]:
            raise ValueError(
                f"meta.csv has a column image_id, between semicolons, {path} has "
                f"{list(rows[0]) if rows else 'no rows'}; copy the original one."
            )
        return {row["image_id"]: row for row in rows}

    def case(self, scan_id: str, structures: Iterable[str]) -> Case:
        """Read a scan with some of its structures as a label map.

        The label ids are those of v1's own table. Where masks overlap, the structure of the
        larger id stays, as in the conversion that the dataset's makers publish.

        Args:
            scan_id: Such as "s0004".
            structures: Any known spelling; "lungs" is its five lobes. A mask without a voxel says
                that the scan does not show the structure.

        Returns:
            The case, which knows the structures that were asked for and no others.

        Raises:
            FileNotFoundError: The image or the mask of a structure is missing.
            ValueError: There is no such scan, v1 does not draw a structure, none is named, or a
                mask is on another grid or not of 0 and 1.
        """
        if scan_id not in self.ids:
            raise ValueError(
                f"no scan {scan_id!r} among the {len(self.ids)} in {self.folder}, which are "
                f"{self.ids[0]} to {self.ids[-1]}; unpack all of the dataset."
            )
        table = {IDS[name]: name for name in _drawn(structures)}
        case = read_nifti(self.folder / scan_id / "ct.nii.gz", name=scan_id)
        native: Grid = case.native  # type: ignore[assignment]
        labels = np.zeros(native.shape, np.uint8)
        for number in sorted(table):
            labels[self._mask(scan_id, table[number], native)] = number
        return replace(
            case,
            labels=native.array_to_ras(labels),
            table=table,
            known=frozenset(table.values()),
            provenance=f"totalsegmentator_v1/{scan_id}",
        )

    def _mask(self, scan_id: str, structure: str, native: Grid) -> np.ndarray:
        path = self.folder / scan_id / "segmentations" / f"{structure}.nii.gz"
        return read_mask(path, native, structure=structure, image=f"{scan_id}/ct.nii.gz")


def _drawn(structures: Iterable[str]) -> list[str]:
    """Return the structures of v1 that these stand for."""
    found: list[str] = []
    for structure in structures:
        parts = table_parts(structure, IDS)
        if not parts:
            raise unknown_name(canonical(structure), IDS, "structure of TotalSegmentator v1")
        found += parts
    if not found:
        raise ValueError("a case needs at least one structure, got none; name one.")
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(".nii.gz")
