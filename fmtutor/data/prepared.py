"""A dataset on disk as training takes it: some of its cases and classes, on one spacing.

A public dataset at 1.5 mm fits into no memory, and unzipping and resampling a scan takes seconds.
So each case is prepared once, when it is first asked for, and lies in a folder from then on. A
prepared case whose files have changed since is prepared anew.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmtutor.core.files import atomic_path
from fmtutor.data.cases import Case
from fmtutor.data.nnunet_raw import NnunetDataset
from fmtutor.data.regions import Protocol
from fmtutor.data.resampling import resample_case

HU_RANGE = (-32768, 32767)
"""What a prepared image can hold."""


@dataclass(frozen=True, kw_only=True)
class PreparedSource:
    """Cases of a dataset that teach, resampled; a `fmtutor.data.patches.Source`."""

    dataset: NnunetDataset
    """Where they come from."""
    names: tuple[str, ...]
    """Those that teach."""
    protocol: Protocol
    """The regions that are taught, some of the dataset's."""
    spacing_mm: tuple[float, float, float]
    """Voxel edges that all cases get."""
    folder: Path
    """Where prepared cases lie, 3 bytes a voxel."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Case:
        name = self.names[index]
        path, stamp = self.path(name), self._stamp(name)
        if not path.is_file() or not self._fits(path, stamp):
            self._store(resample_case(self.dataset[name], self.spacing_mm), path, stamp)
        return self._read(path)  # what was just made too: stored values are rounded

    def path(self, name: str) -> Path:
        """Return the file of a prepared case; another spacing is another file."""
        spacing = "x".join(f"{mm:g}" for mm in self.spacing_mm)
        return self.folder / self.dataset.name / f"{spacing}mm" / f"{name}.npz"

    def _stamp(self, name: str) -> np.ndarray:
        """Return size and time of the case's two files."""
        labels = self.dataset.folder / "labelsTr" / f"{name}{self.dataset.suffix}"
        stats = [path.stat() for path in (self.dataset.image_path(name), labels)]
        return np.array([(stat.st_size, stat.st_mtime_ns) for stat in stats])

    def _store(self, case: Case, path: Path, stamp: np.ndarray) -> None:
        labels: np.ndarray = case.labels  # type: ignore[assignment]
        image = np.clip(np.round(case.image), *HU_RANGE).astype(np.int16)
        with atomic_path(path) as part:
            np.savez(part, image=image, labels=labels, affine=case.affine, stamp=stamp)

    def _fits(self, path: Path, stamp: np.ndarray) -> bool:
        with np.load(path) as file:
            return np.array_equal(file["stamp"], stamp)

    def _read(self, path: Path) -> Case:
        with np.load(path) as file:
            return Case(
                name=path.stem,
                image=file["image"].astype(np.float32),
                labels=file["labels"],
                affine=file["affine"],
                modality=self.dataset.modality,
                table=self.dataset.table,
                known=self.dataset.known,
                provenance=f"{self.dataset.name}/{path.stem}",
            )


def taught(protocol: Protocol, classes: Collection[str]) -> Protocol:
    """Return a protocol with its regions of these names alone; without names, all of them.

    Raises:
        ValueError: It has none of them.
    """
    if not classes:
        return protocol
    regions = tuple(region for region in protocol.regions if region.name in classes)
    if not regions:
        names: Sequence[str] = [region.name for region in protocol.regions][:5]
        raise ValueError(
            f"a dataset teaches at least one of {', '.join(sorted(classes))}, {protocol.name} "
            f"annotates {', '.join(names)}, ...; leave it out."
        )
    return Protocol(protocol.name, regions)
