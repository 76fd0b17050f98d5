"""A source on another spacing: every case resampled once, when it is first asked for."""

from dataclasses import dataclass
from functools import cached_property

from fmtutor.data.cases import Case
from fmtutor.data.patches import Source
from fmtutor.data.regions import Protocol
from fmtutor.data.resampling import resample_case


@dataclass(frozen=True)
class RespacedSource:
    """The cases of a source, resampled and kept in memory.

    Example:
        >>> RespacedSource(VirtualSource(WIDE, 8), (4.0, 4.0, 4.0))[0].spacing_mm  # doctest: +SKIP
        (4.0, 4.0, 4.0)
    """

    source: Source
    """Cases on any spacing."""
    spacing_mm: tuple[float, float, float]
    """Voxel edges that all of them get."""

    @property
    def protocol(self) -> Protocol:
        """What is annotated."""
        return self.source.protocol

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Case:
        if index not in self._kept:
            self._kept[index] = resample_case(self.source[index], self.spacing_mm)
        return self._kept[index]

    @cached_property
    def _kept(self) -> dict[int, Case]:
        return {}
