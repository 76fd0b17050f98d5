"""The card of a system: where it comes from and how ours differs from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Card:
    """Provenance of one paradigm file, read by the notebooks, the contracts and the README."""

    name: str
    """The system's name as the field spells it."""
    title: str
    """Title of the paper."""
    year: int
    """Year of publication."""
    paper: str
    """Public address of the paper."""
    code: str
    """Public address of the original code, or "none"."""
    licence_code: str
    """Licence of the original's code; we use facts only, whatever it says."""
    licence_weights: str
    """Licence of the original's weights, or "none published"."""
    deviations: tuple[str, ...]
    """Each way in which ours differs from the published model."""
    notebook: str
    """Number of the notebook that teaches it, such as "02"."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Contracts that do not apply, each with the reason."""
