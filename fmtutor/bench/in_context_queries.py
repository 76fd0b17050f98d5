"""Single in-context questions about slices of a bank, answered, scored, and their failures named.

Causes are rules, applied to what was answered; the first that holds names the failure:

============  =================================================================================
cause         rule
============  =================================================================================
nothing       the mask is empty
other side    half of what is wrong in the mask lies in the structure's twin (left for right)
small         the structure covers under 40 pixels: a pixel more or less round it is much
unlike        no example is like the query (correlation of thumbnails under 0.8)
too much      the mask has over one and a half times the pixels of the truth
too little    under two thirds of them
elsewhere     none of these: about the right size, at another place
============  =================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fmtutor.data.task_bank import Task, TaskBank
from fmtutor.engine.in_context import probabilities
from fmtutor.engine.metrics import dice
from fmtutor.engine.support_selection import image_embedding, random_support

FEW_PIXELS = 40
LIKE = 0.8
SIDES = {"_left": "_right", "_right": "_left"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Answered:
    """One question and its answer."""

    task: Task
    """What was to be segmented."""
    row: int
    """The query's row in the bank."""
    image: Float[Tensor, "H W"]
    truth: Bool[Tensor, "H W"]
    probability: Float[Tensor, "H W"]
    shown: np.ndarray
    """Rows of the examples."""

    @property
    def mask(self) -> Bool[Tensor, "H W"]:
        """Where the structure is more probable than not."""
        return self.probability > 0.5

    @property
    def dice(self) -> float:
        """Of the mask; NaN where mask and truth are empty."""
        return dice(self.mask.numpy(), self.truth.numpy())


def strangers(bank: TaskBank, task: Task, query: int) -> np.ndarray:
    """Return the rows that show a task in patients other than the query's."""
    rows = bank.rows[task]
    return rows[bank.patient[rows] != bank.patient[query]]


def answered(
    model: nn.Module,
    bank: TaskBank,
    task: Task,
    query: int,
    *,
    support: int,
    generator: np.random.Generator,
    given: Task | None = None,
) -> Answered:
    """Ask about one row of a bank with random examples of other patients.

    Args:
        model: An in-context network.
        bank: Slices.
        task: What the answer is compared with.
        query: Row of the bank.
        support: Examples; fewer where other patients have fewer.
        generator: Draws them.
        given: The task that the examples show; None is ``task`` itself.

    Raises:
        ValueError: No other patient shows the given task.
    """
    given = given or task
    others = strangers(bank, given, query)
    drawn = random_support(len(others), max(1, min(support, len(others))), generator)
    images, truth = bank.pairs(task, np.array([query]))
    answer = probabilities(model, images, *bank.pairs(given, others[drawn]))
    return Answered(
        task=task, row=query, image=images[0, 0], truth=truth[0, 0] > 0.5, probability=answer[0],
        shown=others[drawn],
    )  # fmt: skip


def sampled(
    model: nn.Module, bank: TaskBank, count: int, *, support: int, generator: np.random.Generator
) -> list[Answered]:
    """Ask ``count`` random questions, the bank's tasks in turn."""
    tasks = [task for task in bank.tasks if len(np.unique(bank.patient[bank.rows[task]])) > 1]
    order = generator.permutation(len(tasks))
    chosen = [tasks[order[number % len(tasks)]] for number in range(count)]
    found = []
    for task in chosen:
        query = int(generator.choice(bank.rows[task]))
        found.append(answered(model, bank, task, query, support=support, generator=generator))
    return found


def cause_of(found: Answered, bank: TaskBank) -> str:
    """Return the name of what went wrong, by the rules of this module."""
    size, drawn = int(found.truth.sum()), int(found.mask.sum())
    rules: dict[str, Callable[[], bool]] = {
        "nothing": lambda: drawn == 0,
        "other side": lambda: _on_other_side(found, bank),
        "small": lambda: size < FEW_PIXELS,
        "unlike": lambda: likeness(found, bank) < LIKE,
        "too much": lambda: drawn > 1.5 * size,
        "too little": lambda: drawn < size / 1.5,
    }
    return next((name for name, holds in rules.items() if holds()), "elsewhere")


def likeness(found: Answered, bank: TaskBank) -> float:
    """Return the correlation of the query's thumbnail with its most similar example's."""
    images = bank.pairs(found.task, found.shown)[0]
    own = image_embedding(found.image[None, None])
    return float((image_embedding(images) @ own[0]).max())


def _on_other_side(found: Answered, bank: TaskBank) -> bool:
    region = found.task.region
    side = next((end for end in SIDES if region.endswith(end)), None)
    if side is None:
        return False
    twin = replace(found.task, region=region.removesuffix(side) + SIDES[side])
    if (twin.source, twin.region) not in bank.ids:
        return False
    there = bank.pairs(twin, np.array([found.row]))[1][0, 0] > 0.5
    wrong = found.mask & ~found.truth
    return bool(wrong.any()) and bool((wrong & there).sum() * 2 >= wrong.sum())


def dice_table(answers: dict[str, Answered], bank: TaskBank) -> Float[np.ndarray, "N N"]:
    """Return Dice of each answer (row) with the truth of every answer's structure (column)."""
    truths = {
        name: bank.pairs(found.task, np.array([found.row]))[1][0, 0] > 0.5
        for name, found in answers.items()
    }
    return np.array(
        [[dice(f.mask.numpy(), t.numpy()) for t in truths.values()] for f in answers.values()]
    )
