"""A simulated crowd: people of differing skill annotate volumes by clicking on one model.

Everybody has the same model and the same number of clicks; what differs is the hand. The simulated
people know the truth and click where the answer is wrong, so that a *novice* here is clumsy, hasty
and sometimes slips, but never ignorant of anatomy: real novices have errors on top of these.

What it costs is a model too, `Costs`: named assumptions, and the click's price at which nothing
would be saved.

Source: Kulkarni et al., "Anytime, Anywhere, Anyone: Investigating the Feasibility of Segment
Anything Model for Crowd-Sourcing Medical Image Annotations", MIDL 2024. Taught in: 11
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from fmtutor.bench.annotation_quality import borders, majority, pairwise_dice, quality
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.cases import Case
from fmtutor.data.clicks import Clicker, human
from fmtutor.data.domains import Centre, region_of
from fmtutor.data.shelf import virtual_case
from fmtutor.engine.interaction import Clickable
from fmtutor.engine.metrics import dice

Mask = Bool[np.ndarray, "H W D"]
Open = Callable[[Case], Clickable]
"""Opens a session about one case, for one structure; `fmtutor.engine.session.Session` is one."""

SKILLS: dict[str, Clicker] = {
    "expert": Clicker(jitter_mm=1.0, slip=0.0, lazy=0.0, second=0.0),
    "trained": Clicker(),
    "novice": Clicker(jitter_mm=8.0, slip=0.1, lazy=0.5, second=0.3),
}
"""Name to skill: guesses, not measured on people, chosen to span what hands do."""
STRUCTURES = ("liver", "spleen", "kidney_left")
LEAST_ML = 10.0
"""What is cut off to less than this is not annotated: it counts as absent for everybody."""
FIRST_UNSEEN = 300
"""Patients of the wide centre below this number are in the training of the shipped networks."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds of people's time. ASSUMPTIONS: no one was timed on these volumes."""

    click_s: float = 5.0
    """A click, with the scrolling and looking before it. A guess."""
    look_s: float = 20.0
    """To open a structure and to accept its mask. A guess."""
    slice_s: float = 54.0
    """To outline a structure on one slice: the lower of two measurements on photographs, 54 and
    79 s an object (cited by Bearman et al., "What's the Point", ECCV 2016); CT will differ."""
    slice_mm: float = 5.0
    """Distance of the slices that are outlined; what lies between is interpolated."""

    def clicked(self, clicks: int) -> float:
        """Return the seconds of a structure made by so many clicks."""
        return self.look_s + clicks * self.click_s

    def outlined(self, truth: Mask, spacing_mm: Sequence[float]) -> float:
        """Return the seconds to outline a structure slice by slice."""
        slices = float(truth.any((0, 1)).sum()) * spacing_mm[2] / self.slice_mm
        return self.look_s + max(1.0, slices) * self.slice_s

    def break_even_s(self, clicks: int, truth: Mask, spacing_mm: Sequence[float]) -> float:
        """Return how long a click may take before clicking costs as much as outlining."""
        return (self.outlined(truth, spacing_mm) - self.look_s) / max(1, clicks)


@dataclass(frozen=True, eq=False, kw_only=True)
class Annotation:
    """What one person made of one structure."""

    mask: Mask
    clicks: int
    """Clicks made, those refused included."""
    refused: int
    """Clicks on a voxel clicked before with the other sign, which no session takes."""
    dice: tuple[float, ...]
    """With the truth, after each click."""


def annotate(
    session: Clickable,
    truth: Mask,
    clicker: Clicker,
    *,
    clicks: int,
    rng: np.random.Generator,
    spacing_mm: Sequence[float],
) -> Annotation:
    """Click a fixed number of times, and return what came of it.

    The first click is always positive: nobody begins with what is outside. A person stops early
    only where nothing is wrong.

    Args:
        session: Fresh, about the case that ``truth`` belongs to.
        truth: What the person has in mind.
        clicker: The person's skill.
        clicks: The budget.
        rng: All chance comes from here.
        spacing_mm: Voxel edges along H, W, D.
    """
    taken: dict[tuple[int, ...], bool] = {}
    scores: list[float] = []
    made = refused = 0
    for number in range(clicks):
        click = human(truth, session.mask(), rng, spacing_mm=spacing_mm, clicker=clicker)
        if click is None:
            break
        made += 1
        positive = click.positive or number == 0
        if taken.setdefault(click.point, positive) == positive:
            session.click(click.point, positive)
        else:
            refused += 1
        scores.append(dice(session.mask(), truth))
    mask = np.array(session.mask())
    return Annotation(mask=mask, clicks=made, refused=refused, dice=tuple(scores))


def truth_of(case: Case, structure: str) -> Mask:
    """Return the structure's mask by the scoring reading (a liver holds its lesions)."""
    return case.mask(*(s for s in region_of(structure).structures if s in _named(case)))


def worth_it(case: Case, structures: Sequence[str]) -> dict[str, Mask]:
    """Return the truth of each structure of which the scan shows at least `LEAST_ML`."""
    truths = {name: truth_of(case, name) for name in structures}
    return {n: t for n, t in truths.items() if t.sum() * case.grid.voxel_ml >= LEAST_ML}


def patients(
    centre: Centre, first: int, count: int, *, whole: bool, structures: Sequence[str] = STRUCTURES
) -> list[Case]:
    """Return virtual patients in whom structures are seen: all of them, or one at least.

    Args:
        centre: Where they are scanned.
        first: Number of the first patient that may be taken.
        count: How many are returned.
        whole: Whether all of the structures must be seen.
        structures: What is looked for.
    """
    wanted, found = len(structures) if whole else 1, list[Case]()
    for index in range(first, first + 100 * count):
        case = virtual_case(centre, index)
        if len(worth_it(case, structures)) >= wanted:
            found.append(case)
        if len(found) == count:
            break
    return found


def crowd(
    open_session: Open,
    case: Case,
    *,
    people: Mapping[str, int],
    clicks: int,
    structures: Sequence[str] = STRUCTURES,
) -> Iterator[tuple[str, dict[str, Annotation], Mask]]:
    """Let people annotate a case: yield each structure with everybody's annotation and the truth.

    Args:
        open_session: Opens a fresh session on the case.
        case: With labels, which the sessions never see.
        people: How many of each skill; they are called "novice-0", "novice-1", ...
        clicks: The budget of each person for each structure.
        structures: What is annotated, where there is enough of it.
    """
    for structure, truth in worth_it(case, structures).items():
        found = {}
        for skill, count in people.items():
            for number in range(count):
                found[f"{skill}-{number}"] = annotate(
                    open_session(case), truth, SKILLS[skill], clicks=clicks,
                    rng=rng_of("crowd", case.name, structure, skill, number),
                    spacing_mm=case.spacing_mm,
                )  # fmt: skip
        yield structure, found, truth


def annotation_rows(
    case: Case, structure: str, found: Mapping[str, Annotation], truth: Mask, costs: Costs
) -> list[dict[str, Any]]:
    """Return a row for each person, and one for the vote of the novices, where they are odd."""
    rows = []
    about = {"case": case.name, "structure": structure, "ml": truth.sum() * case.grid.voxel_ml}
    for name, made in found.items():
        rows.append({
            **about, "person": name, "skill": name.partition("-")[0], "clicks": made.clicks,
            "refused": made.refused, "by_click": list(made.dice),
            "seconds": costs.clicked(made.clicks),
            "outlined_s": costs.outlined(truth, case.spacing_mm),
            "break_even_s": costs.break_even_s(made.clicks, truth, case.spacing_mm),
            **quality(made.mask, truth, case.spacing_mm),
        })  # fmt: skip
    novices = [made for name, made in found.items() if name.startswith("novice")]
    if len(novices) % 2:
        rows.append({
            **about, "person": "vote", "skill": "vote", "clicks": sum(m.clicks for m in novices),
            "refused": 0, "by_click": [], "outlined_s": costs.outlined(truth, case.spacing_mm),
            "seconds": sum(costs.clicked(made.clicks) for made in novices),
            "break_even_s": costs.break_even_s(
                sum(m.clicks for m in novices), truth, case.spacing_mm
            ),
            **quality(majority([m.mask for m in novices]), truth, case.spacing_mm),
        })  # fmt: skip
    return rows


def agreement_rows(
    case: Case, structure: str, found: Mapping[str, Annotation], truth: Mask
) -> list[dict[str, Any]]:
    """Return, for each skill with several people, how they agree and what their borders share."""
    rows = []
    for skill in SKILLS:
        masks = [made.mask for name, made in found.items() if name.startswith(f"{skill}-")]
        if len(masks) < 2 or sum(mask.any() for mask in masks) < 2:
            continue
        shift = borders(masks, truth, case.spacing_mm)
        rows.append({
            "case": case.name, "structure": structure, "skill": skill, "people": len(masks),
            "pairwise_dice": float(np.nanmean(pairwise_dice(masks))),
            "dice": float(np.mean([dice(mask, truth) for mask in masks])), **vars(shift),
        })  # fmt: skip
    return rows


def _named(case: Case) -> set[str]:
    return set(case.table.values()) | set(case.known)
