"""Loss templates of published systems: which dataset teaches which of a system's classes.

A system that masks its loss needs, for every dataset, the list of classes its labels can be trusted
for. Laid side by side these lists show what the size of an assembly hides: most scans teach the
same few organs, and a vessel or a tumour hangs on one dataset.
Files: ``tables/templates/*.csv`` with key, dataset, use, classes (canonical names, in channel
order). ``dataset`` is a card of `fmtutor.data.catalog`; a dataset has several keys where its scans
are not all annotated alike. A template is what the loss trusts, not what the card says: BTCV's has
the duodenum, which later annotators added, and TotalSegmentator's, for evaluation only, the hepatic
vessels, which its labels lack.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from fmtutor.core.tables import lookup
from fmtutor.data.anatomy import read_table
from fmtutor.data.taxonomies import taxonomy

TEMPLATES: Mapping[str, str] = {
    "clip_driven": "CLIP-Driven Universal Model: 20 templates over 19 datasets, 17 templates train",
}
"""The systems whose templates there are, with a line on each."""

USES = ("train", "evaluation", "private", "unlisted")
"""What a template serves: training; evaluation only; data nobody else has; no list of scans."""


@dataclass(frozen=True, kw_only=True)
class LossTemplate:
    """The classes that one dataset's labels teach."""

    key: str
    """The dataset's number in the system's own lists."""
    dataset: str
    """Name of its card in the catalog."""
    use: str
    """One of `USES`."""
    classes: tuple[str, ...]
    """Canonical names of the classes its labels are trusted for, in channel order."""


@cache
def templates(name: str) -> tuple[LossTemplate, ...]:
    """Return the loss templates of a published system.

    Raises:
        ValueError: There are none of that name, or the file breaks a rule.
    """
    lookup(TEMPLATES, name, "loss templates")
    rows = tuple(
        LossTemplate(
            key=row["key"],
            dataset=row["dataset"],
            use=row["use"],
            classes=tuple(row["classes"].split()),
        )
        for row in read_table(f"templates/{name}.csv")
    )
    known = {row.name for row in taxonomy(name)}
    for row in rows:
        if wrong := [used for used in row.classes if used not in known]:
            raise ValueError(
                f"template {row.key!r} of {name!r}: {wrong} are no classes of that system; "
                f"see tables/taxonomies/{name}.csv."
            )
        if row.use not in USES:
            raise ValueError(
                f"template {row.key!r} of {name!r}: use is one of {USES}, got {row.use!r}."
            )
    return rows


def supervision(name: str, uses: Collection[str] = ("train",)) -> dict[str, tuple[str, ...]]:
    """Return which datasets teach each class of a system.

    Args:
        name: A system of `TEMPLATES`.
        uses: Which templates count, of `USES`.

    Returns:
        Canonical class name to dataset cards, in the order of the channels and of the templates;
        empty for a class that no dataset teaches. Datasets may share scans (LiTS and the liver
        task of the MSD are the same scans), so a count of two can be one source.

    Raises:
        ValueError: There are no templates of that name.

    Example:
        >>> supervision("clip_driven")["hepatic_vessels"]
        ('msd_hepatic_vessel',)
    """
    rows = [row for row in templates(name) if row.use in uses]
    return {
        structure: tuple(dict.fromkeys(row.dataset for row in rows if structure in row.classes))
        for structure in (row.name for row in taxonomy(name) if row.annotated)
    }
