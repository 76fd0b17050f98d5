"""Where the objects of interactive training come from: virtual centres, and a brain.

Each centre gives its own regions, the lesions that it draws among them. The brain's tissue maps are
free to use; an atlas of "brain_mni" is a source only on request, as its licence is non-commercial
and a network that learnt from it must not be shipped.
"""

from dataclasses import dataclass
from functools import cached_property

from fmtutor.data.anatomy import BRAIN_TABLES
from fmtutor.data.cases import Case
from fmtutor.data.domains import CENTRES, WIDE
from fmtutor.data.patches import Source
from fmtutor.data.regions import Protocol, Region
from fmtutor.data.resampling import resample_case
from fmtutor.data.samples import SAMPLES, load_sample
from fmtutor.data.shelf import VirtualSource

BRAIN_SPACING_MM = (2.0, 2.0, 2.0)
WIDE_SHARE = 0.55
"""Of the batches that show a torso, those of the wide centre; the others share the rest."""


@dataclass(frozen=True)
class BrainSource:
    """One brain as a source of objects."""

    atlas: str | None = None
    """None for tissues, or an atlas of "brain_mni" (non-commercial licences)."""

    @cached_property
    def protocol(self) -> Protocol:
        """Each tissue and the whole, or each parcel."""
        if self.atlas is not None:
            names = sorted(set(BRAIN_TABLES[self.atlas].values()))
            return Protocol(self.atlas, tuple(Region.of(name) for name in names))
        tissues = tuple(SAMPLES["brain_tissue"].labels)
        return Protocol("brain", (*map(Region.of, tissues), Region.of("brain", *tissues)))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Case:
        if index != 0:
            raise IndexError(f"brain {index} of 1")
        if self.atlas is None:
            case = load_sample("brain_tissue")
        else:
            case = load_sample("brain_mni", atlas=self.atlas)
        return resample_case(case, BRAIN_SPACING_MM)


def object_sources(
    *, patients: int = 16, wide_patients: int = 300, brain: float = 0.15
) -> tuple[list[Source], list[float]]:
    """Return what our interactive networks of volumes learn from, and how likely each source is.

    Args:
        patients: Virtual patients of each of the six centres.
        wide_patients: Virtual patients of the wide centre.
        brain: Share of the batches that show a brain.
    """
    centres: list[Source] = [VirtualSource(centre, patients) for centre in CENTRES.values()]
    share = (1 - brain) * (1 - WIDE_SHARE) / len(centres)
    sources = [*centres, VirtualSource(WIDE, wide_patients)]
    weights = [*[share] * len(centres), (1 - brain) * WIDE_SHARE]
    return (sources, weights) if brain == 0 else ([*sources, BrainSource()], [*weights, brain])
