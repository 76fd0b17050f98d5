"""Centres of the virtual cohort: who is scanned, on what, and what is annotated, by which rules.

A *domain* is a set of ranges (demography, contrast phase, field of view, scanner); a *centre* is a
domain and a protocol. The six training centres repeat what the public datasets do to each other:
each annotates a part of the body, "liver" contains the lesion for one and not for the next, two
kidneys are one class somewhere, and the aorta ends where a protocol says that it ends. The target
centre has ranges of its own outside theirs and annotates everything, for scoring.
"""

from dataclasses import dataclass

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import expand
from fmtutor.data.regions import Protocol, Region

Range = tuple[int | float, int | float]
LESIONS = {
    "liver": "liver_lesion",
    "kidney_left": "kidney_lesion_left",
    "kidney_right": "kidney_lesion_right",
}
"""Organ to the structure that its inserted lesions are labelled with."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Ranges that virtual patients and their scans are drawn from, uniformly unless said."""

    scale_inplane: Range = (0.88, 1.08)
    """Body size along H and W relative to the template; the template is a large patient."""
    scale_axial: Range = (0.88, 1.12)
    """Body size along D."""
    roll_deg: float = 6.0
    """Standard deviation of the rotation about the foot-head axis."""
    coarse_mm: Range = (6.0, 14.0)
    """Velocity noise with control points every 90 mm."""
    fine_mm: Range = (2.0, 6.0)
    """Velocity noise with control points every 36 mm."""
    fat_mm: Range = (-12.0, 10.0)
    """Movement of the skin."""
    organ_log_size: float = 0.22
    """Standard deviation of the log of an organ's linear size."""
    organ_push_mm: float = 9.0
    """Standard deviation of an organ's displacement along each axis."""
    removal: tuple[tuple[str, float], ...] = (
        ("gallbladder", 0.15),
        ("spleen", 0.04),
        ("kidney_left", 0.04),
    )
    """Organs that may have been resected, with the probability."""
    lesion: tuple[tuple[str, float], ...] = ()
    """Organs that may bear lesions, with the probability."""
    phases: tuple[tuple[str, float], ...] = (
        ("none", 1.0),
        ("arterial", 1.0),
        ("portal", 2.0),
        ("delayed", 1.0),
    )
    """Contrast phases with their weights."""
    phase_jitter: float = 0.35
    """Standard deviation of the log of an organ's enhancement."""
    organ_hu: float = 12.0
    """Standard deviation of each organ's own HU offset."""
    texture_hu: Range = (0.0, 12.0)
    """Standard deviation of smooth texture inside organs."""
    synthetic: float = 0.0
    """Share of scans whose intensities are drawn anew for each structure (as SynthSeg does)."""
    noise_hu: Range = (4.0, 25.0)
    """Standard deviation of the scanner's noise."""
    kernel: Range = (-0.6, 0.8)
    """Reconstruction kernel: blur sigma in voxels; negative sharpens by that amount."""
    slice_mm: Range = (3.0, 5.0)
    """Slice thickness."""
    length_mm: Range = (120.0, 336.0)
    """Length of the scan along the body."""
    slab: float = 0.0
    """Share of scans that are thin slabs of 40 to 80 mm."""
    arms: float = 0.0
    """Share of patients with their arms beside the body."""
    table: float = 0.5
    """Share of scans with a couch in view, beyond the template's own."""


@dataclass(frozen=True)
class Centre:
    """A domain and what is annotated there."""

    domain: Domain
    protocol: Protocol

    @property
    def name(self) -> str:
        """Name of the centre."""
        return self.protocol.name


VERTEBRAE = expand("vertebrae")
"""Any vertebra of any label table; S1 belongs to the sacrum, which is novel."""
AORTA_PARTS = ("aorta", "aorta_suprarenal", "aorta_infrarenal")
"""The whole aorta, under every name that a label table may give its parts."""

FULL = {
    "liver": Region.of("liver", "liver", "liver_lesion"),
    "kidney_left": Region.of("kidney_left", "kidney_left", "kidney_lesion_left"),
    "kidney_right": Region.of("kidney_right", "kidney_right", "kidney_lesion_right"),
    "aorta": Region.of("aorta", *AORTA_PARTS),
    "vertebrae": Region.of("vertebrae", *VERTEBRAE),
}
"""The reading used for scoring, for names whose region is more than one structure."""

_BARE_LIVER = Region.of("liver", "liver")
_LIVER_LESION = Region.of("liver_lesion")
_KIDNEY_LESION = Region.of("kidney_lesion", "kidney_lesion_left", "kidney_lesion_right")
_BOTH_KIDNEYS = Region("kidneys", FULL["kidney_left"].structures | FULL["kidney_right"].structures)
_INFRARENAL_AORTA = Region.of("aorta", "aorta_infrarenal")


def region_of(name: str) -> Region:
    """Return the scoring region of a name: organs with their lesions, the aorta whole."""
    return FULL.get(name, Region.of(name))


def _protocol(name: str, *regions: str | Region) -> Protocol:
    return Protocol(name, tuple(region_of(r) if isinstance(r, str) else r for r in regions))


def _phases(*names: str) -> tuple[tuple[str, float], ...]:
    return tuple((name, 1.0) for name in names)


CENTRES: dict[str, Centre] = {
    centre.name: centre
    for centre in (
        Centre(  # as LiTS: the liver includes its tumour, nothing else is drawn
            Domain(
                phases=_phases("portal"),
                lesion=(("liver", 0.7),),
                noise_hu=(8, 18),
                slice_mm=(3, 5),
            ),
            _protocol("liver_unit", "liver", _LIVER_LESION),
        ),
        Centre(  # as KiTS: arterial phase, kidneys include their tumours
            Domain(
                phases=_phases("arterial"),
                lesion=(("kidney_left", 0.4), ("kidney_right", 0.4)),
                noise_hu=(6, 14),
            ),
            _protocol("kidney_unit", "kidney_left", "kidney_right", _KIDNEY_LESION),
        ),
        Centre(  # as BTCV: many organs; a lesion is NOT liver: it contradicts the liver unit
            Domain(
                phases=_phases("portal", "delayed"),
                lesion=(("liver", 0.5),),
                noise_hu=(10, 22),
                kernel=(-0.6, 0.2),
            ),
            _protocol(
                "abdomen_atlas",
                "spleen",
                "kidney_left",
                "kidney_right",
                "gallbladder",
                _BARE_LIVER,
                "stomach",
                "aorta",
                "inferior_vena_cava",
                "pancreas",
            ),
        ),
        Centre(  # as WORD: the bowel, on low-dose scans without contrast
            Domain(phases=_phases("none"), noise_hu=(15, 28), kernel=(0.2, 0.8)),
            _protocol(
                "bowel_unit", "stomach", "duodenum", "small_bowel", "colon", "urinary_bladder"
            ),
        ),
        Centre(  # a spine clinic: slabs, and an aorta that begins below the kidneys
            Domain(
                phases=_phases("none", "delayed"), slab=0.5, slice_mm=(3, 3.5), noise_hu=(6, 16)
            ),
            _protocol("spine_clinic", "vertebrae", "spinal_cord", _INFRARENAL_AORTA),
        ),
        Centre(  # as AbdomenCT-1K: both kidneys are one class; arms down, thick slices
            Domain(
                phases=_phases("none", "portal", "delayed"),
                arms=0.5,
                table=0.8,
                slice_mm=(4, 6),
                lesion=(("liver", 0.3),),
            ),
            _protocol("survey", "liver", _BOTH_KIDNEYS, "spleen", "pancreas", "urinary_bladder"),
        ),
    )
}
"""The training centres."""

TARGET = Centre(
    Domain(
        scale_inplane=(0.78, 0.86),
        scale_axial=(0.80, 0.87),
        fat_mm=(-20, -13),
        coarse_mm=(14, 18),
        fine_mm=(6, 7.5),
        phases=_phases("arterial", "portal"),
        phase_jitter=0.5,
        organ_hu=18.0,
        noise_hu=(28, 40),
        slice_mm=(6.0, 8.0),
        arms=1.0,
        table=1.0,
    ),
    _protocol(
        "target_hospital",
        "spleen",
        "kidney_left",
        "kidney_right",
        "gallbladder",
        "liver",
        "stomach",
        "pancreas",
        "duodenum",
        "aorta",
        "inferior_vena_cava",
        "small_bowel",
        "colon",
        "urinary_bladder",
        "spinal_cord",
        "vertebrae",
        _LIVER_LESION,
    ),
)
"""The unseen centre: smaller, leaner patients, noisier and thicker scans than any other."""


WIDE = Centre(
    Domain(
        scale_inplane=(0.75, 1.1),
        scale_axial=(0.8, 1.15),
        roll_deg=8.0,
        fat_mm=(-22, 12),
        coarse_mm=(6, 20),
        fine_mm=(2, 8),
        organ_log_size=0.3,
        organ_push_mm=13.0,
        phase_jitter=0.5,
        organ_hu=20.0,
        synthetic=0.33,
        removal=(("gallbladder", 0.2), ("spleen", 0.05), ("kidney_left", 0.05)),
        lesion=(("liver", 0.2),),
        noise_hu=(3, 27),
        slice_mm=(3, 5.9),
        slab=0.5,
        arms=0.4,
        table=0.7,
        length_mm=(80, 336),
    ),
    _protocol(
        "wide",
        "spleen",
        "kidney_left",
        "kidney_right",
        "gallbladder",
        "liver",
        "stomach",
        "pancreas",
        "duodenum",
        "aorta",
        "inferior_vena_cava",
        "small_bowel",
        "colon",
        "urinary_bladder",
        "spinal_cord",
        "vertebrae",
    ),
)
"""A fully annotated centre with the widest ranges: what the shipped model learns from."""


def centre(name: str) -> Centre:
    """Return a centre by name, the target and the wide one included.

    Raises:
        ValueError: There is no such centre.
    """
    return lookup({**CENTRES, TARGET.name: TARGET, WIDE.name: WIDE}, name, "centre")
