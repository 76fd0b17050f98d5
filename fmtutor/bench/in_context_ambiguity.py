"""A task with two right answers, asked of systems that give one mask and of systems that give many.

Does the organ include its tumour? The slices are of virtual patients that no training saw. The
support decides what is right: all examples *with* the tumour or all *without* leave one answer,
a *mixed* support leaves both. (Only for the liver do the cohort's protocols contradict each other;
the kidney's second reading is ours.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from fmtutor.core.seeds import rng as rng_of
from fmtutor.core.seeds import torch_rng
from fmtutor.data.ambiguity import AmbiguousSlice, ambiguous_slices
from fmtutor.data.domains import CENTRES, LESIONS
from fmtutor.data.shelf import virtual_case
from fmtutor.data.slices import SquareFrame
from fmtutor.engine.uncertainty import (
    best_candidate_dice,
    generalised_energy_distance,
    matched_iou,
    mean_dice,
    reliability,
    sample_diversity,
)
from fmtutor.paradigms.incontext.candidates import by_augmentation

KINDS = ("mixed", "with", "without")
ORGANS = {"liver": "liver_unit", "kidney_left": "kidney_unit"}
"""Organ to the centre whose patients have lesions of it."""
FIRST_UNSEEN = 16
"""Patients of a centre below this number are in the training."""
CANDIDATES = 8
SUPPORT = 8
Query: TypeAlias = Tensor
Pairs: TypeAlias = Tensor
Ask = Callable[[Query, Pairs, Pairs, int], Tensor]


@dataclass(frozen=True, eq=False)
class Ambiguous:
    """A slice in the square of the network, with both answers."""

    image: Tensor
    """(1, size, size)."""
    answers: Tensor
    """(2, size, size) float: with the lesion, and without."""
    source: AmbiguousSlice


def ambiguous_pool(
    organ: str, *, patients: int, size: int, per_patient: int = 3
) -> list[Ambiguous]:
    """Return slices on which the lesion is at least a tenth of the organ, of unseen patients.

    Args:
        organ: A key of `ORGANS`.
        patients: How many patients to look through; those without a lesion give nothing.
        size: Pixels along each side.
        per_patient: Slices kept of each patient, evenly spread.
    """
    pool, centre = [], CENTRES[ORGANS[organ]]
    for index in range(FIRST_UNSEEN, FIRST_UNSEEN + patients):
        found = ambiguous_slices(virtual_case(centre, index), organ, LESIONS[organ], least=0.1)
        step = max(1, len(found) // per_patient)
        pool += [_squared(one, size) for one in found[step // 2 :: step][:per_patient]]
    return pool


def _squared(one: AmbiguousSlice, size: int) -> Ambiguous:
    frame = SquareFrame(shape=one.image.shape, spacing_mm=one.spacing_mm, size=size)  # type: ignore[arg-type]
    return Ambiguous(frame.image(one.image[None])[0], frame.mask(one.answers)[:, 0], one)


def systems(models: Mapping[str, nn.Module]) -> dict[str, Ask]:
    """Return the systems: Tyche, Tyche-IS upon UniverSeg, and UniverSeg, which has one answer.

    Each takes query, support images and masks, and a seed; it gives probabilities (M, *grid).
    """

    def tyche(query: Query, images: Pairs, masks: Pairs, seed: int) -> Tensor:
        shape = (1, CANDIDATES, *query.shape[1:])
        noise = torch.randn(shape, generator=torch_rng("ambiguity", seed))
        return models["tyche"](query, images, masks, noise=noise)[0]

    def tyche_is(query: Query, images: Pairs, masks: Pairs, seed: int) -> Tensor:
        return by_augmentation(
            models["universeg"], query, images, masks,
            candidates=CANDIDATES, generator=rng_of("ambiguity", seed),
        )[0]  # fmt: skip

    def universeg(query: Query, images: Pairs, masks: Pairs, seed: int) -> Tensor:
        return models["universeg"](query, images, masks)[0]

    every = {"tyche": tyche, "tyche_is": tyche_is, "universeg": universeg}
    needs = {"tyche": "tyche", "tyche_is": "universeg", "universeg": "universeg"}
    return {name: ask for name, ask in every.items() if needs[name] in models}


@torch.inference_mode()
def ambiguity(
    models: Mapping[str, nn.Module],
    *,
    patients: int,
    draws: int,
    size: int = 64,
    most: int | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Score every system on every slice, with each kind of support.

    Args:
        models: "universeg" and "tyche", or one of them.
        patients: Of each centre that are looked through for lesions.
        draws: Supports per slice and kind.
        size: Pixels along each side.
        most: Slices asked about of each organ; None asks about all.

    Returns:
        Rows of scores, and the reliability of the mean probability under a mixed support.
    """
    rows: list[dict[str, Any]] = []
    pixels: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for organ in ORGANS:
        pool = ambiguous_pool(organ, patients=patients, size=size)
        for number, asked in enumerate(pool[:most]):
            others = [one for one in pool if one.source.case != asked.source.case]
            for kind in KINDS:
                for draw in range(draws):
                    about = {
                        "organ": organ, "case": asked.source.case, "slice": asked.source.index,
                        "support_kind": kind, "support": SUPPORT, "draw": draw,
                    }  # fmt: skip
                    rng = rng_of("ambiguity", organ, number, kind, draw)
                    images, masks = support_of(others, kind, rng)
                    right = _right(asked, kind)
                    for name, ask in systems(models).items():
                        logits = ask(asked.image[None], images, masks, draw)
                        probability = logits.float().sigmoid().numpy()
                        rows.append({**about, "system": name, **scores(probability, right)})
                        if kind == "mixed":
                            pixels.setdefault(name, []).append(
                                (probability.mean(0), asked.answers.mean(0).numpy())
                            )
    return rows, _reliability(pixels)


def support_of(
    others: Sequence[Ambiguous], kind: str, rng: np.random.Generator
) -> tuple[Pairs, Pairs]:
    """Draw a support: slices of other patients, each with the reading that ``kind`` says.

    Raises:
        ValueError: There are fewer slices than a support takes.
    """
    if len(others) < SUPPORT:
        raise ValueError(f"a support takes {SUPPORT} slices, got {len(others)}; use more patients.")
    chosen = [others[i] for i in rng.permutation(len(others))[:SUPPORT]]
    readings = {
        "mixed": rng.permutation(np.arange(SUPPORT) % 2),
        "with": np.zeros(SUPPORT, int),
        "without": np.ones(SUPPORT, int),
    }[kind]
    images = torch.stack([one.image for one in chosen])
    masks = [one.answers[None, r] for one, r in zip(chosen, readings, strict=True)]
    return images[None], torch.stack(masks)[None]


def _right(asked: Ambiguous, kind: str) -> np.ndarray:
    """Return the answers that are right under a kind of support, (1 or 2, *grid) bool."""
    kept = {"mixed": (0, 1), "with": (0,), "without": (1,)}[kind]
    return asked.answers[list(kept)].numpy() > 0.5


def scores(probability: np.ndarray, right: np.ndarray) -> dict[str, float | int]:
    """Return every score of candidates (M, *grid) against the right answers (R, *grid)."""
    masks = probability > 0.5
    return {
        "candidates": len(masks),
        "best": best_candidate_dice(masks, right),
        "mean": mean_dice(masks, right),
        "diversity": sample_diversity(masks) if len(masks) > 1 else 0.0,
        "ged": generalised_energy_distance(masks, right),
        "matched_iou": matched_iou(masks, right),
    }


def _reliability(
    pixels: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
) -> list[dict[str, Any]]:
    rows = []
    for name, pairs in pixels.items():
        said, true = (np.stack([pair[i] for pair in pairs]) for i in (0, 1))
        frame = reliability(said, true).dropna()
        rows += [{"system": name, **row} for row in frame.to_dict("records")]
    return rows
