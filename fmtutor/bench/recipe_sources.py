"""Which virtual patients teach a recipe of `fmtutor.bench.training`, and how often each centre."""

from typing import Any

from fmtutor.data.domains import WIDE
from fmtutor.data.patches import Source
from fmtutor.data.respaced import RespacedSource
from fmtutor.data.shelf import VirtualSource


def virtual_sources(recipe: Any) -> list[Source]:
    """Return the centres' patients on the recipe's spacing."""
    sources: list[Source] = []
    for centre in recipe.centres:
        many = recipe.wide_patients if centre.name == WIDE.name else 0
        source = VirtualSource(centre, many or recipe.patients)
        spacing_mm = recipe.config.spacing_mm
        sources.append(RespacedSource(source, spacing_mm) if recipe.respaced else source)
    return sources


def source_weights(recipe: Any) -> list[float] | None:
    """Return how often each centre is drawn, or None where all are alike."""
    if not recipe.wide_share:
        return None
    rest = (1 - recipe.wide_share) / (len(recipe.centres) - 1)
    return [recipe.wide_share if c.name == WIDE.name else rest for c in recipe.centres]
