"""`Case`: an image that never travels without its geometry, its labels and what they know."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fmtutor.core.geometry import Grid


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One volume, oriented to RAS, with an optional categorical label map on the same grid."""

    name: str
    """Name of the case, unique within its dataset."""
    image: np.ndarray
    """float32 (H, W, D): HU for CT, raw intensities otherwise."""
    affine: np.ndarray
    """4x4, voxel indices of ``image`` to RAS+ mm."""
    modality: str = "CT"
    """"CT" or "MR"."""
    labels: np.ndarray | None = None
    """Integer (H, W, D) label map, 0 where nothing is labelled."""
    table: Mapping[int, str] = field(default_factory=dict)
    """Label id to canonical structure name."""
    known: frozenset[str] = frozenset()
    """Structures whose absence in ``labels`` means absence in the patient (annotated ones)."""
    native: Grid | None = None
    """The grid of the file this was read from, for the way back."""
    provenance: str = ""
    """Where it comes from: a source, a sha256, or the seed it was grown from."""

    @property
    def grid(self) -> Grid:
        """The grid of ``image``."""
        return Grid(tuple(self.image.shape), self.affine)  # type: ignore[arg-type]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths along H, W, D."""
        return self.grid.spacing_mm

    def mask(self, *structures: str) -> np.ndarray:
        """Return the boolean union of these structures.

        Raises:
            ValueError: There are no labels, or a structure is neither in the table nor known.
        """
        if self.labels is None:
            raise ValueError(f"case {self.name!r} has no labels; read it with a label file.")
        ids = {name: number for number, name in self.table.items()}
        if missing := [name for name in structures if name not in ids and name not in self.known]:
            raise ValueError(
                f"case {self.name!r} does not annotate {missing}; it knows {sorted(self.known)}."
            )
        return np.isin(self.labels, [ids[name] for name in structures if name in ids])

    def volume_ml(self, *structures: str) -> float:
        """Return the volume of the union of these structures in millilitres."""
        return float(self.mask(*structures).sum()) * self.grid.voxel_ml

    def with_image(self, image: np.ndarray) -> "Case":
        """Return the same case with other intensities on the same grid."""
        return replace(self, image=image)
