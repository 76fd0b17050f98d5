"""How the tensors of a file compare with a published layout, said in full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from fmtutor.hub.entry import Slot
from fmtutor.hub.layouts import COUNTER, PUBLISHED, slots_of

ALIKE = 0.9
"""Share of a layout's tensors from which a file counts as nearly of that layout."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The comparison of one file with one published layout; names are those of the file."""

    name: str
    """The published checkpoint that was asked for."""
    file: str
    """Name of the file."""
    names: Mapping[str, str]
    """Every matched tensor, and what we call it."""
    missing: tuple[str, ...]
    """Tensors that the layout has and the file does not."""
    unexpected: tuple[str, ...]
    """Tensors that the file has and the layout does not."""
    clashes: tuple[str, ...]
    """Tensors of another shape, with both shapes."""
    ignored: tuple[str, ...]
    """Entries left out on purpose: training states, heads that are not rebuilt."""
    hints: tuple[str, ...]
    """What the file seems to be instead."""

    @property
    def ok(self) -> bool:
        """Whether every tensor matches."""
        return not (self.missing or self.unexpected or self.clashes)

    def text(self, *, most: int | None = None) -> str:
        """Say it, one line a kind.

        Args:
            most: Names to list of each kind; None lists all.
        """
        expected = len(self.names) + len(self.missing) + len(self.clashes)
        verdict = "all match" if self.ok else f"{len(self.names)} match"
        lines = [f"{self.file} must hold {self.name}: of its {expected} tensors {verdict}."]
        lines += [f"{hint}." for hint in self.hints]
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "wrong shape": self.clashes,
            "ignored": self.ignored,
        }
        lines += [f"{kind}: {_listed(names, most)}" for kind, names in kinds.items() if names]
        return "\n".join(lines)


def compare(
    name: str,
    expected: Mapping[str, Slot],
    found: Mapping[str, Tensor],
    *,
    file: str,
    ignored: Sequence[str] = (),
    converted: str = "",
) -> Report:
    """Compare the tensors of a file with those that a layout asks for.

    Args:
        name: The published checkpoint.
        expected: Its tensors by the file's names, see `fmtutor.hub.layouts.slots`.
        found: Tensors of the file, prefixes gone.
        file: Name of the file, for the report.
        ignored: Entries that were left out before.
        converted: The published name in the header of a converted file.
    """
    both = expected.keys() & found.keys()
    fit = {key for key in both if tuple(found[key].shape) == expected[key].shape}
    missing = tuple(sorted(key for key in expected.keys() - both if not key.endswith(COUNTER)))
    unexpected = tuple(sorted(found.keys() - both))
    clashes = tuple(
        f"{key} is {tuple(found[key].shape)}, should be {expected[key].shape}"
        for key in sorted(both - fit)
    )
    hints: tuple[str, ...] = ()
    if converted and converted != name:
        hints = (f"it was converted from {converted}: ask for that name",)
    elif missing or unexpected or clashes:
        hints = (*class_hint(name, expected, found), *likely(name, found))
    return Report(
        name=name,
        file=file,
        names={key: expected[key].name for key in expected if key in fit},
        missing=missing,
        unexpected=unexpected,
        clashes=clashes,
        ignored=tuple(ignored),
        hints=hints,
    )


def class_hint(
    name: str, expected: Mapping[str, Slot], found: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Say that a file has another number of classes, which no loader can mend."""
    key = PUBLISHED[name].classes
    if key not in found or key not in expected or found[key].ndim == 0:
        return ()
    theirs, ours = found[key].shape[0], expected[key].shape[0]
    if theirs == ours:
        return ()
    return (
        f"its {key} has {theirs} classes where {name} has {ours}: channels of another class list "
        "mean other structures, so they are not cut or padded",
    )


def likely(name: str, found: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Name the published checkpoints whose layout a file has, or nearly has."""
    scores = {}
    for other, entry in PUBLISHED.items():
        shapes = {
            key: slot.shape for key, slot in slots_of(other).items() if not key.endswith(COUNTER)
        }
        names = {
            key
            for key in found
            if not key.endswith(COUNTER) and not (entry.dropped and key.startswith(entry.dropped))
        }
        good = sum(key in names and tuple(found[key].shape) == shapes[key] for key in shapes)
        scores[other] = good / len(shapes.keys() | names)
    if whole := [other for other, score in scores.items() if score == 1 and other != name]:
        return (f"its tensors are those of {' or '.join(whole)}: ask for that name",)
    best = max(scores, key=lambda other: scores[other])
    if scores[best] >= ALIKE and best != name and scores[name] < ALIKE:
        return (f"it is nearest to {best}, {scores[best]:.0%} of whose tensors match",)
    return ()


def _listed(names: Sequence[str], most: int | None) -> str:
    shown = names if most is None else names[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
