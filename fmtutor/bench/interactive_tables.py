"""Rows in the form of two tables: points slice by slice against points in 3D, and kinds of prompts.

*Points* is the table of SAM-Med3D (Wang et al., 2023): a 2D system needs a point on each of the N
slices that show the structure, hence N, 3N or 5N of them; a 3D system 1, 3, 5 or 10 in all.
*Prompts* is that of MA-SAM (Chen et al., 2024) and 3DSAM-adapter (Gong et al., 2024): no prompt, a
tight box, a relaxed box, 10 points, with two numbers beside them that those tables lack: what the
box is worth unlooked at, and what a network of fixed classes gives without any prompt.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from fmtutor.bench.interactive_questions import Question
from fmtutor.bench.interactive_scores import Rows, network_row
from fmtutor.core.ask import Classes
from fmtutor.core.seeds import rng as rng_of
from fmtutor.data.boxes import asked, bare_dice, per_slice, per_slice_mask, relaxed, tight
from fmtutor.data.cases import Case
from fmtutor.data.clicks import simulate
from fmtutor.engine.interaction import Protocol
from fmtutor.engine.metrics import dice
from fmtutor.engine.session import Session
from fmtutor.engine.slice_session import segment_slices, slice_session
from fmtutor.hub.models import bare_names
from fmtutor.paradigms import config_of

POINTS_2D = (1, 3, 5)
"""Points of each slice."""
POINTS_3D = (1, 3, 5, 10)
"""Points of the volume."""
RELAXED = 0.1
"""A relaxed box's sides move outward by up to this share of its edges."""
Models = Mapping[str, nn.Module]
Corners = np.ndarray
"""A box of `fmtutor.data.boxes`, (2, 3) of a volume or (2, 2) of a slice."""
Curves = Callable[[str, nn.Module, Question], Mapping[str, Any]]
"""Gives a 3D network's curve of ten clicks by "centre", made before or now."""
Automatic = tuple[nn.Module, ModuleType]
"""A network of fixed classes and its paradigm module."""


def centre_curve(name: str, model: nn.Module, question: Question) -> dict[str, Any]:
    """Return the curve of ten clicks by "centre" of a 3D network."""
    return network_row(name, model, question, Protocol(simulator="centre"))


def point_rows(
    flat: Models, volumes: Models, question: Question, *, curves: Curves = centre_curve
) -> Rows:
    """Return Dice after points: a 2D network on every slice of the structure, 3D ones in all.

    The points of both are clicked by "centre", so that nothing is drawn.

    Args:
        flat: 2D networks by name.
        volumes: 3D networks by name.
        question: What is asked.
        curves: Where the 3D networks' answers come from.

    Returns:
        Rows of the question's `about`, system, dims, slices (N), per (points of a slice, or of
        the volume), points (in all), dice, seconds (of the system, embedding included).
    """
    rows: Rows = []
    for name, model in flat.items():
        rows += slice_points(name, model, question)
    for name, model in volumes.items():
        curve = curves(name, model, question)
        rows += volume_points(curve, slices_of_truth(question))
    return rows


def volume_points(curve: Mapping[str, Any], slices: int) -> Rows:
    """Return the rows of a curve (`network_row`) after 1, 3, 5 and 10 clicks."""
    about = {k: curve[k] for k in ("volume", "case", "structure", "seen", "ml", "system")}
    return [
        {**about, "dims": 3, "slices": slices, "per": points, "points": points,
         "dice": curve["dice"][points], "seconds": round(sum(curve["seconds"][:points]), 4)}
        for points in POINTS_3D
    ]  # fmt: skip


def slice_points(name: str, model: nn.Module, question: Question) -> Rows:
    """Return Dice after 1, 3 and 5 points on each slice that shows the structure."""
    session = slice_session(model, question.case)
    truth, rng = question.mask, rng_of("slice points", question.key)
    depths = np.flatnonzero(truth.any((0, 1))).tolist()
    about = {**question.about(), "system": name, "dims": 2, "slices": len(depths)}
    seconds, made, rows = 0.0, 0, []
    said: dict[tuple[int, ...], bool] = {}
    for turn in range(1, max(POINTS_2D) + 1):
        for depth in depths:
            answer, aim = session.mask()[..., depth], truth[..., depth]
            spacing = question.case.spacing_mm[:2]
            click = simulate("centre", aim, np.array(answer), rng, spacing_mm=spacing)
            if click is None:
                continue
            made += 1
            point = (*click.point, depth)
            if said.setdefault(point, click.positive) != click.positive:
                continue  # no session takes a voxel as inside and outside
            began = time.perf_counter()
            session.click(point, click.positive)
            seconds += time.perf_counter() - began
        if turn in POINTS_2D:
            score = round(dice(session.mask(), truth), 4)
            rows.append({**about, "per": turn, "points": made, "dice": score,
                         "seconds": round(seconds, 4)})  # fmt: skip
    return rows


def boxed_slices_row(name: str, model: nn.Module, question: Question) -> dict[str, Any]:
    """Return Dice of a 2D network that gets the tight box of each slice."""
    _, _, boxes = boxes_of_kinds(question)[0]
    found = _timed(partial(_boxed_slices, model, question, boxes), question)
    about = {"system": name, "prompt": "tight box", "boxes": len(boxes)}
    return {**question.about(), **about, **found}


def slices_of_truth(question: Question) -> int:
    """Return how many axial slices show the structure: N."""
    return int(question.mask.any((0, 1)).sum())


def prompt_rows(
    flat: Models,
    volumes: Models,
    question: Question,
    automatic: Mapping[str, np.ndarray | None],
    *,
    curves: Curves = centre_curve,
) -> Rows:
    """Return Dice for each kind of prompt that a system answers.

    Args:
        flat: 2D networks by name; they get a box on each slice. Their points are in `point_rows`.
        volumes: 3D networks by name; they get one box, or 10 points ("centre").
        question: What is asked.
        automatic: Masks of networks of fixed classes by name, None where the structure is not
            among their classes (see `automatic_masks`).
        curves: Where the 3D networks' ten points come from.

    Returns:
        Rows of the question's `about`, system, prompt ("automatic", "tight box", "relaxed box",
        "10 points"), boxes (in all), dice, seconds. The system "box" is the bare box, filled; of
        a volume ("box") or of each slice ("box per slice").
    """
    about = question.about()
    rows: Rows = [
        {**about, "system": name, "prompt": "automatic", "boxes": 0, "seconds": None,
         "dice": None if mask is None else round(dice(mask, question.mask), 4)}
        for name, mask in automatic.items()
    ]  # fmt: skip
    for prompt, one, many in boxes_of_kinds(question):
        rows += bare_rows(question, prompt, one, many)
        for name, model in volumes.items():
            found = _timed(partial(_boxed, model, question, one), question)
            rows.append({**about, "system": name, "prompt": prompt, "boxes": 1, **found})
        for name, model in flat.items():
            found = _timed(partial(_boxed_slices, model, question, many), question)
            rows.append({**about, "system": name, "prompt": prompt, "boxes": len(many), **found})
    for name, model in volumes.items():
        curve = curves(name, model, question)
        found = {"dice": curve["dice"][-1], "seconds": round(sum(curve["seconds"]), 4)}
        rows.append({**about, "system": name, "prompt": "10 points", "boxes": 0, **found})
    return rows


def bare_rows(question: Question, prompt: str, one: Corners, many: dict[int, Corners]) -> Rows:
    """Return what boxes are worth that are simply filled: of the volume, and of each slice."""
    filled = per_slice_mask(many, question.mask.shape)
    return [
        {**question.about(), "system": system, "prompt": prompt, "boxes": boxes,
         "dice": round(worth, 4), "seconds": 0.0}
        for system, boxes, worth in (
            ("box", 1, bare_dice(question.mask, one)),
            ("box per slice", len(many), dice(filled, question.mask)),
        )
    ]  # fmt: skip


def boxes_of_kinds(question: Question) -> list[tuple[str, Corners, dict[int, Corners]]]:
    """Return tight and relaxed boxes: of the volume, and of each slice."""
    truth, rng = question.mask, rng_of("relaxed boxes", question.key)
    one, many = tight(truth), per_slice(truth)
    loose = relaxed(one, truth.shape, rng, share=RELAXED)
    looser = {at: relaxed(box, truth.shape[:2], rng, share=RELAXED) for at, box in many.items()}
    return [("tight box", one, many), ("relaxed box", loose, looser)]


def automatic_masks(
    networks: Mapping[str, Automatic], case: Case, structures: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray | None]]:
    """Return each network's masks of the structures of a case, without any prompt.

    Args:
        networks: Network and module by name.
        case: Any.
        structures: Canonical names; one that a network has no class for is None.
    """
    found: dict[str, dict[str, np.ndarray | None]] = {}
    for name, (model, module) in networks.items():
        known = [s for s in structures if s in bare_names(config_of(model).classes)]
        found[name] = dict.fromkeys(structures)
        if known:
            prediction = module.predict(model, case, Classes(tuple(known)))
            found[name] |= {structure: prediction.mask(structure) for structure in known}
    return found


def _boxed(model: nn.Module, question: Question, box: Corners) -> np.ndarray:
    session = Session(model, question.case)
    session.box(box[0].tolist(), box[1].tolist())
    return session.mask()


def _boxed_slices(model: nn.Module, question: Question, boxes: Mapping[int, Corners]) -> np.ndarray:
    each = [np.column_stack([box, [at, at]]) for at, box in boxes.items()]
    prediction = segment_slices(model, question.case, asked(*each))
    return prediction.mask(prediction.names[0])


def _timed(work: Callable[[], np.ndarray], question: Question) -> dict[str, float]:
    """Return the Dice of an answer, and how many seconds it took."""
    began = time.perf_counter()
    mask = work()
    seconds = time.perf_counter() - began
    return {"dice": round(dice(mask, question.mask), 4), "seconds": round(seconds, 4)}
