"""The cohort on disk: each virtual case grown once, then read.

A file is named by everything that its case depends on (centre, index, seed, ranges, and the version
of the growing code), written atomically, so several processes may grow the same cohort at once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmtutor.core.configs import fingerprint
from fmtutor.core.files import atomic_path
from fmtutor.data.cases import Case
from fmtutor.data.cohort import grow
from fmtutor.data.domains import Centre
from fmtutor.data.regions import Protocol
from fmtutor.data.samples import cache_folder

GROWTH = 1
"""Version of the growing code; raise it when `grow` would give another case for the same keys."""


def case_path(centre: Centre, index: int, seed: int = 0) -> Path:
    """Return where a virtual case is kept."""
    return (
        cache_folder()
        / "cohort"
        / f"v{GROWTH}"
        / f"{centre.name}-{fingerprint(centre)}"
        / f"{seed}-{index:05d}.npz"
    )


def virtual_case(centre: Centre, index: int, seed: int = 0) -> Case:
    """Return a virtual case, read from the cache folder or grown into it."""
    path = case_path(centre, index, seed)
    if not path.exists():
        _store(grow(centre, index, seed), path)
    return _read(path)


def virtual_cases(centre: Centre, indices: Iterable[int], seed: int = 0) -> list[Case]:
    """Return several virtual cases of one centre."""
    return [virtual_case(centre, index, seed) for index in indices]


@dataclass(frozen=True)
class VirtualSource:
    """A centre's patients as a sequence of cases, grown as they are asked for."""

    centre: Centre
    count: int
    """Number of patients."""
    seed: int = 0
    """Seed of the cohort."""

    @property
    def protocol(self) -> Protocol:
        """What the centre annotates."""
        return self.centre.protocol

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Case]:
        return (self[index] for index in range(self.count))

    def __getitem__(self, index: int) -> Case:
        if not 0 <= index < self.count:
            raise IndexError(f"patient {index} of {self.count} at {self.centre.name}")
        return virtual_case(self.centre, index, self.seed)


def _store(case: Case, path: Path) -> None:
    if case.labels is None:
        raise ValueError(f"a case on the shelf needs labels, got {case.name!r} without; grow it.")
    with atomic_path(path) as part:
        np.savez(
            part,
            image=case.image.astype(np.int16),
            labels=case.labels,
            affine=case.affine,
            name=case.name,
            modality=case.modality,
            provenance=case.provenance,
            known=np.array(sorted(case.known)),
            ids=np.array(list(case.table), dtype=np.uint8),
            structures=np.array(list(case.table.values())),
        )


def _read(path: Path) -> Case:
    with np.load(path) as file:
        table = dict(zip(file["ids"].tolist(), file["structures"].tolist(), strict=True))
        return Case(
            name=str(file["name"]),
            image=file["image"].astype(np.float32),
            labels=file["labels"],
            affine=file["affine"],
            modality=str(file["modality"]),
            table=table,
            known=frozenset(file["known"].tolist()),
            provenance=str(file["provenance"]),
        )
