"""What kind of image a dataset has, as the modality priors of Hermes name it.

Our virtual centres are all CT, but differ in contrast phase; the phase is their modality.
"""

from fmtutor.data.domains import CENTRES

PHASES = {"none": "CT plain", "arterial": "CT arterial", "portal": "CT portal"}
"""Contrast phase of a virtual centre to the modality it stands for."""
PUBLISHED = {
    **dict.fromkeys(("lits", "kits", "bcv", "structseg_thorax", "structseg_head"), "CT"),
    **{"autopet": "PET", "brain": "T1 MRI", "mnm": "cine MRI"},
}
"""Hermes' datasets to their modality, where it is one: AMOS is CT and MR, CHAOS is T1 and T2."""


def modality_of(dataset: str) -> str:
    """Return the modality of all scans of a dataset, or "" where it is mixed or not known.

    Args:
        dataset: A virtual centre, or one of Hermes' datasets.

    Example:
        >>> modality_of("liver_unit"), modality_of("survey"), modality_of("autopet")
        ('CT portal', '', 'PET')
    """
    if dataset not in CENTRES:
        return PUBLISHED.get(dataset, "")
    phases = CENTRES[dataset].domain.phases
    return PHASES.get(phases[0][0], "") if len(phases) == 1 else ""
