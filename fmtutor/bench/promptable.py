"""What is asked of promptable 2D networks live in a notebook: small questions about chosen slices.

Everything is weights-free where that is possible; a network that is not shipped is stood in for by
an untrained one, and a sentence says so.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from fmtutor.bench.interactive_adaptation import BOX, CLICK, prompts_of
from fmtutor.bench.interactive_questions import truth_of
from fmtutor.data.boxes import bare_dice, per_slice
from fmtutor.data.cases import Case
from fmtutor.data.fixed_slices import FixedSlice
from fmtutor.engine.clicking import Plan
from fmtutor.engine.sensitivity import dice_each
from fmtutor.hub.models import load_shipped, shipped
from fmtutor.losses.promptable import overlap_each
from fmtutor.paradigms import paradigm

SYSTEM_OF = {"sam_base": "sam"}
"""Shipped names that are not those of their system."""
OTHER = "another's click"
"""A click into another structure of the same slice."""
SINGLE = "single mask"


def network(name: str) -> tuple[nn.Module, str]:
    """Return a shipped network, or an untrained one of its size, and a sentence for the latter.

    Args:
        name: Of the shipped model, such as "sam_base".
    """
    if name in shipped():
        return load_shipped(name)[0], ""
    system = SYSTEM_OF.get(name, name)
    module = paradigm(system)
    return module.build(module.Config.quick()).eval(), (
        f"{name} is not shipped here and an UNTRAINED network stands in for it: fmtutor train "
        f"{system}, then python -m fmtutor.bench.interactive_ship runs/train/{system}-quick-0 "
        f"--name {name}"
    )


@torch.inference_mode()
def masks_of(model: nn.Module, image: Tensor, truth: Tensor, prompt: str) -> Tensor:
    """Return the masks (K, H, W) that answer a tight box or a click in the middle of each truth.

    A network whose training asks a first question for candidates is asked so here, and the one that
    it expects most of counts: its single mask was taught from the second round on alone.

    Args:
        model: With ``embed`` and ``decode``.
        image: (1, 1, H, W).
        truth: (K, H, W), that the prompts are drawn from.
        prompt: "box" or "click".
    """
    several = getattr(getattr(model, "config", None), "plan", Plan()).candidates
    embedding = model.embed(image)  # type: ignore[operator]
    answer = model.decode(embedding, prompts_of(truth, prompt), candidates=several)  # type: ignore[operator]
    return answer.best().logits[:, 0] > 0


def prompt_scores(model: nn.Module, slices: Sequence[FixedSlice]) -> dict[str, float]:
    """Return the mean Dice by prompt: a box, a click, and a click into *another* structure.

    The last one is what the image says without the prompt: a network that reads its prompt
    answers the other structure, and has nearly nothing in common with the one scored. Only slices
    that show two structures are asked.

    Args:
        model: Its mode is kept.
        slices: See `fmtutor.data.fixed_slices`.

    Raises:
        ValueError: No slice shows two structures.
    """
    pairs = [one.objects for one in slices if one.objects.objects > 1]
    if not pairs:
        raise ValueError("an exchange needs a slice with two structures, got none; ask for more.")
    training, found = model.training, {}
    model.eval()
    for kind in (BOX, CLICK, OTHER):
        values: list[float] = []
        for objects in pairs:
            truth = objects.target[0]
            drawn = truth.roll(1, 0) if kind == OTHER else truth
            masks = masks_of(model, objects.image, drawn, BOX if kind == BOX else CLICK)
            values += dice_each(masks, truth).tolist()
        found[kind] = float(np.mean(values))
    model.train(training)
    return found


@torch.inference_mode()
def ratings(model: nn.Module, slices: Sequence[FixedSlice]) -> pd.DataFrame:
    """Return what a network expects of each of its masks after one click, and what is true.

    Returns:
        A row for each question and mask; columns slice, structure, mask (0 is the single one, 1 to
        3 are the candidates), expected and overlap (IoU).
    """
    rows = []
    for one in slices:
        truth, embedding = one.objects.target[0], model.embed(one.objects.image)  # type: ignore[operator]
        for several in (False, True):
            answer = model.decode(embedding, prompts_of(truth, CLICK), candidates=several)  # type: ignore[operator]
            true = overlap_each(answer.logits, truth)
            for (k, m), value in np.ndenumerate(true.numpy()):
                rows.append({
                    "slice": one.index, "structure": one.objects.names[0][k],
                    "mask": m + several, "expected": float(answer.quality[k, m]),
                    "overlap": float(value),
                })  # fmt: skip
    return pd.DataFrame(rows)


def choices(frame: pd.DataFrame) -> pd.Series:
    """Return the mean overlap (IoU) of ways to take one mask of `ratings`.

    The best of three needs the truth: it is what a person who looks at all three would take.
    """
    question = ["slice", "structure"]
    single = frame[frame["mask"] == 0].set_index(question)["overlap"]
    three = frame[frame["mask"] > 0].groupby(question)
    chosen = frame.loc[three["expected"].idxmax()].set_index(question)["overlap"]
    return pd.Series({
        SINGLE: single.mean(), "mean of three": three["overlap"].mean().mean(),
        "highest expected of three": chosen.mean(), "best of three": three["overlap"].max().mean(),
    })  # fmt: skip


def bare_boxes(case: Case, structures: Sequence[str], *, least_ml: float = 10.0) -> pd.DataFrame:
    """Return the Dice of tight boxes that are simply filled, of every slice and of the volume.

    Args:
        case: With labels.
        structures: Canonical names; those with less than ``least_ml`` are left out.
        least_ml: Smallest volume.

    Returns:
        A row a structure; columns slices (how many boxes the first takes), "box per slice" and
        "one 3D box", and "worst slice" for the least box of a slice.
    """
    rows = {}
    for name in structures:
        truth = truth_of(case, name)
        if truth.sum() * case.grid.voxel_ml < least_ml:
            continue
        filled = {at: bare_dice(truth[..., at]) for at in per_slice(truth)}
        inside = sum(float((box[1] - box[0] + 1).prod()) for box in per_slice(truth).values())
        rows[name] = {
            "slices": len(filled), "worst slice": min(filled.values()),
            "box per slice": 2 * float(truth.sum()) / (inside + float(truth.sum())),
            "one 3D box": bare_dice(truth),
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")
